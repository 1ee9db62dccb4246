/** A real Kubernetes for tests. See README.md. */
export {
  type CallOptions,
  type Cluster,
  type ClusterKind,
  ClusterUnavailableError,
  type Plan,
  planCluster,
  type StartOptions,
  startCluster,
} from './cluster.ts'
export { CommandError, type Output, run, waitFor } from './command.ts'
export { type ImageOptions, writeImageArchive } from './image.ts'
export type { Network } from './network.ts'
export { type FileSource, nonRootId, type RootfsOptions, rootfsOf } from './rootfs.ts'
