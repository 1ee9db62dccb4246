/** A real Kubernetes for tests. See README.md. */
export { ClusterUnavailableError, type Plan, planCluster, startCluster } from './cluster.ts'
export { CommandError, type Output, run, waitFor } from './command.ts'
export { type ImageOptions, writeImageArchive } from './image.ts'
export { type FileSource, nonRootId, type RootfsOptions, rootfsOf } from './rootfs.ts'
export type { CallOptions, Cluster, ClusterKind, Network, StartOptions } from './types.ts'
