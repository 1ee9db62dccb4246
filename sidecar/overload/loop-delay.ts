/** How late the event loop is: of the last one to two minutes, so that two scrapers do not disturb each other. */
import type { monitorEventLoopDelay } from 'node:perf_hooks'
import { loopDelayResolutionMs, loopDelayWindowMs } from '../../common/limits.ts'

export interface LoopDelay {
  readonly p99Seconds: number
  readonly maxSeconds: number
}

const none: LoopDelay = { p99Seconds: 0, maxSeconds: 0 }

export class LoopDelayMonitor {
  private readonly histogram: ReturnType<typeof monitorEventLoopDelay>
  private before = none
  private sinceMs: number

  constructor(nowMs: number) {
    this.sinceMs = nowMs
    this.histogram = process
      .getBuiltinModule('node:perf_hooks')
      .monitorEventLoopDelay({ resolution: loopDelayResolutionMs })
    this.histogram.enable()
  }

  read(nowMs: number): LoopDelay {
    const { histogram } = this
    const seconds = (nanoseconds: number) =>
      Math.max(0, nanoseconds / 1e9 - loopDelayResolutionMs / 1000)
    const now: LoopDelay =
      histogram.count === 0
        ? none
        : { p99Seconds: seconds(histogram.percentile(99)), maxSeconds: seconds(histogram.max) }
    const { before } = this
    if (nowMs - this.sinceMs >= loopDelayWindowMs) {
      this.sinceMs = nowMs
      this.before = now
      histogram.reset()
    }
    return {
      p99Seconds: Math.max(before.p99Seconds, now.p99Seconds),
      maxSeconds: Math.max(before.maxSeconds, now.maxSeconds),
    }
  }

  stop(): void {
    this.histogram.disable()
  }
}
