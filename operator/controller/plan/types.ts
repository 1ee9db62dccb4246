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
  /** False: the recorded primary, which is no longer among the endpoints. */
  readonly isListed: boolean
  /** Why the recorded process is known to have ended, where the world knows it at first hand. */
  readonly fate?: string
}

export interface Snapshot {
  readonly proxy: RedisProxy
  /** In the order of the spec. */
  readonly servers: readonly WatchedServer[]
  readonly sidecars: readonly SidecarView[]
  /** See `Provider.expectedSidecars`. */
  readonly expectedSidecars: readonly string[] | undefined
  /** What was last published to the sidecars, if anything. */
  readonly published?: {
    readonly version: number
    readonly atMs: number
    readonly epoch: number
    /** When this controller first published this epoch: no older one has been granted since. */
    readonly epochAtMs: number
    readonly grantTtlMs?: number
  }
  /** Since when this controller has been watching these servers, monotonic; it was not the leader before. */
  readonly watchedSinceMs: number
  /** Since when each of `Decision.marks` has been in every decision, monotonic. */
  readonly marks?: Readonly<Record<string, number>>
  /** The oldest that someone asked for and that has not ended. */
  readonly operation?: Operation
  /** Sentences about Secrets that are missing, and that the servers can be arranged without. */
  readonly missingSecrets?: readonly string[]
}

/** What a person asked for. */
export interface Operation {
  readonly name: string
  /**
   * Switchover: a planned change of the primary. Promote: in a failover that waits, `to` is to be promoted although
   * what `accept` names is missing.
   */
  readonly kind: 'Switchover' | 'Promote'
  /** Address; absent: the replica that fits best. */
  readonly to?: string
  /** NoProof: of the fence; DataLoss: whatever data it has. Only of Promote. */
  readonly accept: readonly ('NoProof' | 'DataLoss')[]
}

/** A server and the process at it that is meant. */
export interface Process {
  readonly address: string
  readonly runId: string
}

/** Commands to servers. They go to the process `runId` or to none. */
export type Action =
  | ({ readonly kind: 'park' } & Process)
  | ({
      readonly kind: 'replicate'
      readonly source: { readonly host: string; readonly port: number }
    } & Process)
  | ({ readonly kind: 'promote' } & Process)
  /** Blocks writers of a primary, waits until `to` has all of it, promotes `to` and makes the primary its replica. */
  | ({
      readonly kind: 'handOver'
      readonly to: Process & { readonly host: string; readonly port: number }
      readonly timeoutMs: number
    } & Process)
  /** Lets writers of a primary go on. */
  | ({ readonly kind: 'unpause' } & Process)
  /** Makes `user` on a primary, and has `replicas` log in as it from their next connection on; removes older ones. */
  | ({
      readonly kind: 'protect'
      readonly user: string
      readonly replicas: readonly Process[]
    } & Process)
  /** Has a replica log in as without us again. */
  | ({ readonly kind: 'unprotect' } & Process)
  | ({ readonly kind: 'minReplicas'; readonly count: number } & Process)
  /** Has a replica of a cluster take over from its primary, by agreement. */
  | ({ readonly kind: 'clusterFailover' } & Process)

/** Why there is or is not a primary, for the condition PrimaryAvailable. */
export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** The part of the status that decides; the rest of it only reports. */
export type DecisionRecord = Pick<
  RedisProxyStatus,
  'epoch' | 'phase' | 'primary' | 'intent' | 'guards' | 'lastFailover' | 'failovers' | 'operation'
>

export interface Decision {
  readonly record: DecisionRecord
  /** Carried out after the record was written and published. */
  readonly actions: readonly Action[]
  readonly verdict: Verdict
  readonly events: readonly ProxyEvent[]
  /** States whose age matters; see `Snapshot.marks`. */
  readonly marks?: readonly string[]
  /** Members to look at again at once, since someone else says that they changed. */
  readonly look?: readonly string[]
  /** Sidecars are told that the primary may be down. 0: that it is well after all. */
  readonly suspectForMs?: number
  /** When to look again although nothing was heard. 0: at once. */
  readonly requeueAfterMs?: number
}

export interface Plan {
  readonly status: RedisProxyStatus
  readonly actions: readonly Action[]
  readonly events: readonly ProxyEvent[]
  readonly marks: readonly string[]
  readonly look: readonly string[]
  readonly suspectForMs?: number
  readonly requeueAfterMs: number
}
