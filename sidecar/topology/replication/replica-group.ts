/**
 * A primary and the replicas that may be read from in its place. It asks them itself how far each is, aside of the
 * commands of clients, since what a client wrote through this process is compared with it by this process’s clock.
 *
 * A replica is given reads only while the last answers prove it fit (`fitness.ts`); in all doubt the primary is asked.
 */
import type { Clock } from '../../../common/clock.ts'
import type { ReadSplit } from '../../../common/contract/proxy-config.ts'
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
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { LagBounds, PrimaryState } from './fitness.ts'
import { PollPace } from './poll-pace.ts'
import { preferenceGroups } from './preference.ts'
import { PrimaryHistory } from './primary-history.ts'
import { Replica } from './replica.ts'
import { type ReplicationInfo, parseReplicationInfo } from './replication-info.ts'

const question = encodeCommand(['INFO', 'replication'])

export interface ReplicaPlace {
  readonly address: ServerAddress
  readonly server: ServerConnections
  readonly zone?: string
}

export class ReplicaGroup {
  replicas: readonly Replica[] = []
  private readonly clock: Clock
  private readonly history = new PrimaryHistory()
  private readonly pace: PollPace
  private groups: readonly (readonly Replica[])[] = []
  private turn = 0
  private reads: Pick<ReadSplit, 'choose' | 'zone'> = {}
  private bounds: LagBounds = { lagMsMax: 0, lagBytesMax: 0 }
  private readsOwnWrites = true
  private primaryQuestion: object | undefined
  private primary: ServerConnections
  private primaryKey = ''

  constructor(primary: ServerConnections, clock: Clock) {
    this.primary = primary
    this.clock = clock
    this.pace = new PollPace(
      clock,
      () => this.poll(),
      () => this.replicas.some(({ isOwing }) => isOwing),
    )
  }

  get servers(): readonly ServerConnections[] {
    return this.replicas.map(({ server }) => server)
  }

  /**
   * Follows another primary: what is known of how far it is told of one with the same key only. True if it is another;
   * undefined is none, by whose last state replicas are still measured.
   */
  follow(primary: ServerConnections, key: string | undefined): boolean {
    this.primary = primary
    const next = key ?? ''
    if (next === this.primaryKey) return false
    this.primaryKey = next
    this.primaryQuestion = undefined
    if (key !== undefined) this.history.forget()
    return true
  }

  /** Goes on with these replicas and rules; those that are known stay known. */
  use(places: readonly ReplicaPlace[], reads: ReadSplit | undefined): void {
    this.reads = reads ?? {}
    this.readsOwnWrites = reads?.readYourWrites !== false
    const { lagSecondsMax = defaultLagSecondsMax, lagBytesMax = defaultLagBytesMax } = reads ?? {}
    this.bounds = { lagMsMax: lagSecondsMax * 1000, lagBytesMax }
    const known = new Map(this.replicas.map((one) => [formatHostPort(one.address), one]))
    this.replicas = places.map(({ address, server, zone }) => {
      const before = known.get(formatHostPort(address))
      const replica = before?.server === server ? before : new Replica(address, server)
      replica.zone = zone
      return replica
    })
    this.judgeAll()
    this.pace.start(this.bounds.lagMsMax)
  }

  close(): void {
    this.pace.stop()
    this.replicas = []
    this.groups = []
  }

  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void {
    const replica = this.replicas.find((one) => one.server === server)
    if (replica !== undefined) {
      // A stalled one is connected still, and owes what it was asked.
      if (!server.isStalled) replica.forget()
    } else if (server === this.primary) {
      this.judgeAll()
      this.pace.soon()
    }
  }

  /** What was learnt may be old. */
  askSoon(): void {
    this.pace.soon()
  }

  primaryState(): PrimaryState {
    return { isUp: this.primary.view === 'ok', last: this.history.last }
  }

  /** See `Shard.reader`. `leastMs`: what it must have everything of, whatever its client wrote. */
  reader(sinceMs: number, leastMs = Number.NEGATIVE_INFINITY): ServerConnections | undefined {
    const nowMs = this.clock.monotonicMs()
    this.pace.noteRead(nowMs)
    const neededMs = this.readsOwnWrites ? Math.max(sinceMs, leastMs) : leastMs
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
    if (this.primaryQuestion !== undefined) return
    const askedAtMs = this.clock.monotonicMs()
    const asked = this.primary.askAside(question)
    if (asked === undefined) return
    const owed = {}
    this.primaryQuestion = owed
    const info = await answerOf(asked)
    // An answer of the former primary says nothing of the new one.
    if (this.primaryQuestion !== owed) return
    this.primaryQuestion = undefined
    if (info?.role === 'primary') this.history.note(askedAtMs, info.lineage, info.offset)
  }

  private async askReplica(replica: Replica): Promise<void> {
    const { clock } = this
    if (replica.askedAtMs !== undefined) return
    const asked = replica.server.askAside(question)
    if (asked === undefined) return
    const owed = replica.asked(clock.monotonicMs())
    replica.judge(this.primaryState(), this.bounds)
    const watch = watchSilence(replica)
    const learnt = await answerOf(asked)
    clearInterval(watch)
    const answer = learnt && { learnt, atMs: clock.monotonicMs() }
    replica.answered(owed, answer, this.history)
    this.judgeAll()
  }
}

/**
 * Ends the connections to a replica that hangs, so that what it owes is asked of others. Time is counted in ticks: of a
 * pause of this process, after which answers may wait to be read, only one counts.
 */
function watchSilence({ server }: Replica): NodeJS.Timeout {
  let silentMs = 0
  const tick = () => {
    silentMs += replicaSilentMs
    if (silentMs >= replicaHungMs) server.onHung(silentMs, true)
  }
  return setInterval(tick, replicaSilentMs).unref()
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
