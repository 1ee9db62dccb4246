/** Writes unique keys through a sidecar, several at a time, and remembers which were acknowledged and when. */
import { setTimeout as delay } from 'node:timers/promises'
import { RespClient } from './resp-client.ts'

export interface WriterOptions {
  readonly port: number
  readonly prefix: string
  readonly connections: number
  /** Pause between two writes of one connection. */
  readonly paceMs: number
}

export interface WriterFigures {
  readonly acked: number
  readonly errors: number
  /** Of each error text, its first word and how often. */
  readonly errorKinds: Readonly<Record<string, number>>
}

const verifyBatch = 500
const reconnectMs = 5

export class Writer {
  private readonly options: WriterOptions
  private readonly ackedKeys: string[] = []
  private readonly errorKinds = new Map<string, number>()
  private readonly waiters = new Set<() => void>()
  private readonly running: Promise<void>[]
  private next = 0
  private isStopping = false
  /** Of the latest acknowledged write: when it was sent and when acknowledged. */
  private firstAfter: { readonly sentMs: number; readonly ackedMs: number } | undefined
  private watchFromMs = Number.POSITIVE_INFINITY

  constructor(options: WriterOptions) {
    this.options = options
    this.running = Array.from({ length: options.connections }, () => this.write())
  }

  figures(): WriterFigures {
    const errors = [...this.errorKinds.values()].reduce((sum, count) => sum + count, 0)
    return {
      acked: this.ackedKeys.length,
      errors,
      errorKinds: Object.fromEntries(this.errorKinds),
    }
  }

  /** Resolves when this many more writes were acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.ackedKeys.length + count
    await this.until(() => this.ackedKeys.length >= goal)
  }

  /** Begins to look for the first write that is sent from now on and acknowledged. */
  mark(): void {
    this.firstAfter = undefined
    this.watchFromMs = performance.now()
  }

  /** When that write was acknowledged, by `performance.now()`. */
  async firstAckAfterMark(): Promise<number> {
    await this.until(() => this.firstAfter !== undefined)
    return this.firstAfter?.ackedMs ?? Number.NaN
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await Promise.all(this.running)
  }

  /** Acknowledged keys that the server at `port` has not got, or has with another value. */
  async missingAt(port: number): Promise<readonly string[]> {
    const client = await RespClient.connect(port)
    const missing: string[] = []
    for (let start = 0; start < this.ackedKeys.length; start += verifyBatch) {
      const keys = this.ackedKeys.slice(start, start + verifyBatch)
      const values = await client.call('MGET', ...keys)
      const found = Array.isArray(values) ? values : []
      missing.push(...keys.filter((key, index) => found[index] !== valueOf(key)))
    }
    client.close()
    return missing
  }

  private async write(): Promise<void> {
    let client: RespClient | undefined
    while (!this.isStopping) {
      try {
        client = client === undefined || client.isLost ? await this.connect() : client
        await this.writeOne(client)
      } catch (error) {
        const [kind = 'unknown'] = (error instanceof Error ? error.message : String(error)).split(
          ' ',
        )
        this.errorKinds.set(kind, (this.errorKinds.get(kind) ?? 0) + 1)
        await delay(reconnectMs)
      }
      await delay(this.options.paceMs)
    }
    client?.close()
  }

  private connect(): Promise<RespClient> {
    return RespClient.connect(this.options.port)
  }

  private async writeOne(client: RespClient): Promise<void> {
    this.next += 1
    const key = `${this.options.prefix}:${this.next}`
    const sentMs = performance.now()
    await client.call('SET', key, valueOf(key))
    const ackedMs = performance.now()
    this.ackedKeys.push(key)
    if (sentMs >= this.watchFromMs) this.firstAfter ??= { sentMs, ackedMs }
    for (const waiter of this.waiters) waiter()
  }

  private async until(isTrue: () => boolean): Promise<void> {
    if (isTrue()) return
    await new Promise<void>((resolve) => {
      const waiter = () => {
        if (!isTrue()) return
        this.waiters.delete(waiter)
        resolve()
      }
      this.waiters.add(waiter)
    })
  }
}

function valueOf(key: string): string {
  return `value-of-${key}`
}
