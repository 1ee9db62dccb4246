/** One failover under write load: who dies, who takes over, how long nobody could write, what was lost. */
import assert from 'node:assert/strict'
import { waitFor } from '../../cluster/index.ts'
import { killServer } from './process-kill.ts'
import type { World } from './world.ts'

export interface WriterStats {
  readonly acked: number
  readonly errors: Readonly<Record<string, number>>
  readonly stalls: readonly { readonly fromMs: number; readonly toMs: number }[]
  readonly lastAckMs: number
  /** Between two acknowledged writes, since the last mark. */
  readonly longestGapMs: number
}

export interface Verified {
  readonly acked: number
  readonly missingCount: number
  readonly missing: readonly string[]
}

export interface Trial {
  readonly how: string
  readonly from: string
  readonly to: string
  readonly epoch: number
  /** From the command to the first write that was acknowledged after it took effect. */
  readonly killToWriteMs: number
  /** How long no write was acknowledged. */
  readonly stallMs: number
  /** What the operator reported; unknown where the old primary came back as another process. */
  readonly lostBytes: number | undefined
}

const verifyMs = 600_000

export class Writer {
  private readonly world: World
  private readonly path: string

  constructor(world: World, pod: string) {
    this.world = world
    this.path = world.portOf(pod, 8080)
  }

  stats(): Promise<WriterStats> {
    return this.world.get(`${this.path}/stats`)
  }

  /** Reads all of it back, which takes a while after a long time of writing. */
  verify(): Promise<Verified> {
    return this.world.get(`${this.path}/verify`, verifyMs)
  }

  start(): Promise<WriterStats> {
    return this.world.post(`${this.path}/start`)
  }

  /** From here on the longest gap is counted. */
  mark(): Promise<WriterStats> {
    return this.world.post(`${this.path}/mark`)
  }

  stop(): Promise<WriterStats> {
    return this.world.post(`${this.path}/stop`)
  }
}

/** `redis-1.redis:6379` → `redis-1`. */
const podOf = (address: string) => address.split('.')[0] ?? ''

/** Resolves once every server is in its place and every sidecar knows. */
export function settled(world: World): Promise<unknown> {
  return waitFor(
    async () => {
      const { status } = await world.redisProxy()
      const members = status?.members ?? []
      const { connected = 0, current = -1 } = status?.sidecars ?? {}
      const isWhole =
        members.length === 3 &&
        members.every(({ state }) => state === 'Online') &&
        members.filter(({ role }) => role === 'replica').length === 2
      return status?.phase === 'Steady' && isWhole && connected > 0 && connected === current
    },
    { what: 'a primary with two replicas in sync', timeoutMs: 90_000 },
  )
}

/** Writes acknowledged this long after the new primary are writes to it. */
const goingOnMs = 200

/** @throws Error if no other server takes over, or writes do not go on */
export async function failover(
  world: World,
  writer: Writer,
  how: 'pod' | 'process',
): Promise<Trial> {
  const before = await world.redisProxy()
  const from = before.status?.primary?.address ?? ''
  const epoch = before.status?.epoch ?? 0
  const { stalls: former } = await writer.stats()
  const killedAtMs = Date.now()
  const done = await kill(world, podOf(from), how)
  const after = await waitFor(
    async () => {
      const proxy = await world.redisProxy()
      const { status } = proxy
      return (status?.epoch ?? 0) > epoch && status?.primary !== undefined && proxy
    },
    { what: `a new primary in place of ${from}`, timeoutMs: 60_000 },
  )
  const since = Date.parse(after.status?.primary?.since ?? '')
  const { stalls } = await waitFor(
    async () => {
      const stats = await writer.stats()
      return stats.lastAckMs > since + goingOnMs && stats
    },
    { what: 'writes to go on', timeoutMs: 30_000 },
  )
  // Others may be there: the machine is busy with a pod that starts.
  const stall = stalls
    .slice(former.length)
    .filter(({ toMs }) => toMs > killedAtMs)
    .toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))[0]
  assert.ok(stall, 'a writer notices that the primary is gone')
  await settled(world)
  const status = (await world.redisProxy()).status
  return {
    how: done,
    from,
    to: after.status?.primary?.address ?? '',
    epoch: after.status?.epoch ?? 0,
    killToWriteMs: stall.toMs - killedAtMs,
    stallMs: stall.toMs - stall.fromMs,
    lostBytes: status?.lastFailover?.lostBytes,
  }
}

async function kill(world: World, pod: string, how: 'pod' | 'process'): Promise<string> {
  if (how === 'process') return killServer(world, pod)
  await world.app(`delete pod ${pod} --grace-period=0 --force --wait=false`)
  return 'pod deleted'
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
}
