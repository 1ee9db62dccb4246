/** Counts of passed, failed and skipped, with what is worth saying about the latter two. */

export interface Failure {
  /** What failed, and in which file. */
  readonly where: string
  /** The beginning of what it said. */
  readonly said: readonly string[]
}

export interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: readonly Failure[]
  readonly skips: readonly string[]
}

export const noOutcome: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] }

export function sum(a: Outcome, b: Outcome): Outcome {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
    skips: [...a.skips, ...b.skips],
  }
}
