/**
 * The server is the oracle: random programs run directly against one server and through the sidecar against another,
 * in any pieces, by several clients in a given order or at once, and every byte that comes back must be the same, and
 * so must be the data in the end. What is not compared is listed in `client.ts` and, by leaving it out, in
 * `vocabulary.ts`.
 *
 * FUZZ_SEED and FUZZ_RUNS choose the programs; FUZZ_PROGRAM runs the one that an earlier failure printed; FUZZ_MODE is
 * the mode or modes (standalone, perClient, replication, cluster, ring), all unless told; with FUZZ_CHAOS=reshard,failover
 * slots are moved and shards fail over meanwhile.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { portOf, startPlane } from '../integration/sidecar/harness.ts'
import { startServer } from '../support/servers.ts'
import { type ChaosKind, chaosKinds } from './chaos.ts'
import { Control } from './control.ts'
import { type Mode, modes, startMode } from './modes.ts'
import { type Program, isComparable, randomProgram } from './program.ts'
import { type Deadlines, type Difference, type Transcript, runDirectly, runThrough } from './run.ts'
import { shrunk } from './shrink.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const runCount = Number(process.env.FUZZ_RUNS ?? (isFull ? 5000 : 1_000_000))
/** At the size for every day the time decides how many programs are run. */
const timeLimitMs = isFull || process.env.FUZZ_RUNS !== undefined ? Number.POSITIVE_INFINITY : 5_000
/** The size for every day repeats what has passed: a new find is for the full size, or `FUZZ_SEED`, to make. */
const seed = Number(process.env.FUZZ_SEED ?? (isFull ? Date.now() % 2 ** 31 : 1_000_000))
const given = process.env.FUZZ_PROGRAM

const deadlines: Deadlines = { silenceMs: 2000, replyMs: 10_000 }
/** While a failing program is made smaller: what is not there soon is missing. */
const shortDeadlines: Deadlines = { silenceMs: 300, replyMs: 500 }
const shrinkMs = 40_000

function chosen<T extends string>(text: string, all: readonly T[]): readonly T[] {
  const names = text.split(',').filter((name) => name !== '')
  return names.map((name) => {
    const found = all.find((one) => one === name)
    if (found === undefined) throw new Error(`there is no ${name}, but ${all.join(', ')}`)
    return found
  })
}

const chaosWanted = chosen(process.env.FUZZ_CHAOS ?? '', chaosKinds)
for (const mode of chosen(process.env.FUZZ_MODE ?? modes.join(','), modes)) fuzz(mode, chaosWanted)
if (process.env.FUZZ_MODE === undefined) fuzz('cluster', chaosKinds)

function fuzz(mode: Mode, chaos: readonly ChaosKind[]): void {
  const title = `random programs give the server’s own replies, mode ${mode}`
  const circumstances = [`FUZZ_SEED=${seed}`, ...chaos].join(' ')
  test(`${title} (${circumstances})`, async (t) => {
    const rig = await startRig(t, mode, chaos)
    if (given !== undefined) {
      const program = JSON.parse(given) as Program
      const found = await rig.difference(await rig.directly(program, deadlines), deadlines)
      if (found !== undefined) assert.fail(await explain(rig, program, found))
      return
    }
    const deadline = performance.now() + timeLimitMs
    let programCount = 0
    let commandCount = 0
    let next = rig.directly(rig.program(0), deadlines)
    while (programCount < runCount && performance.now() < deadline) {
      const transcript = await next
      programCount += 1
      // The next one runs directly while this one runs through the sidecar.
      next = rig.directly(rig.program(programCount), deadlines)
      const found = await rig.difference(transcript, deadlines)
      commandCount += transcript.commandCount
      if (found !== undefined) {
        await next
        assert.fail(await explain(rig, transcript.program, found))
      }
    }
    await next
    const figures = `${programCount} programs, ${commandCount} commands${await rig.told()}`
    t.diagnostic(`${figures}, FUZZ_SEED=${seed}`)
    assert.equal(rig.lostCount(), 0)
  })
}

interface Rig {
  readonly mode: Mode
  /** Whether a program does the same twice. */
  readonly isCalm: boolean
  program(index: number): Program
  directly(program: Program, deadlines: Deadlines): Promise<Transcript>
  difference(transcript: Transcript, deadlines: Deadlines): Promise<Difference | undefined>
  lostCount(): number
  readonly told: () => string | Promise<string>
}

async function startRig(t: TestContext, mode: Mode, chaos: readonly ChaosKind[]): Promise<Rig> {
  const { backend, config, oracleArgs, profile, told } = await startMode(t, mode, chaos)
  const oracle = await startServer({ args: oracleArgs })
  const control = await Control.open(oracle.port)
  t.after(async () => {
    control.close()
    await oracle.stop()
  })
  const plane = await startPlane(t, config)
  return {
    mode,
    isCalm: chaos.length === 0,
    program: (index) => randomProgram(seed + index, profile),
    directly: (program, limits) => runDirectly(oracle.port, control, program, limits),
    difference: (transcript, limits) => runThrough(portOf(plane), backend, transcript, limits),
    lostCount: () => plane.view().counters.commandsLost,
    told,
  }
}

const isRefused = ({ actual }: Difference) => actual.includes('-CROSSSLOT')

/** The failure with the smallest program that shows it. */
async function explain(rig: Rig, program: Program, found: Difference): Promise<string> {
  let last = found
  const smallest = await shrunk(
    program,
    async (candidate) => {
      if (!isComparable(candidate)) return false
      const transcript = await rig.directly(candidate, shortDeadlines)
      const difference = await rig.difference(transcript, shortDeadlines)
      // Without its EXEC a transaction may get keys that it must refuse: another difference.
      if (difference && isRefused(difference) && !isRefused(found)) return false
      last = difference ?? last
      return difference !== undefined
    },
    rig.isCalm ? shrinkMs : 0,
  )
  const json = JSON.stringify(smallest).replaceAll("'", '\\u0027')
  const { step, client, expected, actual } = last
  return [
    `a difference in step ${step}${client < 0 ? '' : ` for client ${client}`} (FUZZ_SEED=${seed})`,
    `the server: ${shown(expected)}`,
    `the sidecar: ${shown(actual)}`,
    `FUZZ_MODE=${rig.mode} FUZZ_PROGRAM='${json}' npm test -- test/fuzz/differential.test.ts`,
  ].join('\n')
}

function shown(text: string): string {
  return JSON.stringify(text.replace(/(.)\1{40,}/g, (run) => `(${run[0]} x ${run.length})`)).slice(
    -3000,
  )
}
