/** One shard of a cluster: the primary that owns slots, and the replicas that are read from, if any are. */
import type { Clock } from '../../../common/clock.ts'
import type { ReadSplit } from '../../../common/contract/proxy-config.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import type { ServerAddress, Shard } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { ReplicaGroup, type ReplicaPlace } from '../replication/replica-group.ts'

export class ClusterShard implements Shard {
  readonly id: string
  primary: ServerConnections
  /** The node that is the primary, and where it is. */
  primaryId: string
  address: ServerAddress
  /** Undefined while all is read from the primary. */
  replicas: ReplicaGroup | undefined
  /** When slots were last found to have come or gone; monotonic. */
  changedMs = Number.NEGATIVE_INFINITY
  private places = ''

  constructor(id: string, primaryId: string, address: ServerAddress, primary: ServerConnections) {
    this.id = id
    this.primaryId = primaryId
    this.address = address
    this.primary = primary
  }

  /** False if it is that one already. */
  lead(primaryId: string, address: ServerAddress, primary: ServerConnections): boolean {
    const isOther = primary !== this.primary
    this.primaryId = primaryId
    this.address = address
    this.primary = primary
    this.replicas?.follow(primary, this.primaryKey)
    return isOther
  }

  reader(sinceMs: number): ServerConnections | undefined {
    return this.replicas?.reader(sinceMs, this.changedMs)
  }

  /** Has these replicas read from, as `reads` has it; undefined: none. */
  use(places: readonly ReplicaPlace[], reads: ReadSplit | undefined, clock: Clock): void {
    if (reads === undefined) return this.close()
    const key = JSON.stringify([reads, places.map(({ address, zone }) => [address, zone])])
    const isOther = places.some(({ server }, at) => server !== this.replicas?.servers[at])
    if (key === this.places && !isOther) return
    this.places = key
    if (this.replicas === undefined) {
      this.replicas = new ReplicaGroup(this.primary, clock)
      this.replicas.follow(this.primary, this.primaryKey)
    }
    this.replicas.use(places, reads)
  }

  close(): void {
    this.places = ''
    this.replicas?.close()
    this.replicas = undefined
  }

  private get primaryKey(): string {
    return `${this.primaryId} ${formatHostPort(this.address)}`
  }
}
