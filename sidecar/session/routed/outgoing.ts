/**
 * Replies on their way from several servers to one client: put together, so that what belongs to one pipeline goes out
 * in one call although its parts come one after the other. Nothing waits for long: what is here goes when the last
 * reply has come that is owed, and else in the next turn, which is as long as there is much to do.
 */
import { outgoingBytesMax } from '../../../common/limits.ts'
import type { ReplyRange } from './kept-bytes.ts'
import { copyRange, viewOf } from '../../net/byte-range.ts'
import type { Session } from '../session.ts'

/** Memory for a new pipeline’s replies; it grows by doubling. */
const memoryBytesMin = 512

export class Outgoing {
  private readonly session: Session
  private memory: Buffer | undefined
  private byteCount = 0
  private replyCount = 0
  private isLate = false

  constructor(session: Session) {
    this.session = session
  }

  /** Takes replies that are the client’s next. `isMore`: others are owed to it. */
  push(replies: ReplyRange, isMore: boolean): void {
    const length = replies.end - replies.start
    if (this.byteCount + length > outgoingBytesMax) this.flush()
    const isAlone = this.byteCount === 0 && !isMore
    if (isAlone || length > outgoingBytesMax) {
      this.session.deliver(viewOf(replies), replies.count)
      return
    }
    const end = this.byteCount + length
    copyRange(replies, this.memoryFor(end), this.byteCount)
    this.byteCount = end
    this.replyCount += replies.count
    if (!isMore) this.flush()
    else if (!this.isLate) {
      this.isLate = true
      lateTurn.add(this)
    }
  }

  /** Gives the client what is here. */
  flush(): void {
    const { memory, byteCount, replyCount } = this
    if (memory === undefined || byteCount === 0) return
    this.memory = undefined
    this.byteCount = 0
    this.replyCount = 0
    this.session.deliver(memory.subarray(0, byteCount), replyCount)
  }

  /** Others that are owed have not come. */
  flushLate(): void {
    this.isLate = false
    if (this.byteCount === 0 || this.session.isClosed) return
    this.flush()
    this.session.output.flush()
  }

  private memoryFor(byteCount: number): Buffer {
    const { memory } = this
    if (memory !== undefined && byteCount <= memory.length) return memory
    const length = Math.max(memoryBytesMin, byteCount, 2 * (memory?.length ?? 0))
    const larger = Buffer.allocUnsafe(length)
    if (memory !== undefined) larger.set(memory.subarray(0, this.byteCount))
    this.memory = larger
    return larger
  }
}

/** Calls those who came in one turn at the end of the next. */
class LateTurn {
  private present: Outgoing[] = []
  private before: Outgoing[] = []
  private isScheduled = false

  add(one: Outgoing): void {
    this.present.push(one)
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    const { before } = this
    this.before = this.present
    this.present = []
    for (const one of before) one.flushLate()
    this.isScheduled = this.before.length > 0 || this.present.length > 0
    if (this.isScheduled) setImmediate(this.run)
  }
}

const lateTurn = new LateTurn()
