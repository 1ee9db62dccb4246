/**
 * Whether a server of a ring is taken out of it, by what becomes of the connections to it. Pure: time is handed in.
 *
 * in → out after so many failures in a row → due when its time is over → in again once it can be used.
 */
export interface EjectionRules {
  /** Undefined: never. */
  readonly after: number | undefined
  readonly forMs: number
}

export class Ejection {
  /** Failures since it was last seen to work. */
  failures = 0
  /** How often it was taken out. */
  count = 0
  private untilMs: number | undefined

  get isOut(): boolean {
    return this.untilMs !== undefined
  }

  /** Whether it may come back as soon as it can be used. */
  isDue(nowMs: number): boolean {
    return this.untilMs !== undefined && nowMs >= this.untilMs
  }

  /** A connection was lost, or could not be had in time; true if the server is to be taken out for it. */
  noteFailure({ after }: EjectionRules): boolean {
    this.failures += 1
    return !this.isOut && after !== undefined && this.failures >= after
  }

  takeOut({ forMs }: EjectionRules, nowMs: number): void {
    this.untilMs = nowMs + forMs
    this.count += 1
  }

  /** It can be used; true if it is back for that. */
  noteWorks(nowMs: number): boolean {
    this.failures = 0
    if (!this.isDue(nowMs)) return false
    this.untilMs = undefined
    return true
  }

  /** Servers are not taken out any more. */
  takeBack(): boolean {
    const wasOut = this.isOut
    this.untilMs = undefined
    return wasOut
  }
}
