/**
 * `npm test`: everything that tells whether respmesh is right, in order of what it costs, and one line at the
 * end that sums it up. `--only verify|unit|integration|faults|e2e` (repeatable) runs a part; `--full` runs the long
 * suites at full size; further arguments name test files.
 */
import { parseArgs } from 'node:util'
import { failureLines } from './test/failure-lines.ts'
import { prepareMachine } from './test/machine.ts'
import { type Outcome, noOutcome, sum } from './test/outcome.ts'
import { runCheck, runTests } from './test/run.ts'
import { type Suite, checks, findTests, suites } from './test/suites.ts'

const { values, positionals } = parseArgs({
  options: { only: { type: 'string', multiple: true }, full: { type: 'boolean' } },
  allowPositionals: true,
})

const parts = ['verify', ...suites.map((suite) => suite.name)]
const wanted = new Set(values.only ?? parts)
const unknown = [...wanted].filter((part) => !parts.includes(part))
if (unknown.length > 0) {
  console.error(`there is no part "${unknown.join(', ')}"; there are ${parts.join(', ')}`)
  process.exit(2)
}

const startedMs = performance.now()
const env = { ...process.env, RESPMESH_TEST_SIZE: values.full === true ? 'full' : 'ci' }
const outcomes: Outcome[] = []

if (positionals.length > 0) {
  const suite: Suite = { name: 'named files', patterns: [], concurrency: 1, timeoutMs: 1_800_000 }
  outcomes.push(await runTests(suite, positionals, env))
} else {
  if (wanted.has('integration') || wanted.has('e2e')) await prepareMachine()
  if (wanted.has('verify')) {
    for (const check of checks) outcomes.push(await runCheck(check, env))
  }
  for (const suite of suites.filter(({ name }) => wanted.has(name))) {
    if (suite.before !== undefined) outcomes.push(await runCheck(suite.before, env))
    outcomes.push(await runTests(suite, await findTests(suite), env))
  }
}

const total = outcomes.reduce(sum, noOutcome)
for (const reason of total.skips) console.log(`SKIPPED: ${reason}`)
for (const line of failureLines(total.failures)) console.log(line)
console.log(`Took ${((performance.now() - startedMs) / 1000).toFixed(0)} s.`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
