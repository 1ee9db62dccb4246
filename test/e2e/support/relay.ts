/** A TCP relay that can do what networks do: reset connections, or let them fall silent. */
import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'

export class Relay {
  private readonly server: Server
  private readonly pairs = new Set<readonly [Socket, Socket]>()
  private isSilent = false

  private constructor(server: Server) {
    this.server = server
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<Relay> {
    const relay = new Relay(
      createServer((client) => {
        const upstream = connect(target)
        const pair = [client, upstream] as const
        relay.pairs.add(pair)
        for (const socket of pair) {
          socket.on('error', () => {})
          socket.on('close', () => {
            relay.pairs.delete(pair)
            for (const other of pair) other.destroy()
          })
        }
        if (relay.isSilent) return
        client.pipe(upstream)
        upstream.pipe(client)
      }),
    )
    relay.server.listen(0, '127.0.0.1')
    await once(relay.server, 'listening')
    return relay
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** Ends every connection with RST; new ones work. */
  reset(): void {
    for (const [client, upstream] of this.pairs) {
      client.resetAndDestroy()
      upstream.destroy()
    }
  }

  /** Nothing passes on the connections that are open, which stay open; with `isForAll` nor on new ones. */
  silence(isForAll = false): void {
    for (const [client, upstream] of this.pairs) {
      client.unpipe()
      upstream.unpipe()
      client.resume()
      upstream.resume()
    }
    this.isSilent = isForAll
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve())
    })
    for (const pair of this.pairs) for (const socket of pair) socket.destroy()
    await closed
  }
}
