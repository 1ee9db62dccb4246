/** Bounds around operations that people ask for, and around what is known of the ends of servers. */

/** An operation on a RedisProxy that does not exist fails after this; it may have been made a moment too early. */
export const operationGraceMs = 10_000
/** How often operations that nobody has begun are looked at, and after how long they are said to be pending. */
export const operationSweepMs = 1000
/** Operations that `respmesh up` remembers; the oldest that ended is forgotten. */
export const localOperationsMax = 64
/** Operations that wait on a laptop; the next is refused. */
export const localOperationsWaitingMax = 16
/** `respmesh switchover` waits for the end this long unless told otherwise, and looks this often. */
export const operationWaitMs = 30_000
export const operationPollMs = 50

/** Clocks of nodes and of the operator may differ by so much: ends this close to the beginning of a primary prove nothing. */
export const nodeClockSkewMs = 5000
/** Pods that are remembered after their deletion, for each name; the oldest is forgotten. */
export const formerPodsMax = 4
/** A pod that nobody asked about for so long is not watched any more. */
export const podWatchIdleMs = 120_000
/** The node of a pod that is not well is looked at this often. */
export const nodeLookMs = 2000
/**
 * A node that has been ready for so long after the deletion of a pod has heard of it: one that hears nothing is not ready
 * any more after at most 50 s (node-monitor-grace-period).
 */
export const nodeSilenceMaxMs = 60_000
/** Sidecars of deleted pods that may live on and are remembered, of all RedisProxies together; the oldest is forgotten. */
export const ghostsMax = 1024
/**
 * Where nothing can be known of the node of such a sidecar it counts for so long and the grace period of its pod: one that
 * is cut off from the control plane is assumed to be found by then.
 */
export const ghostBlindMs = 900_000
/** Sidecars that a condition names; of the others it tells how many. */
export const sidecarsNamedMax = 3

/** In the midst of a change of the primary a status that only reports is written this long after the last one. */
export const statusReportDelayMs = 1000
