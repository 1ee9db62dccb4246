/**
 * `npm run sim -- failover`: explores what becomes of the plan in worlds where everything goes wrong.
 *
 *   --seeds N [--from SEED]   so many histories; exit code 1 if an invariant does not hold in one of them
 *   --seed S [--trace]        one of them, readably
 *   --profile NAME            only worlds of this kind
 *   --exhaustive              every interleaving of small worlds; --scope NAME: of one, --states N: up to so many states
 *   --mutate NAME             with one guard switched off: must find a violation
 *   --mutations               each of them, one after the other; with --exhaustive: in a small world each
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { exhaust } from './explore/exhaustive.ts'
import { play } from './explore/history.ts'
import {
  exhaustMutation,
  exhaustedMutations,
  findMutation,
  mutationNames,
} from './explore/mutate.ts'
import { type Summary, exploreInThreads } from './explore/pool.ts'
import { profileNames } from './explore/profiles.ts'
import { scopes } from './explore/scopes.ts'

const { values, positionals } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean' },
    profile: { type: 'string' },
    exhaustive: { type: 'boolean' },
    states: { type: 'string', default: '1000000' },
    scope: { type: 'string' },
    mutate: { type: 'string' },
    mutations: { type: 'boolean' },
    threads: { type: 'string', default: String(Math.max(1, availableParallelism())) },
  },
  allowPositionals: true,
})

const usage = (message: string): never => {
  console.error(message)
  process.exit(2)
}
if (positionals[0] !== 'failover') usage('say what: npm run sim -- failover --seeds 10000')
if (values.profile !== undefined && !profileNames.includes(values.profile)) {
  usage(`no profile "${values.profile}"; there are: ${profileNames.join(', ')}`)
}

const profile = values.profile === undefined ? {} : { profile: values.profile }
if (values.seed !== undefined) replay(Number(values.seed))
else if (values.exhaustive === true && values.mutations === true) exhaustMutations()
else if (values.exhaustive === true) exhaustAll()
else if (values.mutate !== undefined) process.exitCode = mutate(values.mutate) ? 0 : 1
else if (values.mutations === true) mutateAll()
else await run()

async function run(): Promise<void> {
  const startedMs = performance.now()
  const count = Number(values.seeds)
  let done = 0
  let toldMs = startedMs
  const onProgress = (histories: number) => {
    done += histories
    if (performance.now() - toldMs < 10_000) return
    toldMs = performance.now()
    console.log(`${done} of ${count} histories, ${seconds(startedMs)} s`)
  }
  const range = { from: Number(values.from), count, ...profile }
  const summary = await exploreInThreads(range, { threads: Number(values.threads), onProgress })
  for (const { seed, profile: name, invariant, message } of summary.failures) {
    console.log(`seed ${seed} (${name}), ${invariant}: ${message}`)
    console.log(`  replay: npm run sim -- failover --seed ${seed} --trace`)
  }
  console.log(`${told(summary)}, ${seconds(startedMs)} s`)
  process.exitCode = summary.failures.length === 0 ? 0 : 1
}

function told({ histories, counts, failures }: Summary): string {
  const proofs = Object.entries(counts.proofs).map(([name, count]) => `${name} ${count}`)
  const { steps, failovers, switchovers, acknowledged, waiting } = counts
  return `${histories} histories, ${steps} steps, ${acknowledged} acknowledged writes, ${failovers} failovers, ${switchovers} switchovers, promotions by proof: ${proofs.sort().join(', ')}; ${waiting} left to a person, ${failures.length} violations`
}

function replay(seed: number): void {
  const mutations = values.mutate === undefined ? [] : [values.mutate]
  const outcome = play(seed, { mutations, isTraced: values.trace === true, ...profile })
  for (const line of outcome.trace) console.log(line)
  const { violation } = outcome
  console.log(
    `seed ${seed} (${outcome.profile}): ${violation ? `${violation.invariant}: ${violation.message}` : 'all invariants hold'}`,
  )
  process.exitCode = violation === undefined ? 0 : 1
}

function exhaustAll(): void {
  const named = scopes.filter(({ name }) => values.scope === undefined || name === values.scope)
  if (named.length === 0) {
    usage(`no scope "${values.scope}"; there are: ${scopes.map(({ name }) => name).join(', ')}`)
  }
  const mutations = values.mutate === undefined ? [] : [values.mutate]
  const startedMs = performance.now()
  const sum = { states: 0, transitions: 0, complete: 0, broken: 0 }
  for (const scope of named) {
    const scopeMs = performance.now()
    const result = exhaust(scope, { statesMax: Number(values.states), mutations })
    const { states, transitions, depth, settled, compared, isComplete, violation, path } = result
    const end = isComplete ? 'complete' : violation ? 'broken off' : `bounded at ${states}`
    console.log(
      `${scope.name}: ${states} states, ${transitions} transitions, depth ${depth}, ${end}; ${settled} settled, ${compared} compared; ${seconds(scopeMs)} s`,
    )
    sum.states += states
    sum.transitions += transitions
    if (isComplete) sum.complete += 1
    if (violation === undefined) continue
    sum.broken += 1
    for (const name of path) console.log(`  ${name}`)
    console.log(`  ${violation}`)
  }
  console.log(
    `${named.length} scopes, ${sum.complete} of them complete, ${sum.states} states, ${sum.transitions} transitions, ${sum.broken} violations, ${seconds(startedMs)} s`,
  )
  process.exitCode = sum.broken === 0 ? 0 : 1
}

function exhaustMutations(): void {
  let found = 0
  for (const name of exhaustedMutations) {
    const startedMs = performance.now()
    const { scope, violation, states, path, transitions } = exhaustMutation(name)
    const text = violation === undefined ? 'NOT FOUND' : `${violation}, after ${path.length} moves`
    console.log(
      `${name} (${scope}): ${states} states, ${transitions} transitions, ${seconds(startedMs)} s: ${text}`,
    )
    if (violation !== undefined) found += 1
  }
  console.log(`${found} of ${exhaustedMutations.length} mutations found in small worlds`)
  process.exitCode = found === exhaustedMutations.length ? 0 : 1
}

function mutate(name: string): boolean {
  if (!mutationNames.includes(name))
    usage(`no mutation "${name}"; there are: ${mutationNames.join(', ')}`)
  const startedMs = performance.now()
  const found = findMutation(name)
  const text = found.failure
    ? `found by seed ${found.failure.seed} (${found.failure.profile}): ${found.failure.invariant}: ${found.failure.message.slice(0, 160)}`
    : 'NOT FOUND'
  console.log(`${name}: ${text}; ${found.histories} histories, ${seconds(startedMs)} s`)
  return found.failure !== undefined
}

function mutateAll(): void {
  const missed = mutationNames.filter((name) => !mutate(name))
  console.log(`${mutationNames.length - missed.length} of ${mutationNames.length} mutations found`)
  process.exitCode = missed.length === 0 ? 0 : 1
}

function seconds(startedMs: number): string {
  return ((performance.now() - startedMs) / 1000).toFixed(1)
}
