/** One server of a ring: the way to it, and whether it is in. */
import type { ServerAddress, Shard } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { Ejection } from './ejection.ts'

export class RingShard implements Shard {
  /** What the ring hashes. */
  readonly id: string
  readonly address: ServerAddress
  readonly primary: ServerConnections
  readonly ejection = new Ejection()
  zone: string | undefined
  weight = 1
  /** Whether it was connected since it was last found to fail. */
  hasWorked = false
  /** A connection is tried, to see whether the server works. */
  isTried = false

  constructor(id: string, address: ServerAddress, primary: ServerConnections) {
    this.id = id
    this.address = address
    this.primary = primary
  }

  get works(): boolean {
    return this.primary.view === 'ok' && !this.primary.isStalled
  }

  /** Servers of a ring are no replicas of each other. */
  reader(): undefined {
    return undefined
  }
}
