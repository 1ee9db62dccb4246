/**
 * State of a world in which the plan is explored: plain values, so that it can be copied and compared. Times without a
 * further word are true ones; a process reads its own clock by `clockOf`.
 */
import type {
  ProxyKey,
  RedisProxy,
  RedisProxySpec,
  RedisProxyStatus,
} from '../../../operator/api/redis-proxy.ts'
import type { Observation } from '../../../operator/controller/observation.ts'
import type { Action, Operation, Plan, Snapshot } from '../../../operator/controller/plan/types.ts'
import type { SidecarView } from '../../../operator/controller/provider.ts'

export type { ProxyKey }

/** Index of a server; `parked`: nobody is there; `elsewhere`: a server that is not of this world. */
export type SourceRef = number | 'parked'

export interface Ack {
  readonly runId: string
  readonly offset: number
  readonly atMs: number
}

export interface Process {
  runId: string
  isPrimary: boolean
  replId: string
  replId2: string
  secondReplOffset: number
  /** Entries of the history that are in the data set, ten bytes each: ids of writes, 0 for a ping. */
  log: readonly number[]
  /** Offset of the history before the first entry. */
  base: number
  /** Whether it keeps a history at all: a primary that never had a replica does not. */
  hasBacklog: boolean
  backlogFrom: number
  /** A replica: whether it knows where it is in the history of a source. */
  hasPosition: boolean
  source: SourceRef | undefined
  /** Process that the link to the source is up with. */
  linkRunId: string | undefined
  lastIoMs: number
  syncStepsLeft: number
  isLoading: boolean
  /** Passwords of our replication users by name. */
  users: Readonly<Record<string, readonly string[]>>
  sourceUser: string
  sourcePassword: string
  minReplicas: number
  /** What its replicas said last, by server. */
  acks: Readonly<Record<number, Ack>>
  pausedUntilMs: number
}

/** What a restart finds. */
export interface Disk {
  readonly log: readonly number[]
  readonly replId: string
  readonly offset: number
}

export interface Server {
  readonly index: number
  readonly rate: number
  process: Process | undefined
  isSuspended: boolean
  disk: Disk
  /** An earlier state that was saved. */
  saved: Disk
}

/** What a sidecar obeys: the part of a `ProxyConfig` that matters here. */
export interface Config {
  readonly version: number
  readonly epoch: number
  readonly server?: number
  readonly runId?: string
  readonly drainMs?: number
  readonly grantTtlMs?: number
  readonly waitReplicas: number
}

export type DownMessage =
  | { readonly kind: 'config'; readonly config: Config }
  | { readonly kind: 'grant'; readonly seq: number; readonly epoch: number }
  | { readonly kind: 'suspect'; readonly epoch: number; readonly forMs: number }

export type UpMessage =
  | {
      readonly kind: 'ack'
      readonly version: number
      readonly epoch: number
      readonly isRefusal: boolean
    }
  | {
      readonly kind: 'report'
      readonly view: SidecarView['primary']
      readonly epoch: number
      readonly heardMsAgo?: number
    }
  | { readonly kind: 'renew'; readonly seq: number; readonly epoch: number }

export interface Stream {
  readonly operator: number
  readonly down: readonly DownMessage[]
  readonly up: readonly UpMessage[]
}

export interface Connection {
  readonly id: number
  readonly server: number
  readonly runId: string
}

export interface Sidecar {
  readonly index: number
  readonly rate: number
  isUp: boolean
  isSuspended: boolean
  config: Config | undefined
  stream: Stream | undefined
  connection: Connection | undefined
  /** Lets what was sent be answered before it closes and acknowledges. */
  drainUntilMs: number | undefined
  /** By its own clock. */
  grantedUntilMs: number
  renewals: readonly { readonly seq: number; readonly atMs: number; readonly epoch: number }[]
  nextSeq: number
  holdUntilMs: number
  heard: { readonly atMs: number; readonly epoch: number } | undefined
  isFailing: boolean
}

/** A write between a sidecar and a server. */
export interface Write {
  readonly id: number
  readonly sidecar: number
  readonly connection: number
  readonly server: number
  readonly runId: string
  readonly epoch: number
  readonly waitReplicas: number
  /** Set when the server ran it. */
  readonly offset?: number
  /** Highest epoch at which another process had run a write by then. */
  readonly otherEpoch?: number
}

/** A command on its way to a process. */
export interface Command {
  readonly id: number
  readonly operator: number
  readonly server: number
  readonly runId: string
  readonly body: CommandBody
  /** It was obeyed, and the answer is lost. */
  readonly isRun: boolean
  /** Sent once the answer is there. */
  readonly next: readonly Order[]
  /** Nobody waits for its answer any more. */
  readonly isOrphan: boolean
}

export interface Order {
  readonly server: number
  readonly runId: string
  readonly body: CommandBody
}

export type CommandBody =
  | { readonly kind: 'follow'; readonly source: SourceRef }
  | { readonly kind: 'promote' }
  | { readonly kind: 'pause'; readonly forMs: number }
  | { readonly kind: 'unpause' }
  | { readonly kind: 'setUser'; readonly user: string; readonly password: string }
  | { readonly kind: 'sourceUser'; readonly user: string; readonly password: string }
  | { readonly kind: 'minReplicas'; readonly count: number }

/** A planned change under way in an operator. */
export interface Task {
  readonly action: Extract<Action, { kind: 'handOver' }>
  readonly step: 'inspect' | 'pause' | 'compare' | 'promote' | 'demote' | 'unpause'
  readonly beganMs: number
  readonly offset: number
  readonly replId: string
}

