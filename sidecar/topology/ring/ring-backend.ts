/**
 * Independent servers that share the keys by consistent hashing (`continuum.ts`). With `ejectAfter` a server that fails
 * is taken out, and its keys go to those next to it until it is back: what it held is then missing, and what was written
 * meanwhile is hidden when it returns. That is for caches; without, commands for its keys wait and fail.
 */
import type { Clock } from '../../../common/clock.ts'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { defaultRingEjectMs, ringTickMs, serverStallMs } from '../../../common/limits.ts'
import type { Log } from '../../../common/log.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import { findHashTag } from '../../../common/redis/slots.ts'
import type { Backend } from '../../route/backend.ts'
import type { UpstreamAccess } from '../../upstream/access.ts'
import { retryDelayMs } from '../../upstream/backoff.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { ServerPool } from '../../upstream/server-pool.ts'
import { targetOf } from '../../upstream/target.ts'
import type { TopologyView } from '../view.ts'
import { buildContinuum, ringName } from './continuum.ts'
import type { EjectionRules } from './ejection.ts'
import { type HashKey, keyHashes } from './key-hash.ts'
import { RingShard } from './ring-shard.ts'
import { viewRing } from './ring-view.ts'
import { tryServer } from './try-server.ts'

export interface RingModules {
  readonly pool: Pick<ServerPool, 'get' | 'retain'>
  readonly access: UpstreamAccess
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** Commands may go elsewhere from now on. */
  readonly onChange: () => void
}

const emptyRing = buildContinuum([])
const part = { start: 0, end: 0 }

export class RingBackend implements Backend {
  readonly kind = 'ring'
  readonly splitsReads = false
  version = 0
  shards: readonly RingShard[] = []
  private readonly modules: RingModules
  private config: ProxyConfig | undefined
  /** With all servers, and with those that are in. */
  private whole = emptyRing
  private ring = emptyRing
  private hashKey: HashKey = keyHashes.fnv1a_64
  private tag: { readonly open: number; readonly close: number } | undefined
  private rules: EjectionRules = { after: undefined, forMs: 0 }
  private made = ''
  private timer: NodeJS.Timeout | undefined

  constructor(modules: RingModules) {
    this.modules = modules
  }

  /** Goes on with the members of `config`, after the pool. */
  use(config: ProxyConfig): void {
    this.config = config
    const { members, ring } = config.upstream
    this.hashKey = keyHashes[ring?.hash ?? 'fnv1a_64']
    const [open, close] = Buffer.from(ring?.hashTag ?? '{}')
    this.tag = open === undefined || close === undefined ? undefined : { open, close }
    this.rules = { after: ring?.ejectAfter, forMs: ring?.ejectMs ?? defaultRingEjectMs }
    const known = new Map(this.shards.map((one) => [keyOf(one.id, one.address), one]))
    const shards = new Map<string, RingShard>()
    for (const { host, port, name, weight = 1, zone } of members) {
      const address = { host, port }
      const id = name ?? ringName(address)
      const server = this.modules.pool.get(address, 'primary')
      if (server === undefined || shards.has(id)) continue
      const before = known.get(keyOf(id, address))
      const shard = before?.primary === server ? before : new RingShard(id, address, server)
      shard.zone = zone
      shard.weight = weight
      if (this.rules.after === undefined) shard.ejection.takeBack()
      shards.set(id, shard)
    }
    this.shards = [...shards.values()]
    // What it was told after this would be found by nobody: transactions begin anew where their keys are.
    this.modules.pool.retain(new Set(this.shards.map(({ primary }) => primary)), true)
    this.rebuild()
    clearInterval(this.timer)
    if (this.rules.after !== undefined) {
      this.timer = setInterval(() => this.tick(), ringTickMs).unref()
    }
    for (const shard of this.shards) this.noteView(shard.primary)
  }

  close(): void {
    clearInterval(this.timer)
    this.config = undefined
    this.made = ''
    this.shards = []
    this.whole = emptyRing
    this.ring = emptyRing
    this.version += 1
    this.modules.pool.retain(new Set(), true)
  }

  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void {
    const shard = this.shards.find(({ primary }) => primary === server)
    if (shard === undefined || this.rules.after === undefined) return
    if (shard.works) this.noteWorks(shard)
    else void this.watch(shard)
  }

