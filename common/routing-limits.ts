/**
 * Bounds of what goes to several servers, and of switches, messages and raw pipes; part of `limits.ts`.
 */

/** Defaults of `ProxyConfig.upstream.retries`. */
export const defaultRetries = { maxRetries: 16, retryDelayMs: 10 } as const
/** Longest wait before a command that a server did not run is sent again. */
export const retryDelayMaxMs = 1000
/** Bytes of replies from several servers that are put together before a client is given them. */
export const outgoingBytesMax = 16 * 1024
/** Bytes of the replies of several servers that are held to be made one; the command fails when there are more. */
export const mergedReplyBytesMax = 64 * 1024 * 1024
/** How often primaries are asked which slots they are moving, where replicas are read from; seldomer the more nodes there are. */
export const movingSlotsLookMs = 200
export const movingSlotsLookPerNodeMs = 10
/** Servers of one backend, counted per role; a further one gets no connections. */
export const serversMax = 2048
/** How long the connections to a server that the topology has no more may finish what is in flight. */
export const serverLeaveMs = 10_000
/** Bytes of an open transaction that are kept to give it to another node; a longer one is aborted when its slot moves. */
export const transactionBytesMax = 1024 * 1024
/** How often within the time that a command may take it is looked who waits for longer. */
export const readTimeLooks = 8
/**
 * Bytes of commands in flight that are kept per shared connection, so that reads can be sent again when it is lost; those
 * of a write to the server that is larger than the second are not.
 */
export const sentLogBytesMax = 128 * 1024
export const sentPieceBytesMax = 16 * 1024
/** How often it is looked at least whether commands in flight have ended, beside whenever something was written to clients. */
export const drainPollMs = 5
/** How long clients may finish an open transaction before a pause holds them in the middle of it. */
export const switchFinishMs = 250
/** The same while more of a transaction is here or under way. */
export const switchFinishMaxMs = 2000
/** Clients that the log names of those that a switch had to close. */
export const offendersToldMax = 16
/** Longest time that connections to the next primary are opened before a handover begins, and that a sidecar waits for the others then. */
export const handoverPrepareMs = 200
export const handoverBeginMs = 300
/** Longest wait, after a switch, for clients that need a connection of their own; the others go on then. */
export const switchSettleMs = 2000
/** The same after a handover, which is meant to be short for all others. */
export const handoverSettleMs = 100
/** Longest time, and most lines, that messages are logged on request; and of how many bytes of a command keys are looked for. */
export const messagesSecondsMax = 3600
export const messagesLoggedMax = 1_000_000
export const messageKeysBytesMax = 64 * 1024
/** Keys of one message that are shown, and bytes of each; the rest is counted. */
export const messageKeysMax = 16
export const messageKeyBytesMax = 256
/** Clients of raw listeners at once, per process; the next is closed. */
export const rawPipesMax = 1024
