/**
 * A Redis or Valkey Cluster as the router sees it. Who owns which slot is what most primaries say (`merge.ts`); a server
 * that sends a command elsewhere is believed for that slot at once if the cluster knows the place, and the rest is looked
 * at again. Nothing is ever sent to an address that no trusted answer named.
 */
import type { Clock } from '../../../common/clock.ts'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { clusterAskedKeptMs } from '../../../common/limits.ts'
import type { Log } from '../../../common/log.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import { keySlot, slotCount } from '../../../common/redis/slots.ts'
import type { Backend, ServerAddress } from '../../route/backend.ts'
import type { UpstreamAccess } from '../../upstream/access.ts'
import type { Target } from '../../upstream/connect.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { ServerPool } from '../../upstream/server-pool.ts'
import { targetOf } from '../../upstream/target.ts'
import type { TopologyView } from '../view.ts'
import { ClusterMap } from './cluster-map.ts'
import type { ClusterShard } from './cluster-shard.ts'
import { viewCluster } from './cluster-view.ts'
import { Look, type LookResult } from './look.ts'
import { MovingSlots } from './moving-slots.ts'
import { LookPace } from './look-pace.ts'
import { NodeLink } from './node-link.ts'
import { type MergedNode, isSame } from './nodes.ts'
import { readerPlaces, replicasOf } from './readers.ts'
import type { Seed } from './seeds.ts'
import { saysTheSame } from './slot-map.ts'

export interface ClusterModules {
  readonly pool: Pick<ServerPool, 'get' | 'retain'>
  readonly access: UpstreamAccess
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** Commands that could not go anywhere may now, or go elsewhere. */
  readonly onChange: () => void
}

export class ClusterBackend implements Backend {
  readonly kind = 'cluster'
  version = 0
  splitsReads = false
  /** Looks that were begun, and those after which nothing could be concluded. */
  looks = 0
  looksFailed = 0
  private readonly modules: ClusterModules
  private readonly pace: LookPace
  private readonly map: ClusterMap
  private readonly moving = new MovingSlots(() => this.shards.map(({ primary }) => primary))
  private readonly links = new Map<string, NodeLink>()
  /** Servers that were asked although they own nothing, and until when they are kept. */
  private readonly asked = new Map<ServerConnections, number>()
  private config: ProxyConfig | undefined
  /** How the cluster is reached; another one makes a look that is under way worthless. */
  private way = ''

  constructor(modules: ClusterModules) {
    this.modules = modules
    const { clock, random, pool } = modules
    this.map = new ClusterMap((address) => pool.get(address, 'member'))
    this.pace = new LookPace({ clock, random, look: () => this.look() })
  }

  get shards(): readonly ClusterShard[] {
    return this.map.shards
  }

  /** Goes on with `config`, after the pool. What was learnt is kept if it names one of the same places. */
  use(config: ProxyConfig): void {
    const before = this.config
    this.config = config
    const { members, credentials, tls } = config.upstream
    const way = JSON.stringify([members, credentials, tls, config.timing.connectTimeoutMs])
    this.splitsReads = config.upstream.reads?.policy === 'readsToReplicas'
    if (this.splitsReads) this.moving.start()
    else this.moving.stop()
    if (way === this.way) return this.keepServers()
    this.way = way
    const isSamePlace = before?.upstream.members.some((one) =>
      members.some((other) => isSame(one, other)),
    )
    if (before !== undefined && isSamePlace !== true) this.forget()
    this.keepLinks(new Set())
    this.pace.start()
  }

  close(): void {
    this.way = ''
    this.config = undefined
    this.pace.stop()
    this.moving.stop()
    this.keepLinks(new Set())
    this.forget()
  }

  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void {
    for (const { primary, replicas } of this.shards) {
      replicas?.noteView(server)
      if (primary === server && server.view !== 'ok') this.pace.soon()
    }
  }

  /** A server can be asked aside. */
  noteReserve(server: ServerConnections): void {
    for (const { primary, replicas } of this.shards) {
      if (primary === server || replicas?.servers.includes(server)) replicas?.askSoon()
    }
  }

  hashOf(bytes: Buffer, start: number, end: number): number {
    return keySlot(bytes, start, end)
  }

  isTogether(hash: number, other: number): boolean {
    return hash === other
  }

  get soleShard(): ClusterShard | undefined {
    return this.map.sole
  }

  shardOf(hash: number): ClusterShard | undefined {
    return this.map.slots[hash]
  }

  anyShard(seed: number): ClusterShard | undefined {
    const { shards } = this
    for (let tried = 0; tried < shards.length; tried += 1) {
      const shard = shards[(seed + tried) % shards.length]
      if (shard?.primary.view === 'ok' && !shard.primary.isStalled) return shard
    }
    return shards[seed % Math.max(1, shards.length)]
  }

  onMoved(slot: number, address: ServerAddress): ServerConnections | undefined {
    const node = this.map.nodeAt(address)
    const server = node && this.connectionsTo(node)
    const isSlot = Number.isInteger(slot) && slot >= 0 && slot < slotCount
    if (node === undefined || server === undefined || !isSlot) {
      this.pace.soon()
      return undefined
    }
    if (this.map.slots[slot]?.primary === server) return server
    this.pace.later()
    if (this.map.believe(slot, node, this.looks)) this.changed()
    return server
  }

