/** What became of the tests of one unit, and how two runs of it compare. Pure. */
import type { SuiteEvent } from './output.ts'

export type TestResult =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly detail: string }
  /** Nothing was heard for longer than the limit; the unit was run again without it. */
  | { readonly kind: 'stuck' }

/** Results by test; a name that comes again has its number behind it. */
export type UnitResults = Map<string, TestResult>

export interface Difference {
  readonly unit: string
  readonly test: string
  readonly reason: string
}

/** Collects the events of one run. */
export class Collector {
  readonly results: UnitResults = new Map()
  /** What ended a block or the run before its time. */
  readonly interruptions: string[] = []
  readonly ignored: string[] = []
  running: string | undefined
  isDone = false
  private readonly seen = new Map<string, number>()

  take(event: SuiteEvent): void {
    switch (event.kind) {
      case 'started':
        this.running = event.test
        return
      case 'passed':
        this.settle(event.test, { kind: 'passed' })
        return
      case 'failed':
        if (event.test === undefined) this.interruptions.push(event.detail)
        else this.settle(event.test, { kind: 'failed', detail: event.detail })
        return
      case 'ignored':
        this.ignored.push(event.text)
        return
      case 'done':
        this.isDone = true
        return
      case 'crashed':
        this.interruptions.push(event.detail)
    }
  }

  /** Notes that the test that runs will not end. */
  giveUp(): string | undefined {
    const { running } = this
    if (running !== undefined) this.settle(running, { kind: 'stuck' })
    return running
  }

  private settle(test: string, result: TestResult): void {
    const count = (this.seen.get(test) ?? 0) + 1
    this.seen.set(test, count)
    this.results.set(count === 1 ? test : `${test} #${count}`, result)
    this.running = undefined
  }
}

export function passedCount(results: UnitResults): number {
  return [...results.values()].filter(({ kind }) => kind === 'passed').length
}

/** Tests that pass directly and not through the sidecar, with why. */
export function differences(unit: string, direct: UnitResults, through: UnitResults): Difference[] {
  return [...direct]
    .filter(([test, { kind }]) => kind === 'passed' && through.get(test)?.kind !== 'passed')
    .map(([test]) => ({ unit, test, reason: reasonOf(through.get(test)) }))
}

function reasonOf(result: TestResult | undefined): string {
  if (result === undefined) return 'not reached: an earlier error ended its block'
  if (result.kind === 'stuck') return 'stuck: no end within the time limit'
  if (result.kind === 'passed') return ''
  const detail = result.detail.replaceAll(/\s+/g, ' ').trim()
  const [, refused] = /NOPERM '([^']+)' is not allowed through the proxy/.exec(detail) ?? []
  if (refused !== undefined) return `refused: ${refused} is not allowed through the sidecar`
  return `different: ${detail.slice(0, 300)}`
}
