/** Clients that read and write through a front as fast as they are answered, and count what is wrong. */
import { once } from 'node:events'
import { type Socket, createConnection } from 'node:net'
import { type RedisServer, encodeCommand } from '../../support/servers.ts'
import { ReplyScanner } from '../../../sidecar/resp/reply-scanner.ts'
import type { Front } from './harness.ts'

const deadlineMs = 20_000

/** One command at a time; its reply as the bytes that came, as latin1. */
export class QuickClient {
  private readonly socket: Socket
  private received = ''
  private readonly scanner = new ReplyScanner({ allowsPushes: false, lineBytesMax: 1 << 20 })
  private waiting: PromiseWithResolvers<string> | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.waiting?.reject(new Error('the connection was closed')))
  }

  static async open(port: number): Promise<QuickClient> {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new QuickClient(socket)
  }

  /** @throws Error if the reply does not come */
  async ask(...words: readonly string[]): Promise<string> {
    const waiting = Promise.withResolvers<string>()
    this.waiting = waiting
    const late = () => waiting.reject(new Error(`no reply to ${words.join(' ')}`))
    const timer = setTimeout(late, deadlineMs)
    this.socket.write(encodeCommand(words))
    try {
      return await waiting.promise
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.socket.destroy()
  }

  private take(chunk: Buffer): void {
    this.received += chunk.toString('latin1')
    if (!this.scanner.scan(chunk, 0, chunk.length, 1) || this.scanner.count === 0) return
    const reply = this.received
    this.received = ''
    this.waiting?.resolve(reply)
  }
}

const errorsMax = 10

/** Runs `work` over and over in so many clients until it is stopped. */
export class Load {
  /** Rounds that were done, and what went wrong, of which the first are kept. */
  rounds = 0
  readonly errors: string[] = []
  /** Longest round, milliseconds. */
  longestMs = 0
  private isStopping = false
  private readonly running: Promise<void>[] = []
  private readonly clients: QuickClient[] = []

  static async start(
    front: Front,
    clientCount: number,
    work: (client: QuickClient, id: number, round: number) => Promise<string | undefined>,
  ): Promise<Load> {
    const load = new Load()
    for (let id = 0; id < clientCount; id += 1) {
      const client = await QuickClient.open(front.port)
      load.clients.push(client)
      load.running.push(load.run((round) => work(client, id, round)))
    }
    return load
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await Promise.all(this.running)
    for (const client of this.clients) client.close()
  }

  private async run(work: (round: number) => Promise<string | undefined>): Promise<void> {
    for (let round = 0; !this.isStopping; round += 1) {
      const startMs = performance.now()
      try {
        const wrong = await work(round)
        if (wrong !== undefined && this.errors.length < errorsMax) this.errors.push(wrong)
      } catch (error) {
        this.errors.push(String(error))
        return
      }
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs)
      this.rounds += 1
    }
  }
}

/** A reply other than the one that is wanted. */
export function unless(wanted: string, reply: string): string | undefined {
  return reply === wanted ? undefined : `${JSON.stringify(reply)} in place of ${wanted}`
}

export const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`

/** How often a server ran a command. A replica runs what is written at its primary, too. */
export async function callsOf(server: RedisServer, command: string): Promise<number> {
  const stats = await server.command('INFO', 'commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

/** Errors of one kind that a server answered. */
export async function errorsOf(server: RedisServer, code: string): Promise<number> {
  const stats = await server.command('INFO', 'errorstats')
  return Number(new RegExp(`errorstat_${code}:count=(\\d+)`).exec(stats)?.[1] ?? 0)
}
