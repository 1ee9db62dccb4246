/** The figures of a run, as they are kept in a file. Pure. */
import type { Difference } from './outcome.ts'

export interface UnitFigures {
  /** Tests that pass directly, and how many of those pass through the sidecar too. */
  readonly direct: number
  readonly passed: number
  readonly skipped: readonly Difference[]
  /** Differed once and not again. */
  readonly unsteady: readonly string[]
  readonly failedDirectly: number
  /** Errors between tests, through the sidecar. */
  readonly interruptions: readonly string[]
}

export interface Totals {
  readonly direct: number
  readonly passed: number
  readonly skipped: readonly Difference[]
}

export interface ModeReport {
  readonly totals: Totals
  readonly units: Readonly<Record<string, UnitFigures>>
}

export interface Report {
  readonly suiteVersion: string
  readonly server: string
  readonly standalone?: Totals
  readonly units?: Readonly<Record<string, UnitFigures>>
  readonly singleDatabase?: ModeReport
  readonly perClient?: ModeReport
  readonly cluster?: Totals & Pick<ModeReport, 'units'>
}

export function sumUnits(units: Readonly<Record<string, UnitFigures>>): Totals {
  const all = Object.values(units)
  return {
    direct: all.reduce((sum, { direct }) => sum + direct, 0),
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    skipped: all.flatMap(({ skipped }) => skipped),
  }
}
