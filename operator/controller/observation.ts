/** What the prober tells the controller about a server: plain values, and the few judgements that everyone shares. */

/**
 * refused, closed: nothing listens there, or the connection was ended. timeout: no answer. auth: the
 * credentials are not accepted, which says nothing about the server's health.
 */
export type FailureKind = 'refused' | 'closed' | 'timeout' | 'auth' | 'other'

/** What `INFO` said. */
export interface ServerFacts {
  readonly role: 'primary' | 'replica'
  readonly runId: string
  readonly version: string
  readonly replId: string
  /** History before the last promotion; it ends before `secondReplOffset`. All zeros or '' if there is none. */
  readonly replId2: string
  readonly secondReplOffset: number
  /** Bytes of the history that this server has processed. */
  readonly offset: number
  /** Whom it follows, as it was told. */
  readonly source?: { readonly host: string; readonly port: number }
  readonly isLinkUp: boolean
  /** Seconds since its source last said something, while the link is up. */
  readonly lastIoSeconds: number
  readonly isLoading: boolean
  /** A full synchronisation is under way: its data set is not usable. */
  readonly isSyncing: boolean
  readonly keyCount: number
  /** 0: its owner wants it never promoted. */
  readonly priority: number
  readonly connectedReplicas: number
  /** Present where it is a node of a cluster. */
  readonly cluster?: ClusterFacts
  /** Absent until they were read, and where the credentials may not. */
  readonly guards?: GuardFacts
}

/** Settings that protect the data; read when a connection is made and after each change through it. */
export interface GuardFacts {
  /** As whom it logs in at its source; empty: as the default user, or not at all. */
  readonly sourceUser: string
  /** Names of our replication users that it knows. */
  readonly replicationUsers: readonly string[]
  /** -1: it may not be asked. */
  readonly minReplicas: number
  /** `min-replicas-max-lag`; 0: replicas count however long they are silent. */
  readonly minReplicasMaxLagSeconds: number
  /** Why replication users cannot be set up here. */
  readonly refused?: string
}

const replicationUserPrefix = 'respmesh-e'

/** The user that replicas of the primary of `epoch` log in as. */
export function replicationUser(epoch: number): string {
  return `${replicationUserPrefix}${epoch}`
}

export function isReplicationUser(name: string): boolean {
  return name.startsWith(replicationUserPrefix)
}

/** What `CLUSTER INFO` said: the cluster as this node sees it. */
export interface ClusterFacts {
  /** Whether it serves its slots. */
  readonly isOk: boolean
  /** Slots that belong to a node that is well. */
  readonly slotsOk: number
  /** Primaries that own slots. */
  readonly shardCount: number
}

export interface ProbeFailure {
  readonly kind: FailureKind
  /** When it stopped answering, monotonic milliseconds. */
  readonly sinceMs: number
  /**
   * Since when it hangs up on us: it refused or ended a connection and has not answered since. Absent when it
   * only fell silent, as behind a cut network.
   */
  readonly refusedSinceMs?: number
  readonly message: string
}

export type ProbeState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'up'; readonly facts: ServerFacts }
  | { readonly kind: 'down'; readonly failure: ProbeFailure }

export interface Observation {
  /** `host:port` as in the spec: the member's name everywhere. */
  readonly address: string
  /** Monotonic milliseconds of the last answer or failure. */
  readonly atMs: number
  readonly state: ProbeState
  /** What it said when it last answered, kept while it is down. */
  readonly last?: ServerFacts
}

/** Where a server is told to replicate from so that it follows nobody: nothing listens there. */
export const parkSource = { host: '127.0.0.1', port: 1 } as const

export function factsOf(observation: Observation | undefined): ServerFacts | undefined {
  return observation?.state.kind === 'up' ? observation.state.facts : undefined
}

export function failureOf(observation: Observation | undefined): ProbeFailure | undefined {
  return observation?.state.kind === 'down' ? observation.state.failure : undefined
}

export function isParked(facts: ServerFacts): boolean {
  return (
    facts.role === 'replica' &&
    facts.source?.host === parkSource.host &&
    facts.source.port === parkSource.port
  )
}

/** What a change of makes the controller look again at once; offsets and counters are not among it. */
export function materialDigest(observation: Observation): string {
  const { state } = observation
  if (state.kind === 'unknown') return 'unknown'
  if (state.kind === 'down') return `down ${state.failure.kind}`
  const { facts } = state
  const { source } = facts
  return [
    facts.role,
    facts.runId,
    facts.replId,
    facts.replId2,
    source === undefined ? '' : `${source.host}:${source.port}`,
    facts.isLinkUp,
    facts.isLoading,
    facts.isSyncing,
    facts.keyCount > 0,
    facts.priority === 0,
    facts.cluster?.isOk,
    facts.cluster?.slotsOk,
    facts.cluster?.shardCount,
    JSON.stringify(facts.guards),
  ].join(' ')
}
