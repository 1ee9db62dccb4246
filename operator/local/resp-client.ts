/** A client just large enough for the demo: one connection, commands in order, replies as values. */
import { type Socket, createConnection } from 'node:net'

export type Reply = string | number | null | Error | readonly Reply[]

interface Parsed {
  readonly reply: Reply
  readonly next: number
}

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
    if (reply instanceof Error) throw reply
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
    let parsed = parse(this.buffer, 0)
    while (parsed !== undefined) {
      this.buffer = this.buffer.slice(parsed.next)
      this.waiting.shift()?.resolve(parsed.reply)
      parsed = parse(this.buffer, 0)
    }
  }

  private fail(error: Error): void {
    this.lost ??= error
    for (const { reject } of this.waiting.splice(0)) reject(this.lost)
  }
}

/** @returns undefined while the reply is incomplete */
function parse(text: string, start: number): Parsed | undefined {
  const end = text.indexOf('\r\n', start)
  if (end < 0) return undefined
  const line = text.slice(start + 1, end)
  const next = end + 2
  switch (text.charAt(start)) {
    case '+':
      return { reply: line, next }
    case '-':
      return { reply: new Error(line), next }
    case ':':
      return { reply: Number(line), next }
    case '$':
      return parseBulk(text, Number(line), next)
    case '*':
      return parseArray(text, Number(line), next)
    default:
      throw new Error(`not a reply: ${JSON.stringify(text.slice(start, start + 20))}`)
  }
}

function parseBulk(text: string, length: number, start: number): Parsed | undefined {
  if (length < 0) return { reply: null, next: start }
  const next = start + length + 2
  return text.length < next ? undefined : { reply: text.slice(start, start + length), next }
}

function parseArray(text: string, count: number, start: number): Parsed | undefined {
  const items: Reply[] = []
  let next = start
  for (let index = 0; index < count; index += 1) {
    const item = parse(text, next)
    if (item === undefined) return undefined
    items.push(item.reply)
    next = item.next
  }
  return { reply: count < 0 ? null : items, next }
}
