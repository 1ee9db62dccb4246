/**
 * What is known of a cluster at this moment: its nodes, its shards and the slots that they own. It changes by what most
 * primaries say, and by redirects, which are believed for their slot until the next look.
 */
import { formatHostPort } from '../../../common/redis/url.ts'
import { slotCount } from '../../../common/redis/slots.ts'
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { Answer } from './answer.ts'
import { ClusterShard } from './cluster-shard.ts'
import { type Judgement, nobody } from './merge.ts'
import { type MergedNode, mergeNodes } from './nodes.ts'

/** The connections to a primary; undefined if there can be none. */
export type Connect = (address: ServerAddress) => ServerConnections | undefined

export class ClusterMap {
  shards: readonly ClusterShard[] = []
  readonly slots: (ClusterShard | undefined)[] = Array.from({ length: slotCount })
  /** Owns every slot. */
  sole: ClusterShard | undefined
  nodes: ReadonlyMap<string, MergedNode> = new Map()
  private readonly connect: Connect
  /** By id: whom a node followed when it was last seen to follow one. Its roles may be seen to change before its slots. */
  private readonly followed = new Map<string, string>()
  /** Node ids by every name that leads to them. */
  private names: ReadonlyMap<string, string> = new Map()
  /** Slots that a redirect told of, with the number of the look before it. */
  private readonly hints = new Map<number, number>()

  constructor(connect: Connect) {
    this.connect = connect
  }

  get hasGaps(): boolean {
    return this.slots.includes(undefined)
  }

  /** The node that goes by this name, if any does. A server that does not say its host means its own. */
  nodeAt({ host, port }: ServerAddress): MergedNode | undefined {
    const name = formatHostPort({ host: host.toLowerCase(), port })
    const id = this.names.get(name)
    if (id !== undefined) return this.nodes.get(id)
    if (host !== '' && host !== '?') return undefined
    const there = [...this.nodes.values()].filter(({ address }) => address?.port === port)
    return there.length === 1 ? there[0] : undefined
  }

  /**
   * A server said that `node` has the slot; true if that is new. Once between two looks, the last of which is `look`:
   * servers that contradict each other cannot keep us turning.
   */
  believe(slot: number, node: MergedNode, look: number): boolean {
    const present = this.slots[slot]
    if (present?.primaryId === node.id || this.hints.has(slot)) return false
    const known = this.shards.find(({ primaryId }) => primaryId === node.id)
    if (known === undefined && present !== undefined && this.isPairOf(node, present)) {
      // A replica that a slot of its shard moved to has become the primary of all of them.
      if (!this.lead(present, node)) return false
    } else {
      const shard = known ?? this.create(node)
      if (shard === undefined) return false
      if (known === undefined) this.shards = [...this.shards, shard]
      this.slots[slot] = shard
      this.findSole()
    }
    this.hints.set(slot, look)
    return true
  }

  /** What a look that was the `look`th found; true if a command may go elsewhere than before. */
  learn(found: Judgement | undefined, answers: readonly Answer[], look: number): boolean {
    const before = this.nodes
    this.nodes = mergeNodes(answers, (id) => before.get(id)?.address)
    this.noteFollowers()
    this.names = namesOf(this.nodes)
    for (const [slot, hintedAfter] of this.hints) if (hintedAfter < look) this.hints.delete(slot)
    let isChanged = false
    if (found !== undefined) isChanged = this.assign(found, before)
    for (const shard of this.shards) {
      const node = this.nodes.get(shard.primaryId)
      if (node !== undefined && this.lead(shard, node)) isChanged = true
    }
    return isChanged
  }

  forget(): void {
    for (const shard of this.shards) shard.close()
    this.shards = []
    this.slots.fill(undefined)
    this.sole = undefined
    this.nodes = new Map()
    this.names = new Map()
    this.followed.clear()
    this.hints.clear()
  }

  private noteFollowers(): void {
    for (const { id, primaryId } of this.nodes.values()) {
      if (primaryId !== undefined) this.followed.set(id, primaryId)
    }
    for (const id of this.followed.keys()) if (!this.nodes.has(id)) this.followed.delete(id)
  }

  private assign(found: Judgement, before: ReadonlyMap<string, MergedNode>): boolean {
    const used = new Set(found.slots)
    const owning = new Set(found.owners.filter((_id, index) => used.has(index)))
    const shards = new Map<number, ClusterShard>()
    let isChanged = false
    for (const [index, id] of found.owners.entries()) {
      if (!owning.has(id)) continue
      let shard = this.shards.find(({ primaryId }) => primaryId === id)
      const node = this.nodes.get(id)
      if (shard === undefined && node !== undefined) {
        shard = this.shards.find(
          (one) =>
            !owning.has(one.primaryId) && (this.isPairOf(node, one) || isHeir(node, one, before)),
        )
        if (shard === undefined) shard = this.create(node)
        else if (this.lead(shard, node)) isChanged = true
      }
      if (shard !== undefined) shards.set(index, shard)
    }
    for (let slot = 0; slot < slotCount; slot += 1) {
      const index = found.slots[slot] as number
      const next = index === nobody ? undefined : shards.get(index)
      if (this.slots[slot] === next || this.hints.has(slot)) continue
      this.slots[slot] = next
      isChanged = true
    }
    if (isChanged) this.findSole()
    if (isChanged) this.keepUsed([...shards.values()])
    return isChanged
  }

  private findSole(): void {
    const [first] = this.slots
    this.sole = this.slots.every((shard) => shard === first) ? first : undefined
  }

  private keepUsed(found: readonly ClusterShard[]): void {
    const used = new Set(this.slots)
    const all = [...new Set([...this.shards, ...found])]
    for (const shard of all) if (!used.has(shard)) shard.close()
    this.shards = all.filter((shard) => used.has(shard))
  }

  /** Whether it follows the primary of `shard`, or did, or that follows it by now: roles may be seen before slots. */
  private isPairOf({ id }: MergedNode, { primaryId }: ClusterShard): boolean {
    return this.followed.get(id) === primaryId || this.nodes.get(primaryId)?.primaryId === id
  }

  private create(node: MergedNode): ClusterShard | undefined {
    const server = node.address && this.connect(node.address)
    if (node.address === undefined || server === undefined) return undefined
    const id = node.shardId === '' ? node.id : node.shardId
    const isFree = this.shards.every((shard) => shard.id !== id)
    return new ClusterShard(isFree ? id : node.id, node.id, node.address, server)
  }

  /** False if it leads the shard already, from the same address, or cannot be reached. */
  private lead(shard: ClusterShard, { id, address }: MergedNode): boolean {
    const server = address && this.connect(address)
    if (address === undefined || server === undefined) return false
    return shard.lead(id, address, server)
  }
}

/** Whether `node` calls itself of the shard that the primary of `shard` was of. */
function isHeir(
  node: MergedNode,
  shard: ClusterShard,
  before: ReadonlyMap<string, MergedNode>,
): boolean {
  return node.shardId !== '' && before.get(shard.primaryId)?.shardId === node.shardId
}

function namesOf(nodes: ReadonlyMap<string, MergedNode>): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const { id, aliases } of nodes.values()) {
    for (const alias of aliases) names.set(formatHostPort(alias), id)
  }
  return names
}
