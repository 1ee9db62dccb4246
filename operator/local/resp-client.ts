/** A client just large enough for the demo: one connection, commands in order, replies as values. */
import { type Socket, createConnection } from 'node:net'
import { ErrorReply, type Reply, parseReply } from './reply.ts'

export class RespClient {
  private readonly socket: Socket
  private readonly waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] =
    []
  private buffer = ''
  private lost: Error | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => this.receive(chunk))
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('the connection was closed')))
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RespClient> {
    const socket = createConnection({ port, host })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RespClient(socket)
  }

  /** Rejects when the connection is lost or the server answers with an error. */
  async call(...args: readonly string[]): Promise<Reply> {
    if (this.lost !== undefined) throw this.lost
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.waiting.push({ resolve, reject })
    this.socket.write(`*${args.length}\r\n${parts.join('')}`)
    const reply = await promise
    if (reply instanceof ErrorReply) throw new Error(reply.text)
    return reply
  }

  get isLost(): boolean {
    return this.lost !== undefined
  }

  close(): void {
    this.socket.destroy()
  }

  private receive(chunk: string): void {
    this.buffer += chunk
    let parsed = parseReply(this.buffer, 0)
    while (parsed !== undefined) {
      this.buffer = this.buffer.slice(parsed.next)
      this.waiting.shift()?.resolve(parsed.reply)
      parsed = parseReply(this.buffer, 0)
    }
  }

  private fail(error: Error): void {
    this.lost ??= error
    for (const { reject } of this.waiting.splice(0)) reject(this.lost)
  }
}
