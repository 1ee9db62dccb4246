/** A client that sees every reply, told as a value, and every end: it never connects again by itself. */
import { type Socket, createConnection } from 'node:net'
import { type Reply, decodeReply } from '../../../sidecar/resp/decode.ts'
import { ReplyScanner } from '../../../sidecar/resp/reply-scanner.ts'
import { encodeCommand } from '../../support/servers.ts'

interface Asked {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

export class WireClient {
  /** Called with what no command asked for; in RESP2 that is everything once `isListening`. */
  onMessage: (reply: Reply) => void = () => {}
  isListening = false
  private readonly socket: Socket
  private readonly asked: Asked[] = []
  private received: Buffer = Buffer.alloc(0)
  private isEnding = false
  private readonly onBroken: (error: Error) => void

  /** `onBroken`: it ended although nobody wanted it to. */
  constructor(port: number, onBroken: (error: Error) => void) {
    this.onBroken = onBroken
    this.socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (chunk: Buffer) => this.receive(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => this.end(new Error('the connection ended')))
  }

  /** @throws Error for an error reply too */
  async ask(...words: readonly string[]): Promise<Reply> {
    const reply = await this.askAny(...words)
    if (reply.kind === 'error') throw new Error(reply.text)
    return reply
  }

  askAny(...words: readonly string[]): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    if (this.isEnding) reject(new Error('the connection has ended'))
    else this.asked.push({ resolve, reject })
    this.send(...words)
    return promise
  }

  send(...words: readonly string[]): void {
    this.socket.write(encodeCommand(words))
  }

  close(): void {
    this.isEnding = true
    this.socket.destroy()
  }

  private receive(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk])
    for (;;) {
      const scanner = new ReplyScanner({
        allowsPushes: true,
        countsPushes: true,
        lineBytesMax: 1 << 20,
      })
      if (!scanner.scan(this.received, 0, this.received.length, 1)) {
        return this.end(new Error('a malformed reply came'))
      }
      if (scanner.count === 0) return
      const isPush = this.received[0] === '>'.charCodeAt(0)
      const reply = decodeReply(this.received.subarray(0, scanner.position))
      this.received = this.received.subarray(scanner.position)
      if (reply === undefined) continue
      if (isPush || this.isListening) this.onMessage(reply)
      else this.asked.shift()?.resolve(reply)
    }
  }

  private end(error: Error): void {
    for (const { reject } of this.asked.splice(0)) reject(error)
    if (!this.isEnding) this.onBroken(error)
    this.isEnding = true
    this.socket.destroy()
  }
}

export function numberOf(reply: Reply): number {
  return reply.kind === 'number' ? reply.value : Number.NaN
}

export function textsOf(reply: Reply): readonly string[] {
  if (reply.kind === 'list') return reply.items.flatMap(textsOf)
  return reply.kind === 'text' ? [reply.text] : []
}
