/** A reporter for `node --test` that leaves the counts and the names of failures and skips as JSON. */
import type { TestEvent } from 'node:test/reporters'
import type { Outcome } from './outcome.ts'

// The runner loads a reporter by its default export.
// oxlint-disable-next-line import/no-default-export
export default async function* countReporter(
  source: AsyncIterable<TestEvent>,
): AsyncGenerator<string> {
  const outcome = {
    passed: 0,
    failed: 0,
    skipped: 0,
    failures: [] as string[],
    skips: [] as string[],
  }
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, file, details, skip } = event.data
    const isSuite = details.type === 'suite'
    const where = `${name}${file === undefined ? '' : ` (${file.replace(`${process.cwd()}/`, '')})`}`
    if (skip !== undefined && skip !== false) {
      outcome.skipped += 1
      outcome.skips.push(`${where}: ${typeof skip === 'string' ? skip : 'no reason given'}`)
    } else if (event.type === 'test:pass') {
      outcome.passed += isSuite ? 0 : 1
    } else if (!isSuite || event.data.details.error.cause === undefined) {
      outcome.failed += 1
      outcome.failures.push(where)
    } else {
      outcome.failed += isSubtestFailure(event.data.details.error) ? 0 : 1
      if (!isSubtestFailure(event.data.details.error)) outcome.failures.push(where)
    }
  }
  yield JSON.stringify(outcome satisfies Outcome)
}

/** A suite that failed only because one inside it did is not another failure. */
function isSubtestFailure(error: Error): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed'
}
