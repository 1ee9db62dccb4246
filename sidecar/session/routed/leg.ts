/**
 * Commands that stand next to each other and went to one server together, and what has come for them. Their bytes are
 * kept until they are answered, so that they can be sent again.
 */
import { type ByteRange, copyRange } from '../../net/byte-range.ts'
import { replyLineBytesMax } from '../../../common/limits.ts'
import { ReplyScanner } from '../../resp/reply-scanner.ts'
import type { Shard } from '../../route/backend.ts'
import { CommandFrame } from '../../route/command-frame.ts'
import type { ReplyPiece, ReplyRange, RequestSlab } from './kept-bytes.ts'
import type { Refusal } from './refusal.ts'
import type { Way } from './way.ts'

/**
 * `ready`: has not been sent yet; `sent`: replies are owed; `refused`: the one command of it was not run, and is to be
 * sent again; `done`: all replies are there.
 */
export type LegState = 'ready' | 'sent' | 'refused' | 'done'

/** What all commands of a leg have in common. */
export interface LegKind {
  /** Whether one of them may change something. Only told where reads are split. */
  readonly isWrite: boolean
  /** Whether it goes to a replica. */
  readonly isReader: boolean
  /** It is this shard’s part of what all are asked: it goes to whoever is its primary, whatever comes. */
  readonly onlyShard?: Shard
}

/** Where its replies go: the client in its turn, a merge, or nowhere. */
export interface LegOwner {
  readonly list: LegList
  /** Takes replies that came before their turn. */
  hold(leg: Leg, replies: ReplyPiece): void
  /** So many of the bytes that it took will not be followed by the end of their reply, and are gone. */
  forgetPart(byteCount: number): void
  /** Whether more is held for it than should be. */
  isFull(leg: Leg): boolean
  /** All its replies are there. */
  onDone(leg: Leg): void
}

export class Leg {
  readonly owner: LegOwner
  readonly bytes: Buffer
  readonly start: number
  end: number
  readonly kind: LegKind
  count: number
  /** Replies that have not ended. */
  left: number
  state: LegState = 'ready'
  /** The one behind it in the order of replies, and in that of the server it went to. */
  next: Leg | undefined = undefined
  nextOfWay: Leg | undefined = undefined
  /** Of a command that several servers answer: what they were sent. */
  parts: LegList | undefined = undefined
  /** How it was sent. */
  way: Way | undefined = undefined
  /** Replies that came before their turn, as they came. */
  held: Held | undefined = undefined
  private lastHeld: Held | undefined = undefined
  /** What its bytes lie in, if that is used again when it has left the list. */
  private slab: RequestSlab | undefined = undefined
  heldBytes = 0
  /** Whether more is gathered than should be, because otherwise nobody could go on. */
  isUnbounded = false
  refusal: Refusal | undefined = undefined

  constructor(owner: LegOwner, request: ByteRange, count: number, kind: LegKind) {
    this.owner = owner
    this.bytes = request.bytes
    this.start = request.start
    this.end = request.end
    this.count = count
    this.left = count
    this.kind = kind
  }

  /** Its bytes lie in `slab`, which they may be overwritten in once it has left its list. */
  keepIn(slab: RequestSlab | undefined): void {
    slab?.join()
    this.slab = slab
  }

  /** It has left its list: nobody reads its bytes any more. */
  leave(): void {
    const { slab } = this
    this.slab = undefined
    slab?.leave()
  }

  /** Keeps replies whose bytes stay what they are. */
  hold(replies: ReplyRange): void {
    const held = new Held(replies)
    if (this.lastHeld === undefined) this.held = held
    else this.lastHeld.next = held
    this.lastHeld = held
    this.heldBytes += replies.end - replies.start
  }

  dropHeld(): void {
    this.held = undefined
    this.lastHeld = undefined
    this.heldBytes = 0
  }

