/** A RESP2 client over a unix socket: commands in order, replies as values, errors among them. */
import { type Socket, createConnection } from 'node:net'
import { ErrorReply, type Reply, parseReply } from '../../../operator/local/reply.ts'

export { ErrorReply, type Reply }

/** A simple reply as text; '' for none. */
export function textOf(reply: Reply): string {
  if (reply instanceof ErrorReply) return reply.text
  return typeof reply === 'string' || typeof reply === 'number' ? String(reply) : ''
}

interface Waiting {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

export class Client {
  private readonly socket: Socket
  private readonly waiting: Waiting[] = []
  private chunks: string[] = []
  private lost: Error | undefined
  /** Takes what no command waits for, as of MONITOR. */
  onPush: (reply: Reply) => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => this.receive(chunk))
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('the connection was closed')))
  }

  static async connect(path: string): Promise<Client> {
    const socket = createConnection({ path })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return new Client(socket)
  }

  /** @returns the reply, an `ErrorReply` too. @throws Error when the connection is lost before it came */
  call(...args: readonly string[]): Promise<Reply> {
    if (this.lost !== undefined) return Promise.reject(this.lost)
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.waiting.push({ resolve, reject })
    this.socket.write(`*${args.length}\r\n${parts.join('')}`)
    return promise
  }

  get isLost(): boolean {
    return this.lost !== undefined
  }

  close(): void {
    this.socket.destroy()
  }

  private receive(chunk: string): void {
    this.chunks.push(chunk)
    if (!chunk.endsWith('\r\n')) return
    const text = this.chunks.join('')
    let start = 0
    for (let parsed = parseReply(text, 0); parsed !== undefined; parsed = parseReply(text, start)) {
      start = parsed.next
      const waiting = this.waiting.shift()
      if (waiting === undefined) this.onPush(parsed.reply)
      else waiting.resolve(parsed.reply)
    }
    this.chunks = start === text.length ? [] : [text.slice(start)]
  }

  private fail(error: Error): void {
    this.lost ??= error
    for (const { reject } of this.waiting.splice(0)) reject(this.lost)
  }
}
