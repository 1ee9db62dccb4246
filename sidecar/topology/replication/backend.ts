/**
 * A primary and its replicas, of which reads may go to those that are fit. Who they are is in the configuration; how
 * far each is, this asks them itself, aside of the commands of clients, since what a client wrote through this process
 * is compared with it by this process’s clock.
 *
 * A replica is given reads only while the last answers prove it fit (`fitness.ts`); in all doubt the primary is asked.
 */
import type { Clock } from '../../../common/clock.ts'
import type { ProxyConfig, ReadSplit } from '../../../common/contract/proxy-config.ts'
import {
  defaultLagBytesMax,
  defaultLagSecondsMax,
  membersLearntMax,
  replicaHungMs,
  replicaSilentMs,
} from '../../../common/limits.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import { type Reply, textOf } from '../../resp/decode.ts'
import { encodeCommand } from '../../resp/encode.ts'
import type { Backend, ServerAddress, Shard } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { ServerPool } from '../../upstream/server-pool.ts'
import type { TopologyView } from '../view.ts'
import type { LagBounds, PrimaryState } from './fitness.ts'
import { PollPace } from './poll-pace.ts'
import { preferenceGroups } from './preference.ts'
import { PrimaryHistory } from './primary-history.ts'
import { Replica } from './replica.ts'
import { viewReplication } from './replication-view.ts'
import { type ReplicationInfo, parseReplicationInfo } from './replication-info.ts'

const question = encodeCommand(['INFO', 'replication'])

export interface ReplicationModules {
  readonly pool: Pick<ServerPool, 'primary' | 'get' | 'retain'>
  readonly clock: Clock
}

/** Whether a configuration wants this backend; otherwise everything goes to the primary. */
export function splitsReads({ upstream }: ProxyConfig): boolean {
  return upstream.mode === 'replication' && upstream.reads?.policy === 'readsToReplicas'
}

export class ReplicationBackend implements Backend {
  readonly kind = 'replication'
  readonly splitsReads = true
  readonly shards: readonly [Shard]
  version = 0
  private readonly modules: ReplicationModules
  private readonly shard: Shard
  private readonly history = new PrimaryHistory()
  private readonly pace: PollPace
  private replicas: readonly Replica[] = []
  private groups: readonly (readonly Replica[])[] = []
  private turn = 0
  private reads: Pick<ReadSplit, 'choose' | 'zone'> = {}
  private bounds: LagBounds = { lagMsMax: 0, lagBytesMax: 0 }
  private readsOwnWrites = true
  private isPrimaryAsked = false
  private primaryKey = ''
  private primaryAddress: ServerAddress | undefined

  constructor(modules: ReplicationModules) {
    this.modules = modules
    this.pace = new PollPace(modules.clock, () => this.poll())
    this.shard = {
      id: 'all',
      primary: modules.pool.primary,
      reader: (sinceMs) => this.reader(sinceMs),
    }
    this.shards = [this.shard]
  }

  /** Goes on with the members of `config`, after the pool. */
  use(config: ProxyConfig): void {
    const { members, primary, reads } = config.upstream
    this.reads = reads ?? {}
    this.readsOwnWrites = reads?.readYourWrites !== false
    const { lagSecondsMax = defaultLagSecondsMax, lagBytesMax = defaultLagBytesMax } = reads ?? {}
    this.bounds = { lagMsMax: lagSecondsMax * 1000, lagBytesMax }
    this.followPrimary(primary && { host: primary.host, port: primary.port }, primary?.runId)
    const known = new Map(this.replicas.map((one) => [formatHostPort(one.address), one]))
    const replicas: Replica[] = []
    for (const { host, port, role, zone } of members) {
      const key = formatHostPort({ host, port })
      if (role !== 'replica' || key === (primary && formatHostPort(primary))) continue
      const server = this.modules.pool.get({ host, port }, 'replica')
      if (server === undefined) continue
      const before = known.get(key)
      const replica = before?.server === server ? before : new Replica({ host, port }, server)
      replica.zone = zone
      replicas.push(replica)
    }
    this.replicas = replicas
    this.modules.pool.retain(new Set(replicas.map(({ server }) => server)))
    this.judgeAll()
    this.pace.start(this.bounds.lagMsMax)
  }

  close(): void {
    this.pace.stop()
    this.replicas = []
    this.groups = []
    this.modules.pool.retain(new Set())
  }

  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void {
    const replica = this.replicas.find((one) => one.server === server)
    if (replica !== undefined) {
      replica.forget()
    } else if (server === this.shard.primary) {
      this.judgeAll()
      this.pace.soon()
    }
  }

