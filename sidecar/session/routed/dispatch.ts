/**
 * Sends a run of commands on to the servers of a backend that has several: neighbours that go to the same server
 * together, everything in an order in which no client can tell that there are several.
 *
 * Where reads are split, a client sees what it wrote: while a write is in flight, or in the same run, its reads go to
 * primaries, and no write is sent while a replica owes a reply, which might tell of it too early.
 */
import { isKnownCommand } from '../../../common/redis/command-table.ts'
import type { Backend, Shard } from '../../route/backend.ts'
import {
  type RouteKind,
  type RoutePlanner,
  crossSlotError,
  wrongCountError,
} from '../../route/plan.ts'
import { NameMark } from '../../resp/request-scanner.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SharedLane } from '../../upstream/shared-lane.ts'
import { ownReplies } from '../own-replies.ts'
import { PinReason } from '../pinning.ts'
import type { Session } from '../session.ts'
import { RequestMemory, type RequestSlab } from './kept-bytes.ts'
import { sendSeveral } from './fan-out.ts'
import { Leg, type LegKind, plainKind, readerKind, writeKind } from './leg.ts'
import { ReplyOrder } from './reply-order.ts'
import type { Way } from './way.ts'

/** Of this thread: what is kept of one client lies beside that of others. */
const memory = new RequestMemory()
const crossSlot = Buffer.from(crossSlotError)

/**
 * Sends commands of the input, `count` up to `end`, as far as they can be sent now. False when some cannot;
 * `session.wait` says what keeps them.
 */
export function forwardRouted(session: Session, end: number, count: number): boolean {
  const { input, context } = session
  const { backend } = context
  if (backend === undefined) return false
  const order = (session.order ??= new ReplyOrder(session))
  if (!isInTurn(session, order, backend)) return false
  const length = end - input.start
  const slab = memory.keep({ bytes: input.bytes, start: input.start, end })
  const start = slab.used - length
  const run = new Run(order, backend, { slab, start })
  const isDone = run.send(count)
  input.start += run.sentEnd - start
  slab.leave()
  return isDone
}

/** Whether commands of the input, `count` up to `end`, go to whichever server has their keys. */
export function isRouted(session: Session, end: number, count: number): boolean {
  const { context, pinning, window, scanner, holdError } = session
  const { backend } = context
  if (backend === undefined) return false
  // Those that need a connection of their own are not what comes in a run; they got none.
  const isRun = scanner.position === end && scanner.count === count
  if (holdError !== undefined && !isRun) return false
  return backend.kind !== 'replication' || !(pinning.isNeeded || window.isLarge)
}

/** Whether the next command may be sent although others are in flight, if they are. */
function isInTurn(session: Session, order: ReplyOrder, backend: Backend): boolean {
  if (order.isEmpty) {
    // What is owed did not go this way.
    if (!session.waitForReplies()) return false
    session.sharedLane = undefined
    if (order.hasUsedOwn) order.noteWrite()
    if (order.version !== backend.version) order.forgetWays()
    order.version = backend.version
    return true
  }
  return !order.recovery.isOn && order.version === backend.version ? true : session.waitForReplies()
}

/** Why commands cannot be sent to a server now: it is not there, it takes no more, or others must come first. */
export type Obstacle = 'notReady' | 'full' | 'turn'

interface KeptRun {
  readonly slab: RequestSlab
  readonly start: number
}

export class Run {
  /** Up to here commands were sent or answered. */
  sentEnd: number
  readonly session: Session
  readonly order: ReplyOrder
  readonly backend: Backend
  readonly bytes: Buffer
  private readonly slab: RequestSlab
  readonly planner: RoutePlanner
  private readonly end: number
  /** Where the command at hand begins. */
  private at: number
  /** Commands from `sentEnd` to `at` that go to one server. */
  private count = 0
  private server: ServerConnections | undefined
  private kind = plainKind
  /** Whether a write is among the commands of this run. */
  private hasWrite = false
  /** The replica that this run asks, of one shard. */
  private readerShard: Shard | undefined
  private reader: ServerConnections | undefined

