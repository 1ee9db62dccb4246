/** Clients whose next command no server may take at present, and how long each may wait. */
import type { Clock } from '../../common/clock.ts'

export interface Holdable {
  /** The command may be tried again. */
  onRelease(): void
  /** The command has been held for as long as it may be. */
  onHoldTimeout(): void
}

export class HoldQueue {
  private readonly since = new Map<Holdable, number>()
  private readonly clock: Clock
  private readonly timeoutMs: () => number
  private timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, timeoutMs: () => number) {
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  get size(): number {
    return this.since.size
  }

  holders(): Iterable<Holdable> {
    return this.since.keys()
  }

  add(holder: Holdable): void {
    if (this.since.has(holder)) return
    this.since.set(holder, this.clock.monotonicMs())
    this.timer ??= setTimeout(this.expire, this.timeoutMs())
  }

  remove(holder: Holdable): void {
    this.since.delete(holder)
  }

  /** Lets every client try again, the one that waited longest first; those that cannot come back keep their time. */
  releaseAll(): void {
    const held = [...this.since]
    for (const [holder, sinceMs] of held) {
      this.since.delete(holder)
      holder.onRelease()
      if (this.since.has(holder)) this.since.set(holder, sinceMs)
    }
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.since.clear()
  }

  private readonly expire = (): void => {
    this.timer = undefined
    const now = this.clock.monotonicMs()
    const timeoutMs = this.timeoutMs()
    for (const [holder, sinceMs] of this.since) {
      if (now - sinceMs < timeoutMs - 1) continue
      this.since.delete(holder)
      holder.onHoldTimeout()
    }
    const oldest = this.since.values().next()
    if (oldest.done === true) return
    const waitMs = Math.max(1, oldest.value + timeoutMs - this.clock.monotonicMs())
    this.timer = setTimeout(this.expire, waitMs)
  }
}