  /** A server can be asked now. */
  noteReserve(): void {
    this.pace.soon()
  }

  hashOf(): number {
    return 0
  }

  isTogether(): boolean {
    return true
  }

  shardOf(): Shard {
    return this.shard
  }

  anyShard(): Shard {
    return this.shard
  }

  /** Servers that replicate send nobody elsewhere. */
  onMoved(): undefined {
    return undefined
  }

  onAsk(): undefined {
    return undefined
  }

  lookAgain(): void {
    this.pace.soon()
  }

  topologyView(): TopologyView {
    const { shard, replicas, version, primaryAddress } = this
    const nowMs = this.modules.clock.monotonicMs()
    const primary = { ...this.primaryState(), server: shard.primary, address: primaryAddress }
    return viewReplication({ id: shard.id, version, primary, replicas, nowMs })
  }

  private reader(sinceMs: number): ServerConnections | undefined {
    const nowMs = this.modules.clock.monotonicMs()
    this.pace.noteRead(nowMs)
    const neededMs = this.readsOwnWrites ? sinceMs : Number.NEGATIVE_INFINITY
    for (const group of this.groups) {
      for (let tried = 0; tried < group.length; tried += 1) {
        this.turn = (this.turn + 1) % group.length
        const replica = group[this.turn] as Replica
        if (replica.serves(nowMs, neededMs)) return replica.server
      }
    }
    // A client whose write is in flight is refused whatever is known.
    if (neededMs < nowMs) this.pace.noteRefused(nowMs, this.replicas.length + 1)
    return undefined
  }

  private followPrimary(address: ServerAddress | undefined, runId: string | undefined): void {
    const key = address === undefined ? '' : `${formatHostPort(address)} ${runId}`
    this.primaryAddress = address
    if (key === this.primaryKey) return
    this.primaryKey = key
    this.version += 1
    // What one that was withdrawn had written is still the measure of the replicas, until there is another.
    if (address !== undefined) this.history.forget()
  }

  private primaryState(): PrimaryState {
    const { primary } = this.shard
    return { isUp: primary.view === 'ok', last: this.history.last }
  }

  private judgeAll(): void {
    const primary = this.primaryState()
    for (const replica of this.replicas) replica.judge(primary, this.bounds)
    this.groups = preferenceGroups(this.replicas, this.reads)
  }

  /** Asks the primary and, when it has answered or does not, the replicas, which may have what it wrote until then. */
  private poll(): void {
    let isDone = false
    const goOn = () => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      for (const replica of this.replicas) void this.askReplica(replica)
    }
    const timer = setTimeout(goOn, replicaSilentMs / 2).unref()
    void this.askPrimary().then(goOn)
  }

  private async askPrimary(): Promise<void> {
    if (this.isPrimaryAsked) return
    const askedAtMs = this.modules.clock.monotonicMs()
    const asked = this.shard.primary.askAside(question)
    if (asked === undefined) return
    const key = this.primaryKey
    this.isPrimaryAsked = true
    const info = await answerOf(asked)
    this.isPrimaryAsked = false
    // An answer of the former primary says nothing of the new one.
    if (info?.role !== 'primary' || key !== this.primaryKey) return
    this.history.note(askedAtMs, info.lineage, info.offset)
  }

  private async askReplica(replica: Replica): Promise<void> {
    const { clock } = this.modules
    const { server, askedAtMs } = replica
    const nowMs = clock.monotonicMs()
    if (askedAtMs !== undefined) {
      const silentMs = nowMs - askedAtMs
      if (silentMs >= replicaHungMs) server.onHung(silentMs, true)
      return
    }
    const asked = server.askAside(question)
    if (asked === undefined) return
    const owed = replica.asked(nowMs)
    replica.judge(this.primaryState(), this.bounds)
    const learnt = await answerOf(asked)
    const answer = learnt && { learnt, atMs: clock.monotonicMs() }
    replica.answered(owed, answer, this.history)
    this.judgeAll()
  }
}

/** Undefined if there was none, or none that can be understood. */
async function answerOf(asked: Promise<readonly Reply[]>): Promise<ReplicationInfo | undefined> {
  try {
    const [reply] = await asked
    return parseReplicationInfo(textOf(reply), membersLearntMax)
  } catch {
    return undefined
  }
}
