/**
 * When replicas are asked again. While they are read from or owe something, at a steady pace; otherwise now and then, so that the next
 * read finds something known; and soon where reads are refused because what is known is older than what their clients
 * wrote, but only for so many of them that asking costs little beside.
 */
import type { Clock } from '../../../common/clock.ts'
import {
  replicaIdlePollMs,
  replicaPollMs,
  replicaPollReadsMin,
  replicaPollSoonMs,
} from '../../../common/limits.ts'

export class PollPace {
  private readonly clock: Clock
  private readonly poll: () => void
  /** Whether a replica owes anything. */
  private readonly isOwed: () => boolean
  private timer: NodeJS.Timeout | undefined
  private activeMs = replicaPollMs
  private idleMs = replicaIdlePollMs
  private isRunning = false
  /** Whether the next question is as far as that, since nobody reads. */
  private isIdle = false
  /** Rises when reads come; compared with how it was before. */
  private readCount = 0
  private readCountBefore = 0
  private refusedCount = 0
  private polledAtMs = Number.NEGATIVE_INFINITY
  private dueAtMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, poll: () => void, isOwed: () => boolean) {
    this.clock = clock
    this.poll = poll
    this.isOwed = isOwed
  }

  /** Begins, or goes on with another bound on lag, of which a good part must remain after each answer. */
  start(lagMsMax: number): void {
    this.activeMs = Math.min(replicaPollMs, lagMsMax / 4)
    this.idleMs = Math.min(replicaIdlePollMs, lagMsMax / 2)
    this.isRunning = true
    this.now()
  }

  stop(): void {
    this.isRunning = false
    clearTimeout(this.timer)
  }

  /** A read asks for a replica. */
  noteRead(nowMs: number): void {
    this.readCount += 1
    if (nowMs >= this.dueAtMs) this.now()
    else if (this.isIdle && this.isRunning) {
      this.isIdle = false
      this.wait(this.dueAtMs - nowMs)
    }
  }

  /** None of `serverCount` servers could take it. */
  noteRefused(nowMs: number, serverCount: number): void {
    this.refusedCount += 1
    if (this.refusedCount < replicaPollReadsMin * serverCount) return
    this.soon(nowMs)
  }

  /** Now, or a little later if it was asked just now. */
  soon(nowMs = this.clock.monotonicMs()): void {
    const waitMs = this.polledAtMs + replicaPollSoonMs - nowMs
    if (waitMs <= 0) this.now()
    else if (this.isRunning) this.wait(waitMs)
  }

  private now(): void {
    if (!this.isRunning) return
    const nowMs = this.clock.monotonicMs()
    const isUsed = this.readCount !== this.readCountBefore || this.isOwed()
    this.readCountBefore = this.readCount
    this.refusedCount = 0
    this.polledAtMs = nowMs
    this.dueAtMs = nowMs + this.activeMs
    this.isIdle = !isUsed
    this.wait(isUsed ? this.activeMs : this.idleMs)
    this.poll()
  }

  private wait(ms: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.now(), ms).unref()
  }
}
