/**
 * Finds out what became of a primary that refuses a write as a replica does (`-READONLY`). What it refuses it has not
 * run; so it is sent nothing more until it is known what it is, and what is held goes to whoever is the primary then.
 *
 * A replica owes its refusals still: they are waited for, for a bounded time, so that nobody has to be told that a
 * command may have been run. Then its connections end, and none is made before it, or another, is a primary.
 *
 * Whoever refuses and says all the same that it is a primary (another proxy in between) is believed for a while after
 * it was asked a few times: nothing is gained by sending to it again, and its refusals are its clients’.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import {
  demotedDrainMs,
  demotedPollMs,
  identityCheckMs,
  vainChecksForgetMs,
  vainChecksMax,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { Connected, Target } from './connect.ts'
import type { Generation } from './connector.ts'
import type { QueueBounds } from './queue-bounds.ts'
import { isReplica } from './target.ts'

export interface DemotionModules {
  readonly bounds: QueueBounds
  readonly clock: Clock
  readonly log: Log
  readonly generation: () => Generation | undefined
  /** Opens a connection to see who answers. */
  open(target: Target, signal: AbortSignal): Promise<Connected>
  /** Whether replies are owed that a replica gives. */
  isOwing(): boolean
  /** Ends every connection and opens new ones to the same server. */
  reconnect(target: Target): void
  /** Those who wait for the server may try again. */
  release(): void
}

type Answer = 'primary' | 'replica' | 'other' | 'unknown'

export class Demotion {
  private readonly modules: DemotionModules
  /** When it was asked last and nothing was gained by it, and how often lately it was the primary all the same. */
  private vainMs = Number.NEGATIVE_INFINITY
  private vainCount = 0

  constructor(modules: DemotionModules) {
    this.modules = modules
  }

  /** It refused a write: from now on `bounds.isRefusing`, unless nothing is to be learnt by asking again. */
  note(): void {
    const { bounds, clock } = this.modules
    const generation = this.modules.generation()
    if (bounds.isRefusing || generation === undefined) return
    if (clock.monotonicMs() - this.vainMs >= vainChecksForgetMs) this.vainCount = 0
    if (this.vainCount >= vainChecksMax) return
    bounds.isRefusing = true
    void this.look(generation)
  }

  /** There is no server any more, or it is connected anew. */
  reset(): void {
    this.modules.bounds.isRefusing = false
  }

  /** Never rejects; ends with the generation. */
  private async look(generation: Generation): Promise<void> {
    const { modules } = this
    const { signal } = generation.abort
    for (;;) {
      const waitMs = this.vainMs + identityCheckMs - modules.clock.monotonicMs()
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined)
      const answer = await this.ask(generation)
      if (answer === 'replica') await this.drain(signal)
      if (modules.generation() !== generation) return
      if (answer === 'replica' || answer === 'other') return modules.reconnect(generation.target)
      this.vainMs = modules.clock.monotonicMs()
      if (answer === 'primary') return this.goOn()
    }
  }

  private async ask({ target, abort }: Generation): Promise<Answer> {
    try {
      const { connection } = await this.modules.open(target, abort.signal)
      connection.destroy()
      return 'primary'
    } catch (error) {
      if (codeOf(error) !== 'RM_UPSTREAM_IDENTITY' || abort.signal.aborted) return 'unknown'
      this.modules.log.warn({ err: error }, 'a server is not what it was')
      return isReplica(error) ? 'replica' : 'other'
    }
  }

  private async drain(signal: AbortSignal): Promise<void> {
    const { clock } = this.modules
    const untilMs = clock.monotonicMs() + demotedDrainMs
    while (this.modules.isOwing() && clock.monotonicMs() < untilMs && !signal.aborted) {
      await delay(demotedPollMs, undefined, { signal }).catch(() => undefined)
    }
  }

  private goOn(): void {
    this.vainCount += 1
    this.modules.bounds.isRefusing = false
    this.modules.release()
  }
}
