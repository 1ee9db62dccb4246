/**
 * When the cluster is looked at: one look at a time, at once when something is amiss but seldom if it stays so, a little
 * later after a redirect that told what to do already, and now and then by itself.
 */
import type { Clock } from '../../../common/clock.ts'
import {
  clusterLookMs,
  clusterMovedLookMs,
  clusterTroubleMaxMs,
  clusterTroubleMinMs,
} from '../../../common/limits.ts'

export interface LookPaceModules {
  readonly clock: Clock
  readonly random: () => number
  /** Gives whether all is well now. */
  readonly look: () => Promise<boolean>
}

export class LookPace {
  private readonly modules: LookPaceModules
  private timer: NodeJS.Timeout | undefined
  private dueAtMs = Number.POSITIVE_INFINITY
  private endedAtMs = Number.NEGATIVE_INFINITY
  private troubles = 0
  private isLooking = false
  private isRunning = false
  /** How soon the next look is wanted, if one was while looking. */
  private wantedMs = Number.POSITIVE_INFINITY

  constructor(modules: LookPaceModules) {
    this.modules = modules
  }

  /** Looks now. */
  start(): void {
    this.isRunning = true
    this.troubles = 0
    this.endedAtMs = Number.NEGATIVE_INFINITY
    this.within(0)
  }

  stop(): void {
    this.isRunning = false
    clearTimeout(this.timer)
    this.dueAtMs = Number.POSITIVE_INFINITY
  }

  /** Something is amiss. */
  soon(): void {
    this.within(this.troubleMs())
  }

  /** A redirect was followed: others will come, and one look serves for all. */
  later(): void {
    this.within(clusterMovedLookMs)
  }

  private troubleMs(): number {
    return Math.min(clusterTroubleMaxMs, clusterTroubleMinMs * 2 ** Math.min(this.troubles, 16))
  }

  /** The next look is so long, half of it left to chance, after the last one, or earlier if that is so already. */
  private within(ms: number): void {
    if (!this.isRunning) return
    if (this.isLooking) {
      this.wantedMs = Math.min(this.wantedMs, ms)
      return
    }
    const { clock, random } = this.modules
    const nowMs = clock.monotonicMs()
    const dueAtMs = Math.max(nowMs, this.endedAtMs + ms / 2 + (ms / 2) * random())
    if (dueAtMs >= this.dueAtMs) return
    this.dueAtMs = dueAtMs
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.run(), dueAtMs - nowMs).unref()
  }

  private async run(): Promise<void> {
    this.dueAtMs = Number.POSITIVE_INFINITY
    this.isLooking = true
    this.wantedMs = Number.POSITIVE_INFINITY
    const isWell = await this.modules.look()
    this.isLooking = false
    this.endedAtMs = this.modules.clock.monotonicMs()
    this.troubles = isWell ? 0 : this.troubles + 1
    this.within(Math.min(this.wantedMs, isWell ? clusterLookMs : this.troubleMs()))
  }
}
