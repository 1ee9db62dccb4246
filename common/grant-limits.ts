/** Bounds of what a sidecar and its control plane tell each other of the primary; part of `limits.ts`. */

/** A grant is renewed this many times before it would run out. */
export const grantRenewalsPerTtl = 4
/** Renewals that are remembered until they are answered; of more the oldest is forgotten. */
export const grantAsksMax = 16
/** How often a sidecar tells that it still hears from the primary, if it does, and looks whether its view has changed. */
export const reportHeardMs = 1000
