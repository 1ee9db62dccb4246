/**
 * What the controller core needs of the world it runs in. Kubernetes (`operator/kube`) and local processes
 * (`operator/local`) each provide it; the core knows neither.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { OperationStatus, ProxyKey, RedisProxy, RedisProxyStatus } from '../api/redis-proxy.ts'
import type { Operation } from './plan/types.ts'

/** The observed resources: a cache that a watch fills, or a file that was read. */
export interface ProxyStore {
  get(key: ProxyKey): RedisProxy | undefined
  keys(): readonly ProxyKey[]
  /** Calls back with the key of each resource that was added, changed or removed. Returns the way to stop. */
  onChange(listener: (key: ProxyKey) => void): () => void
}

export interface StatusWriter {
  /**
   * Replaces the status if the resource is still at the `resourceVersion` of `proxy`, and returns the
   * resource as it is then; the store shows it at once too.
   * @throws ProxyError RM_CONFLICT if someone else changed it first; RM_API otherwise.
   */
  writeStatus(proxy: RedisProxy, status: RedisProxyStatus): Promise<RedisProxy>
}

export interface SecretReader {
  /** Decoded data of a Secret, or undefined where there is none. */
  readSecret(namespace: string, name: string): Promise<Readonly<Record<string, string>> | undefined>
}

export interface ProxyEvent {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, from the list in `docs/reference/conditions.md`. */
  readonly reason: string
  /** What was being done, e.g. `Failover`. */
  readonly action: string
  readonly message: string
}

export interface EventSink {
  /** Never throws and never blocks; events are best effort and repeated ones are merged. */
  publish(proxy: RedisProxy, event: ProxyEvent): void
}

/** What one connected sidecar said last. */
export interface SidecarView {
  readonly id: string
  /** Version and epoch it obeys; absent before its first acknowledgement. */
  readonly acked?: { readonly version: number; readonly epoch: number }
  readonly error?: string
  readonly primary: PrimaryView
  /** When the primary of `heardEpoch` last answered it, monotonic; absent: never. */
  readonly heardAtMs?: number
  readonly heardEpoch?: number
  readonly connectedAtMs: number
}

/** The way to the sidecars: `operator/stream` in both worlds. */
export interface ConfigPublisher {
  /** Makes `config` the one that every sidecar of the key gets, now and when it connects. */
  publish(key: ProxyKey, config: ProxyConfig): void
  /** Tells every sidecar that the primary of `epoch` may be down, for so long; 0: that it is well after all. */
  suspect(key: ProxyKey, epoch: number, forMs: number): void
  /** Forgets the key and closes its streams. */
  withdraw(key: ProxyKey): void
  sidecars(key: ProxyKey): readonly SidecarView[]
  /** Calls back when a sidecar of the key connects, acknowledges, reports or leaves. */
  onChange(listener: (key: ProxyKey) => void): () => void
}

/** What a configuration says of the place that sidecars run in; each world has its own. */
export interface SidecarPlacement {
  /** Path, as the sidecar sees it, of `dataKey` of the Secret `name` in the namespace of the proxy. */
  secretFile(proxy: RedisProxy, secretName: string, dataKey: string): string
  /** Where a sidecar makes its unix socket; undefined: it is told otherwise. */
  readonly socketPath: string | undefined
}

/** Where a server is, as the world knows it at first hand. */
export type Whereabouts =
  | { readonly kind: 'at'; readonly address: string; readonly zone?: string }
  /** Nowhere at present; asking a name service would only have it remember so. */
  | { readonly kind: 'absent'; readonly why: string }

/** What people asked for, oldest first, less what has ended. */
export interface OperationDesk {
  pending(key: ProxyKey): readonly Operation[]
  /** Tells whoever asked how it went; never throws. Called at each turn, so that a lost word is said again. */
  report(key: ProxyKey, operation: OperationStatus): void
  onChange(listener: (key: ProxyKey) => void): () => void
}

export interface Provider {
  /**
   * The name to reach `host` of the spec by, from the operator, the servers and the sidecars alike. Kubernetes
   * completes `pod.service` to `pod.service.NAMESPACE.svc`; absent: hosts are used as they are written. Status
   * addresses and messages stay as in the spec.
   */
  readonly qualifyHost?: (proxy: RedisProxy, host: string) => string
  /** Where to connect to for `host` of the spec, asked at each connection; undefined: by its name. */
  readonly locate?: (proxy: RedisProxy, host: string) => Whereabouts | undefined
  readonly store: ProxyStore
  readonly status: StatusWriter
  readonly secrets: SecretReader
  readonly events: EventSink
  readonly publisher: ConfigPublisher
  readonly placement: SidecarPlacement
  /**
   * Ids of the sidecars that exist, connected or not; one that is missing from the publisher’s list may still
   * be writing to the primary it knew. Undefined where the world cannot tell yet.
   */
  expectedSidecars(key: ProxyKey): readonly string[] | undefined
  /**
   * Why the process that has been the primary at `host` since `sinceMs` (wall clock) is known to have ended: a container
   * that terminated, a child that exited. Undefined: nothing is known. A refused connection is no such knowledge.
   */
  readonly fate?: (
    proxy: RedisProxy,
    server: { readonly host: string; readonly port: number; readonly sinceMs: number },
  ) => string | undefined
  readonly operations?: OperationDesk
  /** Whether this process may act now; checked before every command to a server. */
  isLeader(): boolean
}
