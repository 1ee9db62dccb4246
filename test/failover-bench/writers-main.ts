/**
 * Clients of one node of a lab, as an application has them: ioredis, one write after the other, the next only after the
 * reply. Every value is written once, so that what is missing or there twice later can be told.
 */
import { Redis } from 'ioredis'
import { setTimeout as delay } from 'node:timers/promises'
import type { WriterOrder, WriterResult, WriterSettings } from './writers.ts'

const gapMinMs = 1
const gapsMax = 20_000
const warmUp = 50
const afterErrorMs = 5

const settings = JSON.parse(process.env['BENCH_WRITERS'] ?? '{}') as WriterSettings
const wallMs = () => performance.timeOrigin + performance.now()

function connect(): Redis {
  const { target } = settings
  const options =
    target.kind === 'address'
      ? { host: target.host, port: target.port }
      : // Without the detector a client stays with a server that is cut off until the kernel gives it up.
        { sentinels: [...target.sentinels], name: target.name, failoverDetector: true }
  return new Redis(options).on('error', () => {})
}

class Writer {
  private client = connect()
  private readonly name: string
  private running: Promise<void> | undefined
  private isStopping = false
  private result: WriterResult

  constructor(name: string) {
    this.name = name
    this.result = this.empty('')
  }

  get count(): number {
    return this.result.sent - this.result.failures.length
  }

  /** In this pass nothing that was counted before counts. */
  begin(pass: string): void {
    this.isStopping = false
    this.result = this.empty(`${pass}:${this.name}`)
    this.running = this.run()
  }

  async end(): Promise<WriterResult> {
    this.isStopping = true
    await this.running
    return this.result
  }

  private empty(key: string): WriterResult {
    return { key, sent: 0, failures: [], ackedAtMs: [], gaps: [], firstMs: wallMs(), lastMs: 0 }
  }

  private async run(): Promise<void> {
    const { result } = this
    let lastMs = wallMs()
    while (!this.isStopping) {
      const value = result.sent
      result.sent += 1
      try {
        await this.client.rpush(result.key, value)
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error)
        result.failures.push({ value, atMs: wallMs(), text })
        if (settings.isTimed === true) result.ackedAtMs.push(0)
        await delay(afterErrorMs)
        // With the detector one that is told of a failover while it reconnects has ended for good.
        if (this.client.status === 'end') this.client = connect()
        continue
      }
      const nowMs = wallMs()
      if (nowMs - lastMs >= gapMinMs && result.gaps.length < gapsMax) {
        result.gaps.push([lastMs, nowMs])
      }
      if (settings.isTimed === true) result.ackedAtMs.push(nowMs)
      lastMs = nowMs
      result.lastMs = nowMs
      if (settings.paceMs > 0) await delay(settings.paceMs)
    }
  }
}

const writers = settings.names.map((name) => new Writer(name))

async function obey(order: WriterOrder): Promise<void> {
  if (order.kind === 'begin') {
    for (const writer of writers) writer.begin(order.pass)
    while (writers.some(({ count }) => count < warmUp)) await delay(5)
    process.send?.({ kind: 'warm' })
  } else if (order.kind === 'progress') {
    const counts = writers.map(({ count }) => count)
    while (writers.some(({ count }, index) => count < (counts[index] ?? 0) + order.commands)) {
      await delay(2)
    }
    process.send?.({ kind: 'progressed' })
  } else {
    const results = await Promise.all(writers.map((writer) => writer.end()))
    process.send?.({ kind: 'results', results })
  }
}

process.on('message', (order: WriterOrder) => void obey(order))
process.on('disconnect', () => process.exit(1))
