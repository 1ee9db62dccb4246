/** One shard of a cluster: the primary that owns slots, and its replicas. */
import type { ServerAddress, Shard } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'

export class ClusterShard implements Shard {
  readonly id: string
  primary: ServerConnections
  /** The node that is the primary, and where it is. */
  primaryId: string
  address: ServerAddress

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
    return isOther
  }

  reader(_sinceMs: number): ServerConnections | undefined {
    return undefined
  }
}
