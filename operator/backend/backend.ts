/** What the controller needs of the servers; the simulator has its own. */
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { Observation } from '../controller/observation.ts'
import type { Process } from '../controller/plan/types.ts'
import type { ServerTarget } from './connection.ts'

export interface Backend {
  /** Watches exactly these members for the key, from now on; unchanged ones keep their connection. */
  watch(key: ProxyKey, members: readonly WatchedMember[]): void
  forget(key: ProxyKey): void
  /** In the order given to `watch`. */
  observations(key: ProxyKey): readonly Observation[]
  /** Resolves when each of the members was looked at after this call. */
  probeNow(key: ProxyKey, addresses: readonly string[]): Promise<void>
  /** Makes the process `runId` a primary. @throws UpstreamError RM_PROMOTE_FAILED */
  promote(key: ProxyKey, address: string, runId: string): Promise<void>
  /** Makes the process `runId` a replica of `source`. @throws UpstreamError RM_REPLICATE_FAILED */
  replicate(key: ProxyKey, server: Process, source: Source): Promise<void>
  /** @throws UpstreamError RM_HANDOVER_FAILED; the target may have been promoted or not, which a look tells */
  handOver(key: ProxyKey, from: Process, handover: Handover): Promise<void>
  unpause(key: ProxyKey, server: Process): Promise<void>
  /** See `protect` of `Action`. @throws UpstreamError RM_GUARD_FAILED */
  protect(key: ProxyKey, primary: Process, users: ReplicationUserSpec): Promise<void>
  unprotect(key: ProxyKey, server: Process): Promise<void>
  setMinReplicas(key: ProxyKey, server: Process, count: number): Promise<void>
  /** @throws UpstreamError RM_PROMOTE_FAILED */
  clusterFailover(key: ProxyKey, server: Process): Promise<void>
  onChange(listener: (key: ProxyKey) => void): () => void
  stop(): void
}

export interface WatchedMember {
  readonly address: string
  readonly target: ServerTarget
}

export interface Source {
  readonly host: string
  readonly port: number
}

export interface Handover {
  readonly to: Process & Source
  readonly timeoutMs: number
}

export interface ReplicationUserSpec {
  readonly user: string
  readonly replicas: readonly Process[]
}
