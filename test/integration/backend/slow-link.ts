/** A way to a server that can be made to carry nothing, without being cut. */
import { type Server, type Socket, connect, createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export class SlowLink {
  private readonly listener: Server
  private readonly sockets = new Set<Socket>()

  private constructor(listener: Server) {
    this.listener = listener
  }

  static async to(port: number): Promise<SlowLink> {
    const listener = createServer()
    const link = new SlowLink(listener)
    listener.on('connection', (near) => {
      const far = connect({ host: '127.0.0.1', port, noDelay: true })
      for (const socket of [near, far]) {
        link.sockets.add(socket)
        socket.on('error', () => {})
        socket.once('close', () => link.sockets.delete(socket))
      }
      near.pipe(far).pipe(near)
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    return link
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port
  }

  stall(): void {
    for (const socket of this.sockets) socket.unpipe().pause()
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.listener.close()
  }
}
