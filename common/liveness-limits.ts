/** Bounds of how a sidecar sees its servers, and what it and its control plane tell each other of the primary; part of `limits.ts`. */

/** How often it is looked whether a server still lives; it costs nothing while nothing is owed. */
export const livenessTickMs = 100
/** A look that comes this long after the last one came late: the silence before it is our own. */
export const livenessLateMs = 250
/**
 * A server that owes replies and is silent this long is sent nothing more over shared connections until it says something,
 * and is sent a PING; one that only has waiting clients is after the second.
 */
export const silentHoldMs = 300
export const livenessIdleProbeMs = 10_000
/** From the PING on, if nothing comes: no more is sent after the first, the connections are given up after the second. */
export const serverStallMs = 1700
export const serverHungMs = 15_200
/** A stalled server that refuses so many new connections in a row is given up at once. */
export const unreachableAttemptsMax = 2

/** A grant is renewed this many times before it would run out. */
export const grantRenewalsPerTtl = 4
/** Where there is none it is asked for this often at least. */
export const grantRetryMs = 500
/** Renewals that are remembered until they are answered; of more the oldest is forgotten. */
export const grantAsksMax = 16
/** How often a sidecar tells that it still hears from the primary, if it does, and looks whether its view has changed. */
export const reportHeardMs = 1000
