/**
 * The way of one client to one server: the lane that it shares, and who of the client’s commands is owed what comes
 * over it. Commands that the server refused to run are taken out here, before their errors reach anyone.
 */
import { viewOf } from '../../net/byte-range.ts'
import type { ReplyScanner } from '../../resp/reply-scanner.ts'
import type { ReplySink } from '../../upstream/reply-sink.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SharedLane } from '../../upstream/shared-lane.ts'
import { ReplyPiece } from './kept-bytes.ts'
import type { Leg } from './leg.ts'
import { type RefusalKind, refusalKind } from './refusal.ts'
import type { ReplyOrder } from './reply-order.ts'

const minus = '-'.charCodeAt(0)
/** What is being given at present, to one leg after the other. */
const piece = new ReplyPiece()

/** Replies that came together: how many, and where each ended. */
interface Run {
  /** Number of the first among `ends`. */
  readonly from: number
  readonly count: number
  readonly ends: readonly number[]
}

export class Way implements ReplySink {
  readonly server: ServerConnections
  lane: SharedLane
  private readonly order: ReplyOrder
  /** Legs that are owed replies, oldest first. */
  private first: Leg | undefined
  private last: Leg | undefined
  /** Whether a part of a reply was given on and its end was not. */
  private isMidReply = false
  /** The beginning of an error whose end has not come. */
  private torn: Buffer | undefined

  constructor(order: ReplyOrder, server: ServerConnections, lane: SharedLane) {
    this.order = order
    this.server = server
    this.lane = lane
  }

  get isIdle(): boolean {
    return this.first === undefined
  }

  /** Whether a part of a reply to `leg` was given on and its end was not. */
  isMidReplyOf(leg: Leg): boolean {
    return this.isMidReply && this.first === leg
  }

  /** Sends a leg. Only while the lane is ready. */
  send(leg: Leg): void {
    this.push(leg)
    this.lane.enqueueRange(this, leg, leg.count)
  }

  /** Sends `before` and a leg with nothing between them. */
  sendBehind(before: Leg, leg: Leg): void {
    this.push(before)
    this.push(leg)
    this.lane.enqueue(this, Buffer.concat([viewOf(before), viewOf(leg)]), before.count + leg.count)
  }

  private push(leg: Leg): void {
    if (this.last === undefined) this.first = leg
    else this.last.nextOfWay = leg
    this.last = leg
    leg.way = this
    this.order.noteSent(leg)
  }

  private shift(): void {
    const { first } = this
    if (first === undefined) return
    this.first = first.nextOfWay
    first.nextOfWay = undefined
    if (this.first === undefined) this.last = undefined
  }

  private unshift(leg: Leg): void {
    leg.nextOfWay = this.first
    this.first = leg
    this.last ??= leg
  }

  // Replies

  get isOutputBlocked(): boolean {
    return this.first !== undefined && this.order.isBlocked(this.first)
  }

  deliver(bytes: Buffer, replyCount: number, scanner: ReplyScanner): void {
    const { ends } = scanner
    if (scanner.errorCount > 0 || this.torn !== undefined) this.sift(bytes, replyCount, ends)
    else this.pass(bytes, { from: 0, count: replyCount, ends })
    this.isMidReply = scanner.isMidReply && this.torn === undefined
  }

  /** Gives the bytes of a run, and those behind it that begin another reply, to the legs that they are for. */
  private pass(bytes: Buffer, { from, count, ends }: Run): void {
    let { first } = this
    piece.begin(bytes)
    const base = from === 0 ? 0 : (ends[from - 1] as number)
    let given = 0
    while (given < count && first !== undefined) {
      const some = Math.min(first.left, count - given)
      given += some
      // What begins behind the last reply is for the same leg if that is owed more.
      if (given === count && some < first.left) piece.rest(some)
      else piece.next((ends[from + given - 1] as number) - base, some)
      this.give(first)
      first = this.first
    }
    if (piece.isEnd || first === undefined) return
    piece.rest(0)
    this.give(first)
  }