  isMoving(slot: number): boolean {
    return this.moving.has(slot)
  }

  onAsk(address: ServerAddress, slot = -1): ServerConnections | undefined {
    this.moving.note(slot, this.shardOf(slot)?.primary)
    const node = this.map.nodeAt(address)
    const server = node && this.connectionsTo(node)
    if (server === undefined) this.pace.soon()
    else this.asked.set(server, this.modules.clock.monotonicMs() + clusterAskedKeptMs)
    return server
  }

  lookAgain(): void {
    this.pace.soon()
  }

  topologyView(): TopologyView {
    const { map, version, splitsReads } = this
    const nowMs = this.modules.clock.monotonicMs()
    const { looks, looksFailed } = this
    return { ...viewCluster({ map, version, splitsReads, nowMs }), looks, looksFailed }
  }

  private connectionsTo({ address }: MergedNode): ServerConnections | undefined {
    return address && this.modules.pool.get(address, 'member')
  }

  /** A replica has what came with a slot, or does not: it is read from when it surely has. */
  private noteChange(): void {
    this.version += 1
    const nowMs = this.modules.clock.monotonicMs()
    for (const shard of this.shards) shard.changedMs = nowMs
  }

  private changed(): void {
    this.noteChange()
    this.modules.onChange()
  }

  private forget(): void {
    this.map.forget()
    this.asked.clear()
    this.modules.pool.retain(new Set(), true)
    this.version += 1
  }

  /** True if everything is known and can be used. */
  private async look(): Promise<boolean> {
    const { config, way, map } = this
    if (config === undefined) return true
    this.looks += 1
    const number = this.looks
    const look = this.newLook(config, number)
    const result = await look.run()
    if (way !== this.way) return false
    this.keepLinks(new Set(look.sample.map(formatHostPort)))
    if (result.kind === 'unknown') {
      this.looksFailed += 1
      return false
    }
    this.learn(result, number)
    return this.shards.every(({ primary }) => primary.view === 'ok') && !map.hasGaps
  }

  private newLook(config: ProxyConfig, turn: number): Look {
    const { map, shards } = this
    const ids = new Set(shards.map(({ primaryId }) => primaryId))
    const others = [...map.nodes.values()].filter(({ id }) => !ids.has(id))
    const ownerOf = (slot: number) => map.slots[slot]?.primaryId
    return new Look({
      seeds: config.upstream.members.map(({ host, port }) => ({ host, port })),
      timeoutMs: config.timing.connectTimeoutMs,
      link: (seed) => this.linkTo(seed, config),
      turn,
      known: {
        primaries: shards.map(({ address }) => address),
        others: others.flatMap(({ address }) => address ?? []),
        ids,
        isConfirmedBy: (answers) => answers.every((answer) => saysTheSame(answer, ownerOf)),
      },
    })
  }

  private learn(result: Exclude<LookResult, { readonly kind: 'unknown' }>, look: number): void {
    const { map } = this
    const isChanged =
      result.kind === 'elected'
        ? map.learn(result.judgement, result.judgement.answers, look)
        : map.learn(undefined, result.answers, look)
    if (isChanged) {
      this.noteChange()
      this.modules.log.info({ version: this.version, shards: map.shards.length }, 'slots changed')
    }
    this.keepServers()
    if (isChanged) this.modules.onChange()
  }

  /** Begins and ends connections as the map has it. */
  private keepServers(): void {
    const { config, shards, map } = this
    const { clock, pool } = this.modules
    if (config === undefined) return
    const { members, reads } = config.upstream
    const split = this.splitsReads ? reads : undefined
    const connect = (address: ServerAddress) => pool.get(address, 'reader')
    const kept = new Set(shards.map(({ primary }) => primary))
    for (const shard of shards) {
      const replicas = split === undefined ? [] : replicasOf(shard, map.nodes)
      shard.use(readerPlaces(replicas, members, connect), split, clock)
      for (const server of shard.replicas?.servers ?? []) kept.add(server)
    }
    const nowMs = clock.monotonicMs()
    for (const [server, untilMs] of this.asked) {
      if (untilMs < nowMs) this.asked.delete(server)
      else kept.add(server)
    }
    pool.retain(kept)
  }

  private linkTo({ address, name }: Seed, config: ProxyConfig): NodeLink {
    const key = `${name ?? ''} ${formatHostPort(address)}`
    const known = this.links.get(key)
    if (known !== undefined) return known
    const target = targetOf(config, address, 'member') as Target
    const { tls } = target
    const named =
      tls !== undefined && name !== undefined
        ? { ...target, tls: { ...tls, serverName: tls.serverName ?? name } }
        : target
    const link = new NodeLink(named, this.modules.access)
    this.links.set(key, link)
    return link
  }

  /** Ends the links to all other places. */
  private keepLinks(kept: ReadonlySet<string>): void {
    for (const [key, link] of this.links) {
      if (kept.has(formatHostPort(link.target.server))) continue
      link.close()
      this.links.delete(key)
    }
  }
}
