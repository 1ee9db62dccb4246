/**
 * `npm run bench:failover`: how long writers stall when the primary is lost or replaced, beside Redis Sentinel on the
 * same machine in the same run, and what failures cost. `--only times` or a check as `R6` runs a part (repeatable),
 * `--trials`, `--seed`, `--down-after 1000,3000`; `--json FILE` keeps the figures, `--page` writes them into the docs.
 */
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { runHistory } from '../faults/history.ts'
import { namespaceObstacle } from '../faults/lab/index.ts'
import { sourceVersion, versionOf } from '../bench/machine.ts'
import { Random } from '../sim/random.ts'
import { serverProgram } from '../support/servers.ts'
import { type Figures, writePage } from './page.ts'
import { Respmesh } from './respmesh.ts'
import { type Row, ms, rowLine } from './row.ts'
import { crashes, rollingServers, storm } from './rows-endurance.ts'
import { suspensions, twoOperators } from './rows-operators.ts'
import {
  confirmed,
  partition,
  pausedPrimary,
  unconfirmed,
  unsteadyNetwork,
} from './rows-partition.ts'
import { operatorAway, rollingSidecar, transactions } from './rows-process.ts'
import { Sentinels } from './sentinel.ts'
import { rowsOf, runSeries, summarize } from './times.ts'
import { faults } from './trial.ts'

const { values } = parseArgs({
  options: {
    /** The same as no `--only`. */
    all: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    trials: { type: 'string', default: '20' },
    faults: { type: 'string', default: faults.join(',') },
    'down-after': { type: 'string', default: '1000' },
    'without-sentinel': { type: 'boolean' },
    seed: { type: 'string' },
    json: { type: 'string' },
    page: { type: 'boolean' },
    verbose: { type: 'boolean' },
  },
})

const obstacle = namespaceObstacle()
if (obstacle !== undefined) throw new Error(`nothing can be measured here: ${obstacle}`)
const seed = Number(values.seed ?? Math.floor(Date.now() % 1_000_000))
const random = new Random(seed)
const trials = Number(values.trials)
const wantedFaults = faults.filter((fault) => values.faults.split(',').includes(fault))

const figures: Figures = {
  seed,
  version: sourceVersion(),
  server: versionOf(serverProgram(), ['--version']),
  at: new Date().toISOString(),
  loadBefore: loadavg()[0] ?? 0,
  rows: [],
  series: [],
  failed: [],
}

const parts: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  times: async () => {
    const rows: Row[] = []
    for (const text of values['down-after'].split(',')) rows.push(...(await times(Number(text))))
    return rows
  },
  R3: () => crashes({ writes: 1_000_000, maxMs: 210_000 }, random),
  R4: () => pausedPrimary(10_000),
  R15: () => transactions({ clients: 170, rounds: 6 }, random),
  R18: async () => [
    ...(await operatorAway({ rounds: 2, awayMs: 15_000 })),
    ...(await twoOperators(suspensions)),
  ],
  R20: () => rollingSidecar(5),
  R21: () => rollingServers(10),
  R6: async () => [
    ...(await partition('default', 10_000)),
    ...(await partition(unconfirmed, 10_000)),
    ...(await partition(confirmed, 10_000)),
    ...(await partition(confirmed, 30_000)),
  ],
  R7: () => unsteadyNetwork(60_000),
  R16: () => histories(2),
  R22: () => storm(50),
}
/** Those beside each other run at the same time: they hardly load the machine, and measure no short times. */
const turns = [
  ['times'],
  ['R3'],
  ['R4'],
  ['R15'],
  ['R18'],
  ['R20'],
  ['R21'],
  ['R6', 'R7'],
  ['R16', 'R22'],
]

console.log(`seed ${seed}, ${figures.version}, load ${figures.loadBefore.toFixed(1)}`)
for (const turn of turns) {
  const names = turn.filter((name) => values.only === undefined || values.only.includes(name))
  await Promise.all(names.map(runPart))
}
if (values.page === true) writePage(figures)
process.exit()

async function runPart(name: string): Promise<void> {
  const startedMs = performance.now()
  try {
    const rows = (await parts[name]?.()) ?? []
    figures.rows.push(...rows)
    for (const row of rows) console.log(rowLine(row, seed))
  } catch (error) {
    const text = error instanceof Error ? error.message.slice(0, 2000) : String(error)
    figures.failed.push(`${name}: ${text}`)
    console.log(`FAILED ${name}: ${text}`)
    process.exitCode = 1
  }
  console.log(`${name} took ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(figures, undefined, 1))
}

async function times(downAfterMs: number): Promise<readonly Row[]> {
  const respmesh = await Respmesh.start({ downAfter: `${downAfterMs}ms` })
  const sentinels =
    values['without-sentinel'] === true ? undefined : await Sentinels.start({ downAfterMs })
  try {
    const { trials: done, stuck } = await runSeries(
      sentinels === undefined ? [respmesh] : [respmesh, sentinels],
      {
        faults: wantedFaults,
        trials,
        random,
        onTrial: (trial, number) => {
          const { contender, fault, stallMs, lost, refused } = trial
          console.log(
            `  ${number + 1} ${fault} ${contender}: ${ms(stallMs)}, lost ${lost}, refused ${refused}`,
          )
          if (values.verbose === true) console.log(JSON.stringify(trial))
        },
      },
    )
    figures.failed.push(...stuck)
    const summaries = summarize(done)
    figures.series.push({ downAfterMs, summaries })
    return rowsOf(summaries, downAfterMs)
  } finally {
    await Promise.all([respmesh.stop(), sentinels?.stop()])
  }
}

/** Random faults, and whether every register was linearizable and no promise was broken. */
async function histories(count: number): Promise<readonly Row[]> {
  const problems: string[] = []
  let [checked, undecided] = [0, 0]
  for (let at = 0; at < count; at += 1) {
    const durationMs = { min: 60_000, max: 60_001 }
    const result = await runHistory({ seed: seed + at, mode: 'confirmed', durationMs })
    problems.push(...result.problems)
    checked += result.registers.checked
    undecided += result.registers.undecided
  }
  for (const problem of problems) console.log(problem.slice(0, 500))
  return [
    {
      id: 'R16',
      what: `${count} histories of random faults, waitReplicas 1`,
      figure: `${problems.length} broken promises; ${checked - undecided} registers linearizable of ${checked}, ${undecided} undecided`,
      aim: 'none',
      isMet: problems.length === 0,
    },
  ]
}
