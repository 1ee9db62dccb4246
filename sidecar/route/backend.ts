/**
 * What the router asks of a backend that has more than one server to choose from: which shard a key belongs to, and
 * which of its servers takes a command. Implemented by `topology/` for replication with read split, clusters and rings.
 *
 * All answers are those of this moment and cost no wait. What was learnt since raises `version`.
 */
import type { Clock } from '../../common/clock.ts'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { Log } from '../../common/log.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import type { TopologyView } from '../topology/view.ts'
import type { ServerPool } from '../upstream/server-pool.ts'

/** A server as it is named in a redirect. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
}

/** A primary and its replicas, which own a part of the keys. */
export interface Shard {
  /** Stays the same as long as the shard does, whatever becomes of its servers. */
  readonly id: string
  /** Takes everything; it may not be ready. */
  readonly primary: ServerConnections
  /**
   * A replica that is fit for a read now; undefined: none is, the primary is to be asked. `sinceMs` (monotonic) is when
   * the client was last answered a write, which it may want to see; negative infinity if it never wrote, positive
   * infinity while a write is in flight.
   */
  reader(sinceMs: number): ServerConnections | undefined
}

export interface Backend {
  readonly kind: 'replication' | 'cluster' | 'ring'
  /**
   * Rises when a command that changes something may go elsewhere than before. Replies that are owed by servers of an
   * older version are waited for before a client’s next command is sent, so that its commands keep their order.
   */
  readonly version: number
  /** In an order that stays the same while the version does. */
  readonly shards: readonly Shard[]
  /** Whether a read may go to a replica. */
  readonly splitsReads: boolean
  /** The number by which keys find their shard: the slot of a cluster, the point of a ring. */
  hashOf(bytes: Buffer, start: number, end: number): number
  /** Whether one command may name keys of both: in a cluster only those of one slot, in a ring those of one server. */
  isTogether(hash: number, other: number): boolean
  /** Has whatever key there is; undefined: several have, or some are nobody’s. */
  readonly soleShard?: Shard | undefined
  /** Undefined while nobody is known to have it. */
  shardOf(hash: number): Shard | undefined
  /** Some shard that can be used now, for what needs none in particular; the same for the same seed, if it can. */
  anyShard(seed: number): Shard | undefined
  /**
   * A server said that another has `slot`. Learns it, has the rest looked at, and gives the connections to ask next;
   * undefined: the address is none of this backend’s (a hostile or broken redirect), and nothing is done.
   */
  onMoved(slot: number, address: ServerAddress): ServerConnections | undefined
  /** A server said that one command is to be sent to another, after ASKING. */
  onAsk(address: ServerAddress, slot?: number): ServerConnections | undefined
  /** Whether its keys are on their way to another shard, so that replicas may not know where they are. */
  isMoving?(hash: number): boolean
  /** A server said that it cannot serve, or could not be reached: the backend is looked at again, soon. */
  lookAgain(): void
}

/** What every implementation is made of. */
export interface BackendModules {
  /** Where its connections come from; `retain` is the backend’s to call when its topology changed. */
  readonly pool: ServerPool
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** Something may go elsewhere than before, or can go now: commands that are held are tried again. */
  readonly onChange: () => void
}

/** A backend and its life: made for one mode, told every configuration of that mode, closed when another comes. */
export interface RunningBackend extends Backend {
  /** Obeys `config` from now on; the pool has been told it before. */
  use(config: ProxyConfig): void
  /** Learns nothing more, and leaves its connections. */
  close(): void
  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void
  /** A server can be asked aside of the commands of clients. */
  noteReserve?(server: ServerConnections): void
  topologyView(): TopologyView
}
