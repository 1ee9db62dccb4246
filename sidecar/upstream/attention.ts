/**
 * Why a connected server is sent nothing more at present, and what that says of it.
 *
 * A server runs one command at a time: while it owes a reply and is silent, nothing is lost by keeping back what is
 * still here, and what was never sent can go to its successor. So a silent server (`Liveness`) and one that the
 * control plane suspects get nothing new until they say something; they are asked, so that one that lives does so at
 * once.
 */
import type { Clock } from '../../common/clock.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import type { Hearing } from './hearing.ts'
import type { QueueBounds } from './queue-bounds.ts'

export interface AttentionModules {
  readonly bounds: QueueBounds
  readonly hearing: Hearing
  readonly clock: Clock
  readonly counters: DataPlaneCounters
  /** Has the server asked whether it lives. */
  probe(): void
  /** It was heard: its silence is over. */
  onHeard(): void
  /** Those who wait for it may try again. */
  release(): void
  /** Something is known of it that others want to hear. */
  tell(): void
}

export class Attention {
  /** It was asked whether it lives, and says nothing. */
  isDoubted = false
  private readonly modules: AttentionModules
  private timer: NodeJS.Timeout | undefined

  constructor(modules: AttentionModules) {
    this.modules = modules
  }

  /** The control plane has doubts: nothing new is sent for so long, or until the server says something; 0 ends it. */
  suspect(forMs: number): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (forMs === 0) return this.setSuspected(false)
    this.timer = setTimeout(() => this.suspect(0), forMs).unref()
    if (!this.modules.bounds.isSuspected) this.modules.counters.upstreamSuspicions += 1
    this.setSuspected(true)
    this.listen()
    this.modules.probe()
  }

  onQuiet(isQuiet: boolean): void {
    const { bounds, counters } = this.modules
    if (isQuiet === bounds.isQuiet) return
    bounds.isQuiet = isQuiet
    if (!isQuiet) return this.modules.release()
    counters.upstreamSilences += 1
    this.listen()
  }

  onDoubt(isDoubted: boolean): void {
    if (isDoubted === this.isDoubted) return
    this.isDoubted = isDoubted
    this.modules.tell()
  }

  /** There is no server any more, or it is connected anew. */
  reset(): void {
    this.suspect(0)
    this.modules.hearing.onNext = undefined
  }

  private setSuspected(isSuspected: boolean): void {
    const { bounds } = this.modules
    if (isSuspected === bounds.isSuspected) return
    bounds.isSuspected = isSuspected
    if (!isSuspected) this.modules.release()
  }

  private listen(): void {
    this.modules.hearing.onNext = this.noteHeard
  }

  private readonly noteHeard = (): void => {
    const { bounds, clock, hearing } = this.modules
    const wasAsked = bounds.isSuspected
    hearing.noteNow(clock.monotonicMs())
    this.suspect(0)
    this.modules.onHeard()
    // Whoever suspected it waits for this.
    if (wasAsked) this.modules.tell()
  }
}
