/**
 * A real cluster for tests: cluster-enabled servers on loopback, ready when the promise resolves. A *shard* is the
 * group of servers that was made one, numbered from 0; who of them is primary is asked each time.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Authority, Pair } from './certificates.ts'
import { ClusterNode, describe, type NodeView } from './cluster-node.ts'
import { clusterPorts } from './cluster-ports.ts'
import { startServer, until } from './servers.ts'
import { mendDisputes, SlotMove } from './slot-move.ts'

export { ClusterNode, type NodeView }

export const slotCount = 16_384
const agreeDeadlineMs = 30_000
/** News of slots is everywhere long before. */
const disputeMs = 1000
const startsMax = 4
/** After so long a server tells no more of a failover that it was asked for. */
const failoverGivenUpMs = 6000
const failoversMax = 4
const defaultNodeTimeoutMs = 2000
/** Primaries note a vote a little before we note what came of it; clocks of timers differ. */
const voteSlackMs = 100

export interface ClusterOptions {
  readonly primaries?: number
  readonly replicasPerPrimary?: number
  /** A version of `serverPrograms()`; the program of this machine unless told. */
  readonly program?: { readonly command: readonly string[] }
  readonly password?: string
  /** Every node listens for TLS too, and nodes speak TLS with one another. */
  readonly tls?: Pair & Pick<Authority, 'caFile'>
  /** How long a node is silent before it counts as failing. */
  readonly nodeTimeoutMs?: number
  readonly args?: readonly string[]
}

