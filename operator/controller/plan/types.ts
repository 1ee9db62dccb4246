/** The values that go into a plan and come out of one. */
import type { EndpointSpec, RedisProxy, RedisProxyStatus } from '../../api/redis-proxy.ts'
import type { Observation } from '../observation.ts'
import type { ProxyEvent, SidecarView } from '../provider.ts'

/** One time in both reckonings: spans are measured monotonically, records carry the wall clock. */
export interface Now {
  readonly monotonicMs: number
  readonly wallMs: number
}

export interface WatchedServer {
  readonly endpoint: EndpointSpec
  /** `host:port` as in the spec. */
  readonly address: string
  /** How it is reached, from everywhere; what `REPLICAOF` is told. */
  readonly host: string
  readonly observation: Observation
}

export interface Snapshot {
  readonly proxy: RedisProxy
  /** In the order of the spec. */
  readonly servers: readonly WatchedServer[]
  readonly sidecars: readonly SidecarView[]
  /** See `Provider.expectedSidecars`. */
  readonly expectedSidecars: readonly string[] | undefined
  /** What was last published to the sidecars, if anything. */
  readonly published?: { readonly version: number; readonly atMs: number }
  /** Since when this controller has been watching these servers, monotonic. */
  readonly watchedSinceMs: number
  /** Sentences about Secrets that are missing, and that the servers can be arranged without. */
  readonly missingSecrets?: readonly string[]
}

/** A command to a server. It goes to the process `runId` or to none. */
export type Action =
  | { readonly kind: 'park'; readonly address: string; readonly runId: string }
  | {
      readonly kind: 'replicate'
      readonly address: string
      readonly runId: string
      readonly source: { readonly host: string; readonly port: number }
    }
  | { readonly kind: 'promote'; readonly address: string; readonly runId: string }

/** Why there is or is not a primary, for the condition PrimaryAvailable. */
export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** The part of the status that decides; the rest of it only reports. */
export type DecisionRecord = Pick<
  RedisProxyStatus,
  'epoch' | 'phase' | 'primary' | 'intent' | 'lastFailover'
>

export interface Decision {
  readonly record: DecisionRecord
  /** Carried out after the record was written and published. */
  readonly actions: readonly Action[]
  readonly verdict: Verdict
  readonly events: readonly ProxyEvent[]
  /** When to look again although nothing was heard. 0: at once. */
  readonly requeueAfterMs?: number
}

export interface Plan {
  readonly status: RedisProxyStatus
  readonly actions: readonly Action[]
  readonly events: readonly ProxyEvent[]
  readonly requeueAfterMs: number
}
