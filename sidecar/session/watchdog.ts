/** Looks at intervals after those who may be getting nowhere; costs nothing while there are none. */
import type { Clock } from '../../common/clock.ts'

export interface Watched {
  onWatch(nowMs: number): void
}

export class Watchdog {
  private readonly watched = new Set<Watched>()
  private readonly clock: Clock
  private readonly intervalMs: number
  private timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, intervalMs: number) {
    this.clock = clock
    this.intervalMs = intervalMs
  }

  now(): number {
    return this.clock.monotonicMs()
  }

  add(one: Watched): void {
    this.watched.add(one)
    this.timer ??= setInterval(this.look, this.intervalMs).unref()
  }

  remove(one: Watched): void {
    this.watched.delete(one)
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
    this.watched.clear()
  }

  private readonly look = (): void => {
    const now = this.clock.monotonicMs()
    for (const one of this.watched) one.onWatch(now)
    if (this.watched.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}
