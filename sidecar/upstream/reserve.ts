/**
 * A connection that carries no client’s commands, so that none can hold up what ends them. It is opened before it is
 * needed: a server that runs a script answers no new connection.
 */
import type { Reply } from '../resp/decode.ts'
import type { UpstreamConnection } from './connection.ts'

/** Connects in its own time; rejects when that was given up. Undefined while there is nothing to connect to. */
export type OpenReserve = (
  own: (connection: UpstreamConnection) => void,
) => Promise<unknown> | undefined

export class Reserve {
  private readonly open: OpenReserve
  private connection: UpstreamConnection | undefined
  private isOpening = false

  constructor(open: OpenReserve) {
    this.open = open
  }

  get isOpen(): boolean {
    return this.connection !== undefined
  }

  /** Opens it if need be, and again whenever it ends. */
  keep(): void {
    if (this.connection !== undefined || this.isOpening) return
    const opened = this.open((connection) => {
      this.isOpening = false
      this.use(connection)
    })
    if (opened === undefined) return
    this.isOpening = true
    const settle = () => {
      this.isOpening = false
    }
    opened.then(settle, settle)
  }

  /** Uses one that was opened otherwise. */
  use(connection: UpstreamConnection): void {
    this.connection = connection
    connection.socket.once('close', () => {
      if (this.connection !== connection) return
      this.connection = undefined
      this.keep()
    })
  }

  end(): void {
    this.connection?.destroy()
    this.connection = undefined
  }

  /** Undefined while there is none. @throws UpstreamError RM_UPSTREAM_LOST */
  ask(request: Buffer): Promise<readonly Reply[]> | undefined {
    return this.connection?.ask(request, 1)
  }
}
