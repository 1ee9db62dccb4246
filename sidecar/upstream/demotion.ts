/**
 * Finds out what became of a primary that refuses a write as a replica does (`-READONLY`). What it refuses it has not
 * run; so it is sent nothing more until it is known what it is, and what is held goes to whoever is the primary then.
 *
 * A replica owes its refusals still: they are waited for, for a bounded time, so that nobody has to be told that a
 * command may have been run. Then its connections end, and none is made before it, or another, is a primary.
 *
 * Whoever refuses and says all the same that it is a primary (another proxy in between, a script that speaks like one)
 * is asked once a second: in between nothing is gained by asking, and its refusals are its clients’.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import {
  demotedAttemptsMax,
  demotedDrainMs,
  demotedPollMs,
  identityCheckMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { type Reply, textOf } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { type Connected, type Target, roleIn } from './connect.ts'
import type { Generation } from './connector.ts'
import type { QueueBounds } from './queue-bounds.ts'
import { isReplica } from './target.ts'

export interface DemotionModules {
  readonly bounds: QueueBounds
  readonly clock: Clock
  readonly log: Log
  readonly generation: () => Generation | undefined
  /** Asks over a connection that is open; undefined while there is none. */
  askAside(request: Buffer): Promise<readonly Reply[]> | undefined
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

const roleQuestion = encodeCommand(['INFO', 'replication'])

export class Demotion {
  private readonly modules: DemotionModules
  /** Until then its refusals are believed to be none of a replica. */
  private believedUntilMs = Number.NEGATIVE_INFINITY

  constructor(modules: DemotionModules) {
    this.modules = modules
  }

  /** It refused a write: from now on `bounds.isRefusing`, unless it was asked a moment ago. */
  note(): void {
    const { bounds, clock } = this.modules
    const generation = this.modules.generation()
    if (bounds.isRefusing || generation === undefined) return
    if (clock.monotonicMs() < this.believedUntilMs) return
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
    let answer: Answer = 'unknown'
    for (let attempt = 0; answer === 'unknown' && attempt < demotedAttemptsMax; attempt += 1) {
      if (attempt > 0) await pause(identityCheckMs, signal)
      answer = (await this.isReplica()) ? 'replica' : await this.ask(generation)
    }
    if (answer === 'replica') await this.drain(signal)
    if (modules.generation() !== generation) return
    if (answer === 'replica' || answer === 'other') return modules.reconnect(generation.target)
    this.believedUntilMs = modules.clock.monotonicMs() + identityCheckMs
    modules.bounds.isRefusing = false
    modules.release()
  }

  /** Whether it says so over a connection that it has. */
  private async isReplica(): Promise<boolean> {
    const asked = this.modules.askAside(roleQuestion)
    const replies = await asked?.catch(() => undefined)
    return roleIn(textOf(replies?.[0])) === 'slave'
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
      await pause(demotedPollMs, signal)
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal }).catch(() => undefined)
}
