/** A reporter for `node --test` that leaves the counts, the failures and the names of skips as JSON. */
import type { TestEvent } from 'node:test/reporters'
import { saidBy } from './failure-lines.ts'
import type { Failure, Outcome } from './outcome.ts'

// The runner loads a reporter by its default export.
// oxlint-disable-next-line import/no-default-export
export default async function* countReporter(
  source: AsyncIterable<TestEvent>,
): AsyncGenerator<string> {
  const outcome = {
    passed: 0,
    failed: 0,
    skipped: 0,
    failures: [] as Failure[],
    skips: [] as string[],
  }
  /** By file: the test that runs at each depth. */
  const running = new Map<string, string[]>()
  for await (const event of source) {
    if (event.type === 'test:start') {
      const { name, nesting, file = '' } = event.data
      running.set(file, [...(running.get(file) ?? []).slice(0, nesting), name])
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, nesting, file, details, skip } = event.data
    const isSuite = details.type === 'suite'
    const around = (running.get(file ?? '') ?? []).slice(0, nesting)
    const where = `${[...around, name].join(' > ')}${file === undefined ? '' : ` (${file.replace(`${process.cwd()}/`, '')})`}`
    if (skip !== undefined && skip !== false) {
      outcome.skipped += 1
      outcome.skips.push(`${where}: ${typeof skip === 'string' ? skip : 'no reason given'}`)
    } else if (event.type === 'test:pass') {
      outcome.passed += isSuite ? 0 : 1
    } else {
      const { error } = event.data.details
      if (isSubtestFailure(error)) continue
      outcome.failed += 1
      outcome.failures.push({ where, said: saidBy(error) })
    }
  }
  yield JSON.stringify(outcome satisfies Outcome)
}

/** A test that failed only because one inside it did is not another failure. */
function isSubtestFailure(error: Error): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed'
}