  /** The commands lie in `slab` from `start` to `slab.used`. */
  constructor(order: ReplyOrder, backend: Backend, { slab, start }: KeptRun) {
    this.order = order
    this.session = order.session
    this.planner = order.session.context.planner
    this.backend = backend
    this.slab = slab
    this.bytes = slab.bytes
    this.sentEnd = start
    this.at = start
    this.end = slab.used
  }

  /** False when some have to wait. */
  send(count: number): boolean {
    const { planner, backend, bytes, end: runEnd } = this
    const marks = this.marksOf(count)
    if (backend.splitsReads) {
      this.hasWrite = count > 1 && (marks & NameMark.writes) !== 0 && this.findWrite(count)
    } else if (backend.soleShard !== undefined && (marks & NameMark.apart) === 0) {
      this.server = backend.soleShard.primary
      this.count = count
      this.at = runEnd
      return this.flush()
    }
    for (let index = 0; index < count; index += 1) {
      const kind = planner.plan(backend, bytes, this.at, runEnd)
      const { end } = planner.frame
      const isOne = kind === 'shard' || kind === 'anywhere' || kind === 'unknown'
      const isTaken = isOne ? this.join(kind, end) : this.flush() && this.sendOther(kind, end)
      if (!isTaken) return false
      this.at = end
    }
    return this.flush()
  }

  /** Whether a command of the run may change something. */
  private findWrite(count: number): boolean {
    const { planner, backend, bytes } = this
    for (let index = 0, { at } = this; index < count; index += 1) {
      const kind = planner.plan(backend, bytes, at, this.end)
      if (this.kindOf(kind) === writeKind) return true
      at = planner.frame.end
    }
    return false
  }

  /** What the scan told of the names of all commands of the run; anything if it did not pass over just these. */
  private marksOf(count: number): number {
    const { context, scanner, input, isForwardingScript } = this.session
    const { rules } = context
    const isScanned =
      scanner.count === count && scanner.position - input.start === this.end - this.at
    if (isScanned && rules.tellsApart && !isForwardingScript) return scanner.marks
    rules.tellApart()
    return NameMark.apart | NameMark.writes
  }

  /** What the planned command is, where that matters. */
  kindOf(kind: RouteKind): LegKind {
    if (!this.backend.splitsReads || (kind === 'anywhere' && !this.mayWriteUnseen()))
      return plainKind
    return this.planner.traits?.readsOnly === true ? readerKind : writeKind
  }

  /** Whether the planned command, which names no key, may change some: a script, and what the table does not know. */
  private mayWriteUnseen(): boolean {
    const { traits } = this.planner
    if (traits === undefined || traits.readsOnly) return false
    const [name = ''] = traits.name.toUpperCase().split('|', 1)
    return this.session.isForwardingScript || !isKnownCommand(name)
  }

  /** Adds the planned command to its neighbours, or sends these if it goes elsewhere. */
  private join(route: RouteKind, end: number): boolean {
    const { backend, planner, session } = this
    const shard = route === 'shard' ? backend.shardOf(planner.hash) : backend.anyShard(session.id)
    if (shard === undefined) {
      backend.lookAgain()
      return this.flush() && this.stop('notReady', undefined, { count: 1, end })
    }
    const legKind = this.kindOf(route)
    const server = legKind === readerKind ? this.readerOf(shard, planner.hash) : shard.primary
    const kind = legKind === readerKind && server === shard.primary ? plainKind : legKind
    const isOther = server !== this.server || kind !== this.kind
    if (isOther && this.count > 0 && !this.flush()) return false
    // Who hears of it may look at once at what was written before.
    const isTold = route === 'anywhere' && planner.traits?.name === 'publish'
    if (isTold && this.order.owesBeside(server)) return session.waitForReplies()
    this.server = server
    this.kind = kind
    this.count += 1
    return true
  }

