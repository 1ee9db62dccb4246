/** A cluster's topology without the data path: the connections to its servers, and who is believed to own what. */
import type { TestContext } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import { FileWatch } from '../../../common/secret-files.ts'
import { newCounters } from '../../../sidecar/data-plane.ts'
import { keySlot, slotCount } from '../../../common/redis/slots.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { Turn } from '../../../sidecar/net/turn.ts'
import { ClusterBackend } from '../../../sidecar/topology/cluster/index.ts'
import { UpstreamAccess } from '../../../sidecar/upstream/access.ts'
import { ScriptMemory } from '../../../sidecar/upstream/script-memory.ts'
import { ServerPool } from '../../../sidecar/upstream/server-pool.ts'
import type { RedisCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'

export interface Place {
  readonly host: string
  readonly port: number
}

export interface TopologyRig {
  readonly pool: ServerPool
  readonly backend: ClusterBackend
  readonly use: (config: ProxyConfig) => void
  /** Times that something changed. */
  readonly changes: () => number
  /** Port of the server that a slot is thought to be at; 0: nobody. */
  readonly ownerOf: (slot: number) => number
  readonly isComplete: () => boolean
}

export function clusterConfig(
  members: readonly Place[],
  upstream: Partial<ProxyConfig['upstream']> = {},
  timing: Partial<ProxyConfig['timing']> = {},
): ProxyConfig {
  const base = standaloneConfig({
    members: [...members],
    listeners: [{ host: '127.0.0.1', port: 0 }],
    logLevel: 'error',
  })
  return {
    ...base,
    upstream: { ...base.upstream, mode: 'cluster', discovery: 'self', ...upstream },
    timing: { ...base.timing, ...timing },
  }
}

export function startTopology(t: TestContext, config: ProxyConfig): TopologyRig {
  const counters = newCounters()
  const files = new FileWatch(silentLog, counters)
  const access = new UpstreamAccess(files, process.env)
  let changes = 0
  const nothing = () => {}
  const pool = new ServerPool(
    {
      onReady: nothing,
      onReserve: nothing,
      onViewChange: (server) => backend.noteView(server),
      onReadOnly: nothing,
    },
    {
      access,
      counters,
      log: silentLog,
      turn: new Turn(),
      random: Math.random,
      scripts: new ScriptMemory(),
      clock: systemClock,
    },
  )
  const backend = new ClusterBackend({
    pool,
    access,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    onChange: () => {
      changes += 1
    },
  })
  const use = (config: ProxyConfig) => {
    pool.use(config)
    backend.use(config)
  }
  const timer = setInterval(() => pool.watchLiveness(performance.now()), 100)
  t.after(() => {
    clearInterval(timer)
    backend.close()
    pool.disconnect()
    files.stop()
  })
  use(config)
  return {
    pool,
    backend,
    use,
    changes: () => changes,
    ownerOf: (slot) => Number(backend.shardOf(slot)?.primary.address?.split(':').at(-1) ?? 0),
    isComplete: () => backend.topologyView().slotsUncovered === 0,
  }
}

const redirectsMax = 100

/** A key of each slot. */
export const keyOfSlot: readonly string[] = findKeys()

function findKeys(): string[] {
  const keys: string[] = []
  for (let number = 0, found = 0; found < slotCount; number += 1) {
    const key = `k${number}`
    const slot = keySlot(Buffer.from(key), 0, key.length)
    if (keys[slot] !== undefined) continue
    keys[slot] = key
    found += 1
  }
  return keys
}

/**
 * Asks for a key of the slot as the router would, until a server answers; gives how often it was sent elsewhere, and
 * how long it took.
 */
export async function reach(
  { backend }: TopologyRig,
  slot: number,
): Promise<{ readonly redirects: number; readonly ms: number }> {
  const startedMs = performance.now()
  const request = encodeCommand(['GET', keyOfSlot[slot] ?? ''])
  let redirects = 0
  const ask = async (server = backend.shardOf(slot)?.primary): Promise<boolean> => {
    const [reply] = (await server?.askAside(request)?.catch(() => undefined)) ?? []
    if (reply !== undefined && reply.kind !== 'error') return true
    const [kind, , address = ''] = reply?.text.split(' ') ?? []
    if (kind !== 'MOVED' || redirects > redirectsMax) {
      backend.lookAgain()
      return false
    }
    redirects += 1
    const colon = address.lastIndexOf(':')
    const host = address.slice(0, colon)
    const next = backend.onMoved(slot, { host, port: Number(address.slice(colon + 1)) })
    return next !== undefined && ask(next)
  }
  await until(`slot ${slot} is reached`, () => ask())
  return { redirects, ms: performance.now() - startedMs }
}

/** Whether every slot is at the server that the cluster says. */
export async function isRight(rig: TopologyRig, cluster: RedisCluster): Promise<boolean> {
  const owners = new Int32Array(slotCount)
  for (const { port, slots, flags } of await cluster.view()) {
    if (!flags.includes('master')) continue
    for (const [first, last] of slots) owners.fill(port, first, last + 1)
  }
  return owners.every((port, slot) => rig.ownerOf(slot) === port)
}

/** Waits until all is known and connected, so that no look follows soon. */
export async function untilQuiet(rig: TopologyRig, cluster: RedisCluster): Promise<void> {
  await untilRight(rig, cluster)
  const { backend } = rig
  await until('every primary is connected', () =>
    backend.shards.every(({ primary }) => primary.view === 'ok'),
  )
  for (const last = backend.looks + 2; backend.looks < last; ) {
    const { looks } = backend
    backend.lookAgain()
    await until('the next look has begun', () => backend.looks > looks)
  }
  await untilRight(rig, cluster)
}

/** Waits until the map is that of the cluster; gives how long it took, ms. */
export async function untilRight(rig: TopologyRig, cluster: RedisCluster): Promise<number> {
  const startedMs = performance.now()
  const deadlineMs = 20_000
  await until('the slots are known as they are', () => isRight(rig, cluster), deadlineMs)
  return performance.now() - startedMs
}
