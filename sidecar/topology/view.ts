/**
 * What is shown of a topology: plain values, as they are at this moment, that go to the admin port, the command line and
 * the metrics as they are. Bounded as the topology itself is.
 */

export interface TopologyView {
  readonly kind: 'standalone' | 'replication' | 'cluster' | 'ring'
  /** Of the backend; rises when commands go elsewhere than before. */
  readonly version: number
  /** Whether reads go to replicas. */
  readonly splitsReads: boolean
  /** In the order of the backend. */
  readonly shards: readonly ShardView[]
  /** Hash slots that nobody is known to have; 0 where there are none. */
  readonly slotsUncovered: number
  /** Times that servers were asked for the slots, and that nothing could be concluded; only of a cluster. */
  readonly looks?: number
  readonly looksFailed?: number
}

export interface ShardView {
  readonly id: string
  /** Ranges of hash slots, both ends included; only of a cluster. */
  readonly slots?: readonly (readonly [first: number, last: number])[]
  /** Share of the keys, 0 to 1; only of a ring. */
  readonly keyShare?: number
  /** The primary first. */
  readonly members: readonly MemberView[]
}

export interface MemberView {
  /** `host:port`, or the path of a unix socket. */
  readonly address: string
  /** Its node id in a cluster, its name in a ring. */
  readonly name?: string
  readonly zone?: string
  readonly role: 'primary' | 'replica' | 'unknown'
  readonly state: MemberState
  /** Whether it is given what its role can take; a primary that cannot be written to is not. */
  readonly isFit: boolean
  /** Why it is not. */
  readonly reason?: UnfitReason
  /** How far a replica is behind its primary, as far as is known: at most so much. */
  readonly lagBytes?: number
  readonly lagSeconds?: number
  /** Smoothed time of one question and its answer. */
  readonly latencyMs?: number
  readonly inFlightCommands: number
  readonly connections: number
  /** Over connections that clients share, since there were connections to it. */
  readonly commandsSent: number
}

/**
 * `connecting`: no connection can be used; `ready`; `stalled`: it owes replies and says nothing; `ejected`: taken out of
 * a ring for a while.
 */
export type MemberState = 'connecting' | 'ready' | 'stalled' | 'ejected'

export const unfitReasons = [
  /** There is no connection to it; a server that loads its data takes none. */
  'connecting',
  'stalled',
  'ejected',
  /** It did not answer the last question about its state in time. */
  'silent',
  /** Nothing is known yet of what it has. */
  'unknown',
  /** It receives all data anew. */
  'syncing',
  /** Its link to the primary is down, and the primary is up. */
  'linkDown',
  /** It follows another primary, or has another history of writes. */
  'lineage',
  /** It is not a replica any more. */
  'promoted',
  'lagSeconds',
  'lagBytes',
  /** The cluster says that it failed. */
  'failed',
  /** Nothing is sent to it, and so nothing is known of it. */
  'unused',
] as const

export type UnfitReason = (typeof unfitReasons)[number]

/** What a connection to a server says of its state. */
export function memberState(server: {
  readonly view: 'ok' | 'failing' | 'none'
  readonly isStalled: boolean
}): MemberState {
  if (server.isStalled) return 'stalled'
  return server.view === 'ok' ? 'ready' : 'connecting'
}
