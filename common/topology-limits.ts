/** Bounds of what is learnt of clusters and rings; part of `limits.ts`. */

/** Nodes of one cluster, and bytes of what one says of all; the rest is not read, a longer answer is none. */
export const clusterNodesMax = 2000
export const clusterAnswerBytesMax = 8 * 1024 * 1024
/** Nodes that are asked first in a look at a cluster, at once if they do not suffice, and at most. */
export const clusterSampleCount = 5
export const clusterAskedAtOnce = 16
export const clusterAskedMax = 1024
/** Wait for answers before more nodes are asked. */
export const clusterGraceMs = 100
/** Addresses of one name in the configuration that are asked; the rest is left. */
export const clusterSeedAddressesMax = 16
/** How often a cluster is looked at when nothing is amiss, and at most after a redirect. */
export const clusterLookMs = 10_000
export const clusterMovedLookMs = 500
/** Wait between looks while something is amiss: doubles from the first to the last, with jitter. */
export const clusterTroubleMinMs = 100
export const clusterTroubleMaxMs = 500
/** How long the connections to a node are kept that owns nothing and was asked (ASK). */
export const clusterAskedKeptMs = 10_000
/** Digests that give a server of the ring its points, four each, at the average weight: as ketama has it. */
export const ketamaDigestsPerServer = 40
/** How long a server is out of the ring unless told, and how often it is looked whether one may come back. */
export const defaultRingEjectMs = 30_000
export const ringTickMs = 100