export interface Memory {
  readonly watchedSinceMs: number
  readonly marks: Readonly<Record<string, number>>
  readonly published?: NonNullable<Snapshot['published']> & { readonly config: Config }
}

export type Stage = 'idle' | 'observed' | 'planned' | 'recorded' | 'published' | 'acting'

export interface OperatorProcess {
  readonly index: number
  readonly rate: number
  wallSkewMs: number
  isUp: boolean
  isSuspended: boolean
  /** By its own clock. */
  leadsUntilMs: number
  leaseSeen: { readonly version: number; readonly atMs: number }
  cache: ApiObject
  memory: Memory | undefined
  observations: readonly Observation[]
  views: Readonly<Record<number, SidecarView>>
  password: string
  stage: Stage
  /** What it saw, and what its plan is shown of that. */
  seen: Snapshot | undefined
  snapshot: Snapshot | undefined
  plan: Plan | undefined
  recorded: RedisProxy | undefined
  task: Task | undefined
  /** Commands that the turn waits for. */
  waitsFor: readonly number[]
  touched: readonly number[]
  requeueAtMs: number
}

/** One version of the resource. */
export interface ApiObject {
  readonly version: number
  readonly generation: number
  readonly spec: RedisProxySpec
  /** Servers that the spec lists. */
  readonly listed: readonly number[]
  readonly status?: RedisProxyStatus
}

export interface Api {
  object: ApiObject
  /** A version some writes ago. */
  former: ApiObject | undefined
  lease: { readonly holder: number; readonly version: number }
  operation: Operation | undefined
  operationCount: number
  /** Run-ids of which the world says at first hand that they ended. */
  ended: readonly string[]
}

/** What may happen in a history, and how the world is set up. */
export interface Profile {
  readonly name: string
  readonly servers: number
  readonly listed: number
  readonly sidecars: number
  readonly operators: number
  /** Lines under `spec:`, and under `spec.proxy:`. */
  readonly failover: string
  readonly waitReplicas: number
  readonly steps: number
  readonly isCold: boolean
  readonly hasDrift: boolean
  /** A restart continues its history (RDB) or begins a new one (AOF). */
  readonly keepsHistory: boolean
  readonly backlogEntries: number
  readonly restartsAs: readonly ('primary' | 'parked' | 'replica')[]
  /** Faults by name; their weight. */
  readonly faults: Readonly<Partial<Record<FaultName, number>>>
  /** Faults at most. */
  readonly faultsMax: number
  /** Crashes that lose data, at most. */
  readonly lossesMax: number
  readonly hasLateCommands: boolean
  /** An operator that starts may be told of an old version first. */
  readonly hasStaleLists: boolean
  readonly hasNoLease: boolean
  readonly tellsFate: boolean
  /** Weight of one step of replication, and of one message to a sidecar: few are slow. */
  readonly replicationWeight: number
  readonly streamWeight: number
  /** No connection is lost by itself: no client may see an error. */
  readonly isCalm: boolean
}

export type FaultName =
  | 'crash'
  | 'crashEmpty'
  | 'crashOlder'
  | 'bounce'
  | 'bounceEmpty'
  | 'suspendServer'
  | 'suspendSidecar'
  | 'suspendOperator'
  | 'crashSidecar'
  | 'crashOperator'
  | 'cutPair'
  | 'cutOneWay'
  | 'isolate'
  | 'isolateOperator'
  | 'cutApi'
  | 'mend'
  | 'dropStream'
  | 'wallJump'
  | 'switchover'
  | 'addServer'
  | 'removeServer'
  | 'movePrimary'
  | 'promoteByHand'

export interface Truth {
  /** Process that was on record for an epoch. */
  primaryOf: Readonly<Record<number, string>>
  /** Highest epoch at which a process ran a write. */
  epochOf: Readonly<Record<string, number>>
  /** Acknowledged writes, oldest first. */
  acked: readonly { readonly id: number; readonly waitReplicas: number }[]
  /** Acknowledged writes that every listed server had at some time, and someone has had ever since. */
  kept: readonly number[]
  fresh: readonly number[]
  /** Processes that were ever recorded as a target, or as the primary. */
  readonly targets: readonly string[]
  /** Servers that lost data. */
  losers: readonly number[]
  /** Kept writes that no restart without data may take away, because replication users were in force. */
  readonly guarded: readonly number[]
  /** How far a history went at the primary that wrote it. */
  reached: Readonly<Record<string, number>>
  counts: Counts
}

export interface Counts {
  steps: number
  failovers: number
  switchovers: number
  acknowledged: number
  /** Histories that end with something that is left to a person. */
  waiting: number
  /** Promotions by why nobody could write to the old primary. */
  proofs: Record<string, number>
}

export interface World {
  profile: Profile
  readonly mutations: ReadonlySet<string>
  nowMs: number
  nextId: number
  servers: Server[]
  sidecars: Sidecar[]
  operators: OperatorProcess[]
  api: Api
  /** One byte for each direction between two nodes: 1 carries nothing. */
  cuts: Uint8Array
  writes: readonly Write[]
  commands: readonly Command[]
  /** Until faults end: operators take themselves for the leader whatever the lease says. */
  isLeaseIgnored: boolean
  faultsLeft: number
  lossesLeft: number
  truth: Truth
  trace: string[] | undefined
}

/** An invariant does not hold. */
export class Violation extends Error {
  readonly invariant: string

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`)
    this.invariant = invariant
  }
}
