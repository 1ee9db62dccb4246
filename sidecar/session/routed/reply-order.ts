/**
 * The replies of one client in the order of its commands, whichever servers they come from and whenever.
 *
 * What comes for the first leg goes straight to the client; what comes for later ones is held until it is their turn,
 * within bounds: a lane reads no further in the middle of a reply that is too large to be held.
 *
 * Commands that were not run are sent again (`Recovery`), which begins when nothing else of this client is in flight;
 * until it ended the client sends no more. So no command overtakes another that has to be sent twice.
 */
import { clientOutputCutBytes } from '../../../common/limits.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SharedLane } from '../../upstream/shared-lane.ts'
import { ownReplies } from '../own-replies.ts'
import type { Session } from '../session.ts'
import { Leg, LegList, type LegOwner, nobodysLeg, plainKind } from './leg.ts'
import { ReplyPiece } from './kept-bytes.ts'
import { Outgoing } from './outgoing.ts'
import { Recovery } from './recovery.ts'
import type { RefusalKind } from './refusal.ts'
import { isReadOnly, isTakenBack, refusalOf } from './resend.ts'
import { Way } from './way.ts'

const nothing = Buffer.alloc(0)
/** A reply of the sidecar’s own on its way. */
const own = new ReplyPiece()

export class ReplyOrder implements LegOwner {
  readonly session: Session
  readonly list = new LegList()
  /** Commands that were sent and not answered, and how many of them may change something or went to replicas. */
  awaited = 0
  writesAwaited = 0
  readersAwaited = 0
  /** When the last one that may have changed something was answered; monotonic. */
  lastWriteMs = Number.NEGATIVE_INFINITY
  /** Whether the client had commands sent over a connection of its own since the last that were not. */
  hasUsedOwn = false
  /** Bytes of replies that came before their turn. */
  heldBytes = 0
  /** That of the backend when the commands in flight were sent. */
  version = -1
  readonly recovery = new Recovery(this)
  private readonly outgoing: Outgoing
  private readonly ways = new Map<ServerConnections, Way>()
  /** Lanes that wake the session when they are writable, or did. */
  private readonly waitsAt = new Set<SharedLane>()
  isClosed = false

  constructor(session: Session) {
    this.session = session
    this.outgoing = new Outgoing(session)
  }

  get isEmpty(): boolean {
    return this.list.head === undefined
  }

  /** Whether the client may have a part of a reply and not its end. */
  get isMidReply(): boolean {
    const { head } = this.list
    if (head === undefined) return false
    return head.parts !== undefined || head.way?.isMidReplyOf(head) === true
  }

  // Requests

  /** The way over `lane`; undefined while replies are owed over another lane to the same server. */
  way(server: ServerConnections, lane: SharedLane): Way | undefined {
    const known = this.ways.get(server)
    if (known === undefined) {
      const added = new Way(this, server, lane)
      this.ways.set(server, added)
      return added
    }
    if (known.lane === lane) return known
    if (!known.isIdle) return undefined
    known.lane = lane
    return known
  }

  /** Whether another server than this one owes replies. */
  owesBeside(server: ServerConnections): boolean {
    if (this.awaited === 0) return false
    for (const way of this.ways.values()) if (way.server !== server && !way.isIdle) return true
    return false
  }

  /** All that were not given to the client, the parts of those that have some in their place. */
  legs(): Leg[] {
    const found: Leg[] = []
    for (let leg = this.list.head; leg !== undefined; leg = leg.next) {
      found.push(leg)
      for (let part = leg.parts?.head; part !== undefined; part = part.next) found.push(part)
    }
    return found
  }

  /** Servers may have gone; nothing is in flight. */
  forgetWays(): void {
    this.ways.clear()
  }

  push(leg: Leg): void {
    this.list.push(leg)
  }

  /** Puts a reply of the sidecar’s own in its place. */
  pushOwn(reply: Buffer): void {
    const leg = new Leg(this, { bytes: nothing, start: 0, end: 0 }, 1, plainKind)
    this.list.push(leg)
    this.answer(leg, reply)
  }

  waitAt(lane: SharedLane): void {
    this.waitsAt.add(lane)
    lane.waitWritable(this.session)
  }

  noteSent(leg: Leg): void {
    leg.state = 'sent'
    const { count } = leg
    this.awaited += count
    if (leg.kind.isWrite) this.writesAwaited += count
    if (leg.kind.isReader) this.readersAwaited += count
  }

  private noteAnswered({ kind }: Leg, count: number): void {
    this.awaited -= count
    if (kind.isReader) this.readersAwaited -= count
    if (!kind.isWrite || count === 0) return
    this.writesAwaited -= count
    this.noteWrite()
  }

  /** Something that the client may have changed is answered. */
  noteWrite(): void {
    this.hasUsedOwn = false
    this.lastWriteMs = this.session.context.clock.monotonicMs()
  }

  // Replies

  /** Takes replies to a leg, whose `left` has been lowered by these. */
  take(leg: Leg, replies: ReplyPiece): void {
    this.noteAnswered(leg, replies.count)
    if (leg === this.list.head) this.outgoing.push(replies, leg.next !== undefined)
    else leg.owner.hold(leg, replies)
    if (leg.left === 0 && !this.isClosed) this.finish(leg)
  }

  /** All replies of a leg are there. */
  finish(leg: Leg): void {
    leg.state = 'done'
    leg.owner.onDone(leg)
    this.recovery.look()
  }

