/**
 * `npm run faults -- --histories 200 --mode async --server redis`: random faults of real processes and networks, and what
 * became of every write. `--seed S` runs one schedule again and keeps its logs.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { serverPrograms } from '../support/server-versions.ts'
import { type HistoryResult, type Variant, runHistory, variants } from './history.ts'
import type { Mode } from './judge.ts'
import { namespaceObstacle } from './lab/index.ts'
import { historyLine, sumLine } from './report.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    histories: { type: 'string', default: '4' },
    mode: { type: 'string', default: 'async' },
    /** `redis`, `valkey`, or with the begin of a version: `valkey-8`. */
    server: { type: 'string' },
    /** See `variants`; the seed picks one. */
    variant: { type: 'string' },
    json: { type: 'string' },
    /** How long the faults go on, seconds: `8-20`. */
    seconds: { type: 'string', default: '8-20' },
  },
})

const obstacle = namespaceObstacle()
if (obstacle !== undefined) throw new Error(`no histories can be made here: ${obstacle}`)
if (values.mode !== 'async' && values.mode !== 'confirmed') {
  throw new Error('--mode is async or confirmed')
}
const mode: Mode = values.mode
const [min = 8, max = min + 1] = values.seconds.split('-').map(Number)
const durationMs = { min: min * 1000, max: max * 1000 }
const program = values.server === undefined ? undefined : await programOf(values.server)
const firstSeed = Number(values.seed ?? values.first)
const count = values.seed === undefined ? Number(values.histories) : 1
const results: HistoryResult[] = []
for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
  try {
    const result = await runHistory({
      seed,
      mode,
      durationMs,
      ...(program && { program }),
      ...(isVariant(values.variant) && { variant: values.variant }),
      ...(values.seed !== undefined && { isKept: true }),
    })
    results.push(result)
    console.log(historyLine(result))
  } catch (error) {
    console.log(`seed ${seed} could not be run:`, error)
    process.exitCode = 1
  }
  if (values.json !== undefined) {
    writeFileSync(values.json, JSON.stringify({ sum: sumLine(results), results }, null, 1))
  }
}
console.log(sumLine(results))
if (results.some(({ problems }) => problems.length > 0)) process.exitCode = 1

function isVariant(text: string | undefined): text is Variant {
  return text !== undefined && text in variants
}

async function programOf(wanted: string): Promise<readonly string[]> {
  const [name, version = ''] = wanted.split('-')
  const found = (await serverPrograms()).find(
    (program) => program.name === name && program.version.startsWith(version),
  )
  if (found === undefined) throw new Error(`no ${wanted} can be had`)
  return found.command
}
