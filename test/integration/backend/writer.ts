/** A client of one server that counts a key up, one write after the other, until a write is refused. */
import { type Socket, createConnection } from 'node:net'
import { type RedisServer, encodeCommand } from '../../support/servers.ts'

export class Writer {
  readonly key: string
  acked = 0
  /** The error reply that ended it. */
  refusal: string | undefined
  private readonly socket: Socket
  private readonly closed = Promise.withResolvers<void>()

  private constructor(server: RedisServer, key: string) {
    this.key = key
    this.socket = createConnection({ host: server.host, port: server.port, noDelay: true })
    this.socket.on('error', () => {})
    this.socket.once('close', () => this.closed.resolve())
    this.socket.on('data', (chunk: Buffer) => this.answered(chunk.toString('latin1')))
    this.write()
  }

  static start(server: RedisServer, key: string): Writer {
    return new Writer(server, key)
  }

  /** Resolves when it was refused or cut. */
  ended(): Promise<void> {
    return this.closed.promise
  }

  cut(): void {
    this.socket.destroy()
  }

  private write(): void {
    this.socket.write(encodeCommand(['INCR', this.key]))
  }

  private answered(reply: string): void {
    if (reply.startsWith(':')) {
      this.acked = Number(reply.slice(1))
      this.write()
      return
    }
    this.refusal = reply
    this.socket.destroy()
  }
}