  private give(leg: Leg): void {
    leg.left -= piece.count
    if (leg.left === 0) this.shift()
    this.order.take(leg, piece)
  }

  /** The same where there are errors. */
  private sift(read: Buffer, replyCount: number, readEnds: readonly number[]): void {
    const { torn } = this
    this.torn = undefined
    const bytes = torn === undefined ? read : Buffer.concat([torn, read])
    const shift = torn?.length ?? 0
    const ends = shift === 0 ? readEnds : readEnds.slice(0, replyCount).map((end) => end + shift)
    /** What was not given yet begins here, with reply number `from`. */
    let start = 0
    let from = 0
    let replyStart = 0
    for (let index = 0; index < replyCount; index += 1) {
      const end = ends[index] as number
      const isBegin = index > 0 || !this.isMidReply
      const isError = isBegin && bytes[replyStart] === minus
      const kind = isError ? refusalKind(bytes, replyStart, end) : undefined
      if (kind !== undefined) {
        const before = bytes.subarray(start, replyStart)
        if (before.length > 0) this.pass(before, { from, count: index - from, ends })
        const error = Buffer.from(bytes.subarray(replyStart, end))
        const isTaken = this.refuse(kind, error)
        start = isTaken ? end : replyStart
        from = isTaken ? index + 1 : index
      }
      replyStart = end
    }
    const isContinued = replyCount === 0 && this.isMidReply
    const isTorn = !isContinued && replyStart < bytes.length && bytes[replyStart] === minus
    if (isTorn) this.torn = Buffer.from(bytes.subarray(replyStart))
    const rest = bytes.subarray(start, isTorn ? replyStart : bytes.length)
    if (rest.length > 0) this.pass(rest, { from, count: replyCount - from, ends })
  }

  /** Whether the command that got `error` is to be sent again. */
  private refuse(kind: RefusalKind, error: Buffer): boolean {
    if (this.first === undefined || !this.order.isRefusal(kind, this.first)) return false
    const leg = this.takeOut()
    if (leg !== undefined) this.order.refuse(leg, kind, error)
    return true
  }

  /** The command that is owed the next reply, as a leg of its own that is owed nothing here. */
  private takeOut(): Leg | undefined {
    const { first } = this
    if (first === undefined) return undefined
    const { one, rest } = first.takeOut()
    this.shift()
    if (rest !== undefined) this.unshift(rest)
    if (one !== first) this.order.finish(first)
    return one
  }

  // Ends

  lose(count: number, isMidReply: boolean): void {
    const { first } = this
    const isPartGiven = isMidReply && this.torn === undefined
    this.torn = undefined
    this.isMidReply = false
    if (isPartGiven && first !== undefined) {
      if (this.order.isPassing(first)) return this.order.loseMidReply(count)
      first.dropPart()
    }
    for (let index = 0; index < count; index += 1) {
      const leg = this.takeOut()
      if (leg !== undefined) this.order.lose(leg)
    }
  }

  giveBack(_bytes: Buffer, count: number): void {
    const legs: Leg[] = []
    for (let leg = this.first; leg !== undefined; leg = leg.nextOfWay) legs.push(leg)
    let left = count
    const back: Leg[] = []
    while (left > 0) {
      const leg = legs.pop()
      if (leg === undefined) break
      left -= leg.count
      back.unshift(leg)
    }
    this.last = legs.at(-1)
    if (this.last === undefined) this.first = undefined
    else this.last.nextOfWay = undefined
    for (const leg of back) {
      leg.nextOfWay = undefined
      this.order.takeBack(leg)
    }
  }

  /** The client is gone. */
  forget(): void {
    this.lane.drop(this)
    this.first = undefined
    this.last = undefined
  }

  cut(): void {
    if (this.first !== undefined) this.order.unblock(this.first)
  }
}