  /** Who of the shard is to be read from. */
  readerOf(shard: Shard, hash: number): ServerConnections {
    const { order, session } = this
    // What was read before EXEC must not be older than the WATCH that is to guard it.
    if (session.pinning.has(PinReason.watch)) return shard.primary
    if (this.backend.isMoving?.(hash) === true) return shard.primary
    if (this.hasWrite || order.writesAwaited > 0) return shard.primary
    if (this.readerShard !== shard) {
      this.readerShard = shard
      this.reader = shard.reader(order.lastWriteMs)
    }
    return this.reader?.isReady === true ? this.reader : shard.primary
  }

  /** Sends the commands up to `at`. False when they have to wait. */
  private flush(): boolean {
    const { server, count, kind, at: end } = this
    if (count === 0 || server === undefined) return true
    this.count = 0
    const way = this.wayTo(server, kind)
    if (typeof way === 'string') return this.stop(way, server, { count, end })
    const leg = new Leg(this.order, { bytes: this.bytes, start: this.sentEnd, end }, count, kind)
    leg.keepIn(this.slab)
    this.order.push(leg)
    this.noteTaken(count, end)
    way.send(leg)
    return true
  }

  private sendOther(kind: RouteKind, end: number): boolean {
    if (kind === 'crossSlot') {
      this.answer(crossSlot, 1, end)
      return true
    }
    if (kind === 'wrongCount') {
      this.answer(Buffer.from(wrongCountError(this.planner.traits)), 1, end)
      return true
    }
    return sendSeveral(this, kind, end)
  }

  /** How commands can be sent to a server now, or why they cannot. */
  wayTo(server: ServerConnections, kind: LegKind): Way | Obstacle {
    const { session, order } = this
    if (session.pinning.isHeld) return 'notReady'
    const lane = this.laneOf(server)
    if (!lane.isReady) return 'notReady'
    if (kind === writeKind && order.readersAwaited > 0) return 'turn'
    if (!lane.isWritable) return server.bounds.isRefusing ? 'notReady' : 'full'
    return order.way(server, lane) ?? 'turn'
  }

  /** Whether replies to the commands at hand wait for replicas, or for replies that do. */
  private get isConfirmed(): boolean {
    if (this.session.context.upstream.writes === undefined || this.kind === readerKind) return false
    return this.kind === writeKind || this.hasWrite || this.order.writesAwaited > 0
  }

  private laneOf(server: ServerConnections): SharedLane {
    const { id, protocol, window, isForwardingScript } = this.session
    if (isForwardingScript) return server.scriptLane(protocol)
    if (this.isConfirmed) return server.writeLane(protocol)
    return server.lane(protocol, id, window.isNewcomer, window.isLarge)
  }

  /** Has the session wait, or gives it the error that it got for having waited in vain; true when it did. */
  stop(
    why: Obstacle,
    server: ServerConnections | undefined,
    { count, end }: { readonly count: number; readonly end: number },
  ): boolean {
    const { session, order } = this
    const { queue, counters } = session.context
    if (why === 'turn') return session.waitForReplies()
    if (session.holdError === undefined) {
      if (why === 'notReady' || server === undefined) return session.hold()
      queue.add(session, server)
    }
    const { holdError } = session
    if (holdError === undefined) {
      if (server !== undefined) order.waitAt(this.laneOf(server))
      return false
    }
    if (holdError === ownReplies.queueFull) counters.commandsShed += count
    else counters.commandsHeldTooLong += count
    this.answer(holdError, count, end)
    return true
  }

  /** Gives the next `count` commands, up to `end`, a reply of the sidecar’s own. */
  answer(reply: Buffer, count: number, end: number): void {
    this.noteTaken(count, end)
    for (let index = 0; index < count; index += 1) this.order.pushOwn(reply)
  }

  /** Commands up to `end` are the session’s no more. */
  noteTaken(count: number, end: number): void {
    const { session } = this
    const { queue, counters } = session.context
    if (queue.size > 0) queue.remove(session)
    counters.commands += count
    if (!session.replies.isPlain) session.replies.noteSent()
    session.inFlight += count
    session.inFlightBytes += end - this.sentEnd
    this.sentEnd = end
  }
}