  onDone(leg: Leg): void {
    if (leg === this.list.head) this.advance()
  }

  hold(leg: Leg, replies: ReplyPiece): void {
    replies.own()
    leg.hold(replies)
    this.heldBytes += replies.end - replies.start
    if (this.heldBytes > clientOutputCutBytes) this.session.onOutputOverflow()
  }

  forgetPart(byteCount: number): void {
    this.heldBytes -= byteCount
  }

  isFull(leg: Leg): boolean {
    if (leg.isUnbounded || this.isHeadRefused) return false
    return leg.heldBytes > this.session.context.limits.clientOutputBytesMax
  }

  /** Whether what is next is to be sent again, for which all that is in flight has to come first, however large. */
  private get isHeadRefused(): boolean {
    const { head } = this.list
    for (let part = head?.parts?.head; part !== undefined; part = part.next) {
      if (part.state === 'refused') return true
    }
    return head?.state === 'refused'
  }

  /** Gives the client what is its turn now. */
  private advance(): void {
    const { list } = this
    for (;;) {
      const { head } = list
      if (head === undefined) return this.outgoing.flush()
      if (head.held !== undefined) this.giveHeld(head)
      if (this.isClosed) return
      if (head.state !== 'done') return this.goOn(head)
      list.shift()
    }
  }

  private giveHeld(leg: Leg): void {
    let { held } = leg
    this.heldBytes -= leg.heldBytes
    leg.dropHeld()
    for (; held !== undefined && !this.isClosed; held = held.next) this.outgoing.push(held, true)
  }

  /** Its lane may have stopped reading because it was not its turn. */
  private goOn({ way }: Leg): void {
    if (way !== undefined && !this.session.isOutputBlocked) way.lane.goOnFor(way)
    this.letAllCome()
  }

  private letAllCome(): void {
    if (!this.isHeadRefused) return
    for (const way of this.ways.values()) way.lane.goOnFor(way)
  }

  // Backpressure

  isBlocked(leg: Leg): boolean {
    return leg === this.list.head ? this.session.isOutputBlocked : leg.owner.isFull(leg)
  }

  /** Others wait for replies behind those of a leg that nobody reads: its client is cut, if that is its fault. */
  unblock(leg: Leg): void {
    if (this.session.isOutputBlocked) this.session.cut()
    else leg.isUnbounded = true
  }

  onOutputBlocked(isBlocked: boolean): void {
    const way = this.list.head?.way
    if (way === undefined) return
    if (isBlocked) way.lane.holdFor(way)
    else way.lane.goOnFor(way)
  }

  // Refusals and losses

  /** Whether what a server said of the first command of a leg means that it is to be sent again. */
  isRefusal(kind: RefusalKind, leg: Leg): boolean {
    return leg.owner !== nobodysLeg && isTakenBack(this.session.context, kind, leg)
  }

  /** The command of `leg`, which has no other, was not run. */
  refuse(leg: Leg, kind: RefusalKind, error: Buffer): void {
    this.noteUnanswered(leg)
    leg.left = 1
    leg.state = 'refused'
    leg.refusal = refusalOf(this.session.context, leg, { kind, error })
    this.recovery.add()
    this.recovery.look()
    this.letAllCome()
  }

  /** The command of `leg` was sent and its connection ended. */
  lose(leg: Leg): void {
    const { context } = this.session
    if (leg.owner === nobodysLeg) return this.noteUnanswered(leg)
    if (isReadOnly(context, leg)) return this.refuse(leg, 'lost', ownReplies.lost)
    this.noteUnanswered(leg)
    context.counters.commandsLost += 1
    this.answer(leg, ownReplies.lost)
  }

  /** So were `count` commands, and the client has a part of the first one’s reply. */
  loseMidReply(count: number): void {
    this.session.lose(count, true)
  }

  /** The commands of a leg will not be sent: their lane ended before. */
  takeBack(leg: Leg): void {
    if (leg.owner === nobodysLeg) return this.noteUnanswered(leg)
    for (let rest: Leg | undefined = leg; rest !== undefined; ) {
      const taken: { readonly one: Leg; readonly rest: Leg | undefined } = rest.takeOut()
      if (taken.one !== rest) this.finish(rest)
      this.refuse(taken.one, 'unsent', ownReplies.heldTooLong)
      rest = taken.rest
    }
  }

  /** Gives the only command of a leg a reply of the sidecar’s own. */
  answer(leg: Leg, reply: Buffer): void {
    leg.left = 0
    own.begin(reply)
    own.rest(1)
    leg.owner.hold(leg, own)
    this.finish(leg)
  }

  /** Whether bytes of its replies went to the client as they came. */
  isPassing(leg: Leg): boolean {
    return leg === this.list.head
  }

  private noteUnanswered({ kind }: Leg): void {
    this.awaited -= 1
    if (kind.isReader) this.readersAwaited -= 1
    if (kind.isWrite) this.writesAwaited -= 1
  }

  /** The client is gone: what it is owed is nobody’s. */
  close(): void {
    this.isClosed = true
    this.recovery.stop()
    for (const lane of this.waitsAt) lane.forget(this.session)
    this.waitsAt.clear()
    for (const way of this.ways.values()) way.forget()
    this.ways.clear()
    this.list.clear()
    this.heldBytes = 0
  }
}
