/** A RESP2 client over a unix socket: commands in order, replies as values, errors among them. */
import { type Socket, createConnection } from 'node:net'

export type Reply = string | number | null | ErrorReply | readonly Reply[]

/** What a server answered with `-`. */
export class ErrorReply {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

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
    for (let parsed = parse(text, 0); parsed !== undefined; parsed = parse(text, start)) {
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

interface Parsed {
  readonly reply: Reply
  readonly next: number
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
      return { reply: new ErrorReply(line), next }
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