  /** All that is held, a copy. */
  heldReplies(): Buffer {
    const all = Buffer.allocUnsafe(this.heldBytes)
    let at = 0
    for (let held = this.held; held !== undefined; held = held.next) {
      copyRange(held, all, at)
      at += held.end - held.start
    }
    return all
  }

  /**
   * Makes its first unanswered command a leg of its own, and what is behind that another, both in their places. What it
   * is left with has been answered.
   */
  takeOut(): { readonly one: Leg; readonly rest: Leg | undefined } {
    if (this.count === 1) return { one: this, rest: undefined }
    const { owner, bytes, kind, slab } = this
    const index = this.count - this.left
    const restCount = this.left - 1
    const start = this.frameStart(index)
    const end = restCount === 0 ? this.end : frameEnd(bytes, start, this.end)
    const one = new Leg(owner, { bytes, start, end }, 1, kind)
    one.state = this.state
    one.keepIn(slab)
    const rest =
      restCount === 0
        ? undefined
        : new Leg(owner, { bytes, start: end, end: this.end }, restCount, kind)
    owner.list.insertAfter(this, one)
    if (rest !== undefined) {
      rest.state = this.state
      rest.keepIn(slab)
      rest.way = this.way
      owner.list.insertAfter(one, rest)
    }
    this.count = index
    this.left = 0
    this.end = start
    return { one, rest }
  }

  /** Forgets what was held of a reply whose end will not come. */
  dropPart(): void {
    if (this.held === undefined) return
    let whole = 0
    for (let held: Held | undefined = this.held; held !== undefined; held = held.next)
      whole += held.count
    const all = this.heldReplies()
    const scanner = new ReplyScanner({ allowsPushes: false, lineBytesMax: replyLineBytesMax })
    const isAny = whole > 0 && scanner.scan(all, 0, all.length, whole)
    this.dropHeld()
    if (isAny) this.hold({ bytes: all, start: 0, end: scanner.position, count: whole })
    this.owner.forgetPart(all.length - this.heldBytes)
  }

  /** Where its command number `index` begins. */
  private frameStart(index: number): number {
    let at = this.start
    for (let passed = 0; passed < index; passed += 1) {
      at = frameEnd(this.bytes, at, this.end)
    }
    return at
  }
}

/** One of several, in their order. */
class Held implements ReplyRange {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly count: number
  next: Held | undefined = undefined

  constructor({ bytes, start, end, count }: ReplyRange) {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.count = count
  }
}

const frame = new CommandFrame()

function frameEnd(bytes: Buffer, start: number, limit: number): number {
  frame.read(bytes, start, limit)
  return frame.end
}

/** Legs in the order of their commands. */
export class LegList {
  head: Leg | undefined
  private tail: Leg | undefined

  push(leg: Leg): void {
    if (this.tail === undefined || this.head === undefined) this.head = leg
    else this.tail.next = leg
    this.tail = leg
  }

  insertAfter(leg: Leg, added: Leg): void {
    added.next = leg.next
    leg.next = added
    if (this.tail === leg) this.tail = added
  }

  /** Drops the first one. */
  shift(): void {
    const { head } = this
    if (head === undefined) return
    this.head = head.next
    if (this.head === undefined) this.tail = undefined
    head.leave()
  }

  clear(): void {
    for (let leg = this.head; leg !== undefined; leg = leg.next) leg.leave()
    this.head = undefined
    this.tail = undefined
  }
}

/** Of commands that nothing depends on, of those that may change something, and of those that go to a replica. */
export const plainKind: LegKind = { isWrite: false, isReader: false }
export const writeKind: LegKind = { isWrite: true, isReader: false }
export const readerKind: LegKind = { isWrite: false, isReader: true }

/** Has the replies of its legs dropped. */
export const nobodysLeg: LegOwner = {
  list: new LegList(),
  hold() {},
  forgetPart() {},
  isFull: () => false,
  onDone() {},
}
