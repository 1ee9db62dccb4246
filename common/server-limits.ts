/** Bounds of how the control plane looks at servers and changes them; part of `limits.ts`. */

/** Time between two looks at a server that answers. */
export const probeIntervalMs = 250
/** Time between two looks at a server that does not. */
export const probeRetryMs = 100
/** A server that has not answered a probe, or a command of the controller, in this time has failed it. */
export const probeTimeoutMs = 1000
/** A look has failed after half of `downAfter` already where that is less, but not before this. */
export const probeTimeoutMinMs = 100
/** In a handover it is looked whether the target caught up: one look after the other for the first while, then so often. */
export const handOverTightMs = 20
export const handOverPollMs = 2
/** A step of a handover that got no answer is repeated after this. */
export const handOverRetryMs = 10
/** min-replicas-max-lag, as the guard sets it, seconds. */
export const minReplicasMaxLagSeconds = 2
/**
 * A primary whose replicas are gone refuses writes after this time at the latest: it counts whole seconds, and looks
 * once a second.
 */
export const selfFenceMs = (minReplicasMaxLagSeconds + 2) * 1000
/** Settings of a server that protect the data are read again after this. */
export const guardReadMs = 10_000
/** How long it is believed that a server does not let us set up replication users; then that is tried again. */
export const guardRefusedMs = 60_000
/** Bytes of the password of a replication user. */
export const replicationPasswordBytes = 32
/** Replication users of one proxy whose passwords are kept, and replicas whose former credentials are; the oldest goes. */
export const replicationUsersMax = 8
export const replicaLoginsMax = 256
/** Replies that a connection withholds while replicas are waited for, bytes; with more it ends. */
export const withheldBytesMax = 64 * 1024 * 1024
