/**
 * One command that several servers answer: its parts go their own ways, with their own redirects, and their replies
 * become one when the last is there.
 */
import type { CommandMerge } from '../../../common/redis/command-routes.ts'
import {
  clientOutputCutBytes,
  largeReplyBytesMin,
  mergedReplyBytesMax,
} from '../../../common/limits.ts'
import { type MergeOptions, mergeReplies } from '../../route/merge/merge-replies.ts'
import { ownReplies } from '../own-replies.ts'
import type { ReplyPiece } from './kept-bytes.ts'
import { Leg, LegList, type LegOwner, plainKind } from './leg.ts'
import type { ReplyOrder } from './reply-order.ts'

const nothing = Buffer.alloc(0)

/** Makes one reply of those of all parts, in their order; undefined when they cannot be made one. */
export type Merge = (replies: readonly Buffer[]) => Buffer | undefined

export function mergeBy(merge: CommandMerge, options: MergeOptions): Merge {
  return (replies) => mergeReplies(merge, replies, options)
}

export class Joint implements LegOwner {
  readonly list = new LegList()
  /** Stands for all parts in the order of replies. */
  readonly place: Leg
  private readonly order: ReplyOrder
  private readonly merge: Merge
  private partsLeft = 0
  private heldBytes = 0
  private isTooLarge = false

  constructor(order: ReplyOrder, merge: Merge) {
    this.order = order
    this.merge = merge
    this.place = new Leg(order, { bytes: nothing, start: 0, end: 0 }, 1, plainKind)
    this.place.parts = this.list
  }

  /** Adds a part; all are added before the first is sent. */
  add(leg: Leg): void {
    this.list.push(leg)
    this.partsLeft += leg.count
  }

  hold(leg: Leg, replies: ReplyPiece): void {
    this.partsLeft -= replies.count
    const byteCount = replies.end - replies.start
    if (this.isTooMuch(byteCount)) this.drop()
    if (this.isTooLarge) return
    this.heldBytes += byteCount
    this.order.heldBytes += byteCount
    replies.own()
    leg.hold(replies)
  }

  /** Of one command, or of all that the client has in flight. */
  private isTooMuch(byteCount: number): boolean {
    const heldBytes = this.heldBytes + byteCount
    const isAmongMany = this.order.heldBytes + byteCount > clientOutputCutBytes
    return heldBytes > mergedReplyBytesMax || (isAmongMany && heldBytes > largeReplyBytesMin)
  }

  forgetPart(byteCount: number): void {
    this.heldBytes -= byteCount
    this.order.heldBytes -= byteCount
  }

  isFull(): boolean {
    return false
  }

  onDone(): void {
    if (this.partsLeft > 0) return
    const replies: Buffer[] = []
    for (let leg = this.list.head; leg !== undefined; leg = leg.next) {
      if (leg.held !== undefined) replies.push(leg.heldReplies())
    }
    const merged = this.isTooLarge ? ownReplies.tooLarge : this.merge(replies)
    this.order.heldBytes -= this.heldBytes
    this.heldBytes = 0
    this.partsLeft = Number.POSITIVE_INFINITY
    for (let leg = this.list.head; leg !== undefined; leg = leg.next) leg.dropHeld()
    this.order.answer(this.place, merged ?? ownReplies.unmerged)
  }

  /** What came is more than may be held: it is dropped, and so is what is still to come. */
  private drop(): void {
    if (this.isTooLarge) return
    this.isTooLarge = true
    this.order.heldBytes -= this.heldBytes
    this.heldBytes = 0
    for (let leg = this.list.head; leg !== undefined; leg = leg.next) leg.dropHeld()
  }
}
