/** The connections to one server that clients have for themselves, and those that are kept open for the next. */
import { UpstreamError } from '../../common/errors.ts'
import { pinnedConnectionsMax, pinnedIdleMax } from '../../common/limits.ts'
import type { ProtocolVersion, UpstreamConnection } from './connection.ts'

/** Opens a connection, which `own` is given before anything else can happen. */
export type OpenOwn = (own: (connection: UpstreamConnection) => void) => Promise<UpstreamConnection>

export class OwnConnections {
  max = pinnedConnectionsMax
  private readonly idle: UpstreamConnection[] = []
  private readonly taken = new Set<UpstreamConnection>()
  private openingCount = 0

  get takenCount(): number {
    return this.taken.size
  }

  get openCount(): number {
    return this.taken.size + this.idle.length
  }

  /** The versions of RESP that those in use speak. */
  protocols(): readonly ProtocolVersion[] {
    return Array.from(this.taken, ({ protocol }) => protocol)
  }

  /** One that is open and clean, if there is one. */
  takeIdle(protocol: ProtocolVersion): UpstreamConnection | undefined {
    const index = this.idle.findIndex((connection) => connection.protocol === protocol)
    if (index < 0) return undefined
    const [connection] = this.idle.splice(index, 1)
    if (connection === undefined || connection.isClosed) return undefined
    this.taken.add(connection)
    return connection
  }

  /** @throws UpstreamError RM_OVERLOADED at the bound, or what `open` throws */
  async open(open: OpenOwn): Promise<UpstreamConnection> {
    if (this.taken.size + this.openingCount >= this.max) {
      throw new UpstreamError('RM_OVERLOADED', 'too many clients need a connection of their own')
    }
    this.openingCount += 1
    try {
      return await open((connection) => {
        this.taken.add(connection)
        connection.socket.once('close', () => this.taken.delete(connection))
      })
    } finally {
      this.openingCount -= 1
    }
  }

  /** Takes one back; only a clean one is kept. */
  release(connection: UpstreamConnection, isClean: boolean): void {
    const isOurs = this.taken.delete(connection)
    if (!isOurs || !isClean) connection.destroy()
    else this.keep(connection)
  }

  /** Keeps an open connection for the next, if there is room. */
  keep(connection: UpstreamConnection): void {
    if (connection.isClosed || this.idle.length >= pinnedIdleMax) connection.destroy()
    else this.idle.push(connection)
  }

  /** It serves all clients from now on. */
  giveAway(connection: UpstreamConnection): void {
    this.taken.delete(connection)
  }

  end(): void {
    for (const connection of this.idle.splice(0)) connection.destroy()
    for (const connection of this.taken) connection.destroy()
    this.taken.clear()
  }
}