  hashOf(bytes: Buffer, start: number, end: number): number {
    if (this.tag === undefined) return this.hashKey(bytes, start, end)
    part.start = start
    part.end = end
    findHashTag(bytes, part, this.tag)
    return this.hashKey(bytes, part.start, part.end)
  }

  isTogether(hash: number, other: number): boolean {
    return this.ring.ownerOf(hash) === this.ring.ownerOf(other)
  }

  shardOf(hash: number): RingShard | undefined {
    return this.shards[this.ring.ownerOf(hash)]
  }

  anyShard(seed: number): RingShard | undefined {
    const { shards } = this
    for (let tried = 0; tried < shards.length; tried += 1) {
      const shard = shards[(seed + tried) % shards.length]
      if (shard?.works === true && !shard.ejection.isOut) return shard
    }
    return shards[seed % Math.max(1, shards.length)]
  }

  /** Servers of a ring know nothing of each other. */
  onMoved(): undefined {
    return undefined
  }

  onAsk(): undefined {
    return undefined
  }

  lookAgain(): void {
    for (const shard of this.shards) this.noteView(shard.primary)
  }

  topologyView(): TopologyView {
    const shares = this.ring.shares(this.shards.length)
    return viewRing({ shards: this.shards, shares, version: this.version })
  }

  /** Failures are counted, one after the other, until it works again or is out. */
  private async watch(shard: RingShard): Promise<void> {
    if (shard.isTried || shard.ejection.isOut) return
    shard.isTried = true
    const isWatched = () => this.shards.includes(shard) && !shard.works && !shard.ejection.isOut
    for (let attempt = 0; isWatched(); attempt += 1) {
      // The first failure is the loss that was just seen; one that was never connected has not failed yet.
      const isLost = attempt === 0 && shard.hasWorked
      if (!isLost && (await this.isUsable(shard))) shard.ejection.failures = 0
      else if (isWatched() && shard.ejection.noteFailure(this.rules)) this.eject(shard)
      const waitMs = retryDelayMs(attempt, this.modules.random)
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref())
    }
    shard.isTried = false
    shard.hasWorked = shard.works
  }

  private async isUsable({ address }: RingShard): Promise<boolean> {
    const target = this.config && targetOf(this.config, address)
    return target === undefined || tryServer(target, this.modules.access)
  }

  /** The last one stays: there is nobody to take its keys. */
  private eject(shard: RingShard): void {
    const others = this.shards.filter((one) => one !== shard && !one.ejection.isOut)
    if (others.length === 0) return
    const { primary, ejection } = shard
    ejection.takeOut(this.rules, this.modules.clock.monotonicMs())
    // What it owes is not waited for: it would come too late.
    if (primary.isStalled) primary.onHung(serverStallMs, true)
    this.modules.log.warn(
      { server: formatHostPort(shard.address), failures: shard.ejection.failures },
      'a server was taken out of the ring; its keys go to others',
    )
    this.moveKeys()
  }

  private noteWorks(shard: RingShard): void {
    shard.hasWorked = true
    if (!shard.ejection.noteWorks(this.modules.clock.monotonicMs())) return
    const server = formatHostPort(shard.address)
    this.modules.log.info({ server }, 'a server is back in the ring')
    this.moveKeys()
  }

  private tick(): void {
    for (const shard of this.shards) if (shard.ejection.isOut && shard.works) this.noteWorks(shard)
  }

  private rebuild(): void {
    const made = JSON.stringify(
      this.shards.map(({ id, address, weight, ejection }) => [id, address, weight, ejection.isOut]),
    )
    if (made === this.made) return
    this.made = made
    this.whole = buildContinuum(this.shards.map(({ id, weight }) => ({ name: id, weight })))
    this.moveKeys()
  }

  private moveKeys(): void {
    this.ring = this.whole.only((index) => this.shards[index]?.ejection.isOut === false)
    this.version += 1
    this.modules.onChange()
  }
}

function keyOf(id: string, address: { readonly host: string; readonly port: number }): string {
  return `${id} ${formatHostPort(address)}`
}