export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const shardCount = options.primaries ?? 3
  const nodesPerShard = 1 + (options.replicasPerPrimary ?? 1)
  const cluster = new RedisCluster(options)
  try {
    const shards = Array.from({ length: shardCount * nodesPerShard }, (_, at) => at % shardCount)
    await Promise.all(shards.map((shard) => cluster.startNode(shard)))
    await cluster.form(shardCount)
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

/** A cluster of one node, which has all slots. Its server is the caller’s to stop. */
export async function startLoneNode(args: readonly string[]): Promise<ClusterNode> {
  const cluster = await startCluster({ primaries: 1, replicasPerPrimary: 0, args })
  const node = await cluster.primaryOf(0)
  node.hangUp()
  return node
}

export class RedisCluster {
  private readonly options: ClusterOptions
  private readonly list: ClusterNode[] = []
  /** The shard that a slot was moved to last. */
  readonly movedTo = new Map<number, number>()
  /** When each primary was to be deposed last, and each replica to be made one. */
  private readonly deposedAtMs = new Map<ClusterNode, number>()
  private readonly askedAtMs = new Map<ClusterNode, number>()
  /** Of a node that was killed or stopped nothing is expected. */
  private readonly absent = new Set<ClusterNode>()

  constructor(options: ClusterOptions) {
    this.options = options
  }

  /** In the order of their start: the first primaries are first. */
  get nodes(): readonly ClusterNode[] {
    return this.list
  }

  get present(): readonly ClusterNode[] {
    return this.list.filter((node) => !this.absent.has(node))
  }

  get password(): string | undefined {
    return this.options.password
  }

  /** A server that belongs to no cluster yet; `form` and `addReplica` make it part of this one. */
  async startNode(shard: number): Promise<ClusterNode> {
    const { password, program, tls } = this.options
    for (let attempt = 1; ; attempt += 1) {
      const ports = await clusterPorts(tls === undefined ? 2 : 3)
      const [port = 0, busPort = 0, tlsPort] = ports
      try {
        const server = await startServer({
          port,
          ...(password !== undefined && { password }),
          ...(program && { program }),
          args: [...this.nodeArguments(busPort, tlsPort), ...(this.options.args ?? [])],
        })
        const reply = await server.command('CLUSTER', 'MYID')
        const id = reply.split('\r\n')[1] ?? ''
        const node = new ClusterNode(server, { shard, id, busPort, tlsPort }, password)
        this.list.push(node)
        return node
      } catch (error) {
        // Another process took one of the ports between our look and the server's start.
        if (attempt >= startsMax) throw error
      }
    }
  }

  private nodeArguments(busPort: number, tlsPort: number | undefined): string[] {
    const { nodeTimeoutMs, tls } = this.options
    const args = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]
    args.push('--cluster-node-timeout', String(nodeTimeoutMs ?? defaultNodeTimeoutMs))
    args.push('--cluster-allow-replica-migration', 'no')
    if (tls !== undefined) {
      args.push('--tls-port', String(tlsPort), '--tls-cluster', 'yes', '--tls-replication', 'yes')
      args.push('--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile)
      args.push('--tls-ca-cert-file', tls.caFile, '--tls-auth-clients', 'optional')
    }
    return args
  }

  /** Makes one cluster of the nodes that run: the first of each shard with its share of the slots. */
  async form(shardCount: number): Promise<void> {
    // They became ready in any order.
    const shards = Array.from({ length: shardCount }, (_, shard) => this.nodesOf(shard))
    const ordered = this.list.map((_, at) => shards[at % shardCount]?.[Math.floor(at / shardCount)])
    this.list.splice(0, Infinity, ...ordered.filter((node) => node !== undefined))
    await Promise.all(
      this.list.map(async (node, at) => {
        await node.ask('CLUSTER', 'SET-CONFIG-EPOCH', String(at + 1))
        if (at >= shardCount) return
        const first = Math.ceil((at * slotCount) / shardCount)
        const last = Math.ceil(((at + 1) * slotCount) / shardCount) - 1
        await node.ask('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last))
      }),
    )
    await Promise.all(this.list.map((node, at) => this.meet(node, this.list.slice(0, at))))
    await this.know(this.list)
    const replicas = this.list.slice(shardCount)
    await Promise.all(
      replicas.map((node) => node.ask('CLUSTER', 'REPLICATE', this.list[node.shard]?.id ?? '')),
    )
    await this.agree()
  }

  private async meet(node: ClusterNode, others: readonly ClusterNode[]): Promise<void> {
    for (const other of others) {
      const ports = [String(other.announcedPort), String(other.busPort)]
      await node.ask('CLUSTER', 'MEET', other.host, ...ports)
    }
  }

  /** Waits until each of them knows each of them by its id. */
  private async know(nodes: readonly ClusterNode[]): Promise<void> {
    await until('the nodes know each other', async () => {
      const views = await Promise.all(nodes.map((node) => node.view()))
      return views.every((view) => nodes.every(({ id }) => view.some((one) => one.id === id)))
    })
  }

  /**
   * Waits until all present nodes call the cluster fit and say the same of roles, slots and epochs. A node that knows of
   * an older epoch than others may be made primary in one that another primary has taken; both then have the slots, and
   * what the one that loses them was told is lost.
   */
  async agree(deadlineMs = agreeDeadlineMs): Promise<void> {
    let seen = ''
    let mendAtMs = performance.now() + disputeMs
    const what = 'the nodes agree'
    await until(
      what,
      async () => {
        const found = await this.obstacle()
        seen = found ?? ''
        if (found !== undefined && performance.now() > mendAtMs) {
          await mendDisputes(this, this.movedTo).catch(() => {})
          mendAtMs = performance.now() + disputeMs
        }
        return found === undefined
      },
      deadlineMs,
    ).catch((error: unknown) => {
      throw new Error(`${what}: ${seen}`, { cause: error })
    })
  }

  private async obstacle(): Promise<string | undefined> {
    const gone = new Set([...this.absent].map(({ id }) => id))
    const described: string[] = []
    for (const node of this.present) {
      const info = String(await node.ask('CLUSTER', 'INFO').catch(String))
      if (!info.includes('cluster_state:ok')) return `${node.port}: ${info.slice(0, 60)}`
      const views = (await node.view()).filter(({ id }) => !gone.has(id))
      if (views.some(({ isConnected }) => !isConnected)) return `${node.port} waits for a link`
      const [epoch] = /cluster_current_epoch:\d+/.exec(info) ?? []
      described.push([epoch, ...views.map(describe).toSorted()].join('\n'))
      const replication = String(await node.ask('INFO', 'replication'))
      if (/master_link_status:down/.test(replication)) return `${node.port} is not in step`
    }
    const isSame = described.every((text) => text === described[0])
    return isSame ? undefined : [...new Set(described)].join('\n\n')
  }

  /** What the first node that answers says. */
  async view(): Promise<readonly NodeView[]> {
    for (const node of this.present) {
      try {
        return await node.view()
      } catch {
        // Another one is asked.
      }
    }
    throw new Error('no node of the cluster answers')
  }

  nodesOf(shard: number): readonly ClusterNode[] {
    return this.list.filter((node) => node.shard === shard)
  }

  private byId(id: string | undefined): ClusterNode {
    const node = this.list.find((one) => one.id === id)
    if (node === undefined) throw new Error(`no node ${id} was started here`)
    return node
  }

  /** Who is its primary, whether it answers or not. */
  async primaryOf(shard: number): Promise<ClusterNode> {
    const ids = new Set(this.nodesOf(shard).map(({ id }) => id))
    const primaries = (await this.view()).filter(
      ({ id, flags }) => ids.has(id) && flags.includes('master'),
    )
    // One that was deposed while it was away is still called so; the other has the higher epoch.
    const [latest] = primaries.toSorted((a, b) => b.epoch - a.epoch)
    return this.byId(latest?.id)
  }

  async replicasOf(shard: number): Promise<readonly ClusterNode[]> {
    const primary = await this.primaryOf(shard)
    return this.nodesOf(shard).filter((node) => node !== primary && !this.absent.has(node))
  }

  async slotOf(key: string | Buffer): Promise<number> {
    return Number(await this.present[0]?.ask('CLUSTER', 'KEYSLOT', key))
  }

  /** The primary that has the key’s slot. */
  async nodeOf(key: string | Buffer): Promise<ClusterNode> {
    return this.ownerOf(await this.slotOf(key))
  }

  async ownerOf(slot: number): Promise<ClusterNode> {
    const owner = (await this.view()).find(({ slots }) =>
      slots.some(([first, last]) => first <= slot && slot <= last),
    )
    if (owner === undefined) throw new Error(`nobody has slot ${slot}`)
    return this.byId(owner.id)
  }

  /** A key that this shard has. */
  async keyOf(shard: number, prefix = 'key'): Promise<string> {
    const { id } = await this.primaryOf(shard)
    const own = (await this.view()).find((view) => view.id === id)?.slots ?? []
    for (let number = 0; ; number += 1) {
      const key = `${prefix}-${number}`
      const slot = await this.slotOf(key)
      if (own.some(([first, last]) => first <= slot && slot <= last)) return key
    }
  }

  /** All slots of the shard, in order. */
  async slotsOf(shard: number): Promise<number[]> {
    const { id } = await this.primaryOf(shard)
    const ranges = (await this.view()).find((view) => view.id === id)?.slots ?? []
    return ranges.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, at) => first + at),
    )
  }

  /** The steps of a move, for tests that stop between them. */
  async slotMove(slot: number, to: number): Promise<SlotMove> {
    return new SlotMove(this, slot, {
      from: await this.ownerOf(slot),
      to: await this.primaryOf(to),
    })
  }

  /** Moves so many slots (or these), one after the other, with the keys in them; returns the slots. */
  async moveSlots(from: number, to: number, slots: number | readonly number[]): Promise<number[]> {
    const list = typeof slots === 'number' ? (await this.slotsOf(from)).slice(0, slots) : [...slots]
    const ends = { from: await this.primaryOf(from), to: await this.primaryOf(to) }
    for (const slot of list) await new SlotMove(this, slot, ends).run()
    return list
  }

  /** Makes a replica the primary, by agreement with the old one, so that nothing is lost; returns the new one. */
  async failOver(shard: number): Promise<ClusterNode> {
    const replica = (await this.replicasOf(shard))[0]
    if (replica === undefined) throw new Error(`shard ${shard} has no replica`)
    for (let attempt = 1; !(await this.promote(replica)); attempt += 1) {
      if (attempt === failoversMax) throw new Error(`${replica.port} does not become primary`)
    }
    return replica
  }

  /** How long it is until a shard can fail over once more: others vote, and a replica asks for votes, only so often. */
  async votesDueMs(shard: number): Promise<number> {
    const timeoutMs = this.options.nodeTimeoutMs ?? defaultNodeTimeoutMs
    const [replica] = await this.replicasOf(shard)
    const votedMs = this.deposedAtMs.get(await this.primaryOf(shard)) ?? -Infinity
    const askedMs = (replica && this.askedAtMs.get(replica)) ?? -Infinity
    const dueMs = Math.max(votedMs + 2 * timeoutMs, askedMs + 4 * timeoutMs)
    return Math.max(0, dueMs + voteSlackMs - performance.now())
  }

  /** False: the servers gave it up, as they do when one of them is late. */
  private async promote(replica: ClusterNode): Promise<boolean> {
    await this.agree()
    // Asked too early the primary would take no writes while it waits in vain.
    await delay(await this.votesDueMs(replica.shard))
    const old = await this.primaryOf(replica.shard)
    await replica.ask('CLUSTER', 'FAILOVER')
    const isPrimary = async () => String(await replica.ask('ROLE')).startsWith('master')
    await until('it is primary', isPrimary, failoverGivenUpMs).catch(() => {})
    this.deposedAtMs.set(old, performance.now())
    this.askedAtMs.set(replica, performance.now())
    await this.agree()
    return (await this.primaryOf(replica.shard)) === replica
  }

  /** Ends the primary at once. A replica follows it after the node timeout: see `primaryIsNot`. */
  async killPrimary(shard: number): Promise<ClusterNode> {
    const primary = await this.primaryOf(shard)
    await this.kill(primary)
    return primary
  }

  /** Waits until the shard has another primary, on which all present nodes agree. */
  async primaryIsNot(old: ClusterNode): Promise<ClusterNode> {
    await until(
      `${old.port} is followed by another`,
      async () => (await this.primaryOf(old.shard)) !== old,
      agreeDeadlineMs,
    )
    await this.agree()
    return this.primaryOf(old.shard)
  }

  async kill(node: ClusterNode): Promise<void> {
    this.absent.add(node)
    node.hangUp()
    await node.server.kill()
  }

  /** A new process in the place of one that was killed: it knows its cluster, its data is gone. */
  async restart(node: ClusterNode): Promise<void> {
    await node.server.restart()
    this.absent.delete(node)
  }

  /** SIGSTOP: it takes connections and says nothing. */
  pause(node: ClusterNode): void {
    this.absent.add(node)
    node.server.signal('SIGSTOP')
  }

  resume(node: ClusterNode): void {
    node.server.signal('SIGCONT')
    this.absent.delete(node)
  }

  async addReplica(shard: number): Promise<ClusterNode> {
    const known = this.present.slice()
    const node = await this.startNode(shard)
    await this.meet(node, known)
    await this.know(this.present)
    await node.ask('CLUSTER', 'REPLICATE', (await this.primaryOf(shard)).id)
    await this.agree()
    return node
  }

  /** Ends a node for good; the others are told to forget it. */
  async forget(node: ClusterNode): Promise<void> {
    await this.kill(node)
    this.list.splice(this.list.indexOf(node), 1)
    this.absent.delete(node)
    await Promise.all(this.present.map((other) => other.ask('CLUSTER', 'FORGET', node.id)))
    await node.server.stop()
  }

  async stop(): Promise<void> {
    for (const node of this.list) node.hangUp()
    await Promise.all(this.list.map(({ server }) => server.stop()))
  }
}
