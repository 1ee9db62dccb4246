/**
 * Reading many keys at once: one MGET through the sidecar, beside a client that knows the cluster and asks its nodes
 * itself, pipelined, as such clients must. Both by the same library, in this process, one after the other.
 */
import { Cluster, Redis } from 'ioredis'
import { keyCount, manyKeys } from './model.ts'
import { type Spread, spreadOf } from './statistics.ts'

const callersAtOnce = 20
const keyDigits = 12

export interface ManyKeysPlan {
  readonly port: number
  readonly nodePorts: readonly number[]
  readonly rounds: number
  readonly isQuick: boolean
  readonly signal: AbortSignal
}

/** Sidecar divided by cluster client, round by round. */
export interface ManyKeys {
  readonly rate: Spread
  readonly p99: Spread
}

type Read = (keys: readonly string[]) => Promise<readonly (string | null)[]>

export async function measureManyKeys(plan: ManyKeysPlan): Promise<ManyKeys> {
  const roundMs = plan.isQuick ? 300 : 2000
  const sidecar = new Redis({ host: '127.0.0.1', port: plan.port })
  const nodes = plan.nodePorts.map((port) => ({ host: '127.0.0.1', port }))
  const cluster = new Cluster(nodes, { enableAutoPipelining: true })
  const bySidecar: Read = (keys) => sidecar.mget(...keys)
  const byClient: Read = (keys) => Promise.all(keys.map((key) => cluster.get(key)))
  try {
    await Promise.all([bySidecar(draw()), byClient(draw())])
    const rates: number[] = []
    const p99s: number[] = []
    for (let round = 0; round < plan.rounds; round += 1) {
      plan.signal.throwIfAborted()
      const order = round % 2 === 0 ? [bySidecar, byClient] : [byClient, bySidecar]
      const figures = new Map<Read, Figures>()
      for (const read of order) figures.set(read, await measure(read, roundMs))
      const [own, other] = [figures.get(bySidecar), figures.get(byClient)]
      if (own === undefined || other === undefined) continue
      rates.push(own.perSecond / other.perSecond)
      p99s.push(own.p99Ms / other.p99Ms)
    }
    return { rate: spreadOf(rates), p99: spreadOf(p99s) }
  } finally {
    sidecar.disconnect()
    cluster.disconnect()
  }
}

interface Figures {
  readonly perSecond: number
  readonly p99Ms: number
}

async function measure(read: Read, roundMs: number): Promise<Figures> {
  const times: number[] = []
  const start = performance.now()
  const caller = async () => {
    while (performance.now() - start < roundMs) {
      const begun = performance.now()
      const values = await read(draw())
      if (values.some((value) => value === null)) throw new Error('keys that exist were not found')
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: callersAtOnce }, caller))
  const elapsed = (performance.now() - start) / 1000
  const sorted = times.toSorted((a, b) => a - b)
  const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
  return { perSecond: times.length / elapsed, p99Ms }
}

/** As redis-benchmark names them. */
function draw(): string[] {
  return Array.from({ length: manyKeys }, () => {
    const number = Math.floor(Math.random() * keyCount)
    return `key:${String(number).padStart(keyDigits, '0')}`
  })
}
