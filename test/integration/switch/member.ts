/** One client of the fleet: what it did, what went wrong, and how long it had to wait. */

import { setTimeout as delay } from 'node:timers/promises'

export interface Crew {
  readonly port: number
  /** Whether members go on. */
  isRunning: boolean
}

export class Member {
  readonly name: string
  readonly errors: string[] = []
  doneCount = 0
  /** Transactions that were aborted as a whole, and said so. */
  abortedCount = 0
  private longestMs = 0
  private restedMs = 0
  readonly ended: Promise<void>

  /** `step` is done again and again until the crew stops; what it throws is an error of the fleet. */
  constructor(name: string, crew: Crew, step: (member: Member) => Promise<void>) {
    this.name = name
    this.ended = this.run(crew, step)
  }

  fail(what: string): void {
    if (this.errors.length < 20) this.errors.push(`${this.name}: ${what}`)
  }

  expect(isTrue: boolean, what: string): void {
    if (!isTrue) this.fail(what)
  }

  noteWait(ms: number): void {
    this.longestMs = Math.max(this.longestMs, ms)
  }

  /** Takes its time, which does not count as waiting. */
  async rest(ms: number): Promise<void> {
    const start = performance.now()
    await delay(ms)
    this.restedMs += performance.now() - start
  }

  takeLongest(): number {
    const { longestMs } = this
    this.longestMs = 0
    return longestMs
  }

  private async run(crew: Crew, step: (member: Member) => Promise<void>): Promise<void> {
    while (crew.isRunning && this.errors.length < 20) {
      const start = performance.now()
      try {
        await step(this)
      } catch (error) {
        // Those that wait for something are told so when the crew is sent home.
        if (crew.isRunning) this.fail(String(error))
        await this.rest(1)
      }
      this.doneCount += 1
      this.noteWait(performance.now() - start - this.restedMs)
      this.restedMs = 0
    }
  }
}
