/** Runs checks and test files as child processes and counts what came of them. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { saidBy } from './failure-lines.ts'
import type { Outcome } from './outcome.ts'
import type { Check, Suite } from './suites.ts'

/** Of what a check says, the beginning. */
const outputKeptMax = 10_000

type Env = Readonly<Record<string, string | undefined>>

/** Runs a command; it passes if it exits 0. */
export async function runCheck(check: Check, env: Env): Promise<Outcome> {
  const startedMs = performance.now()
  console.log(`\n=== ${check.name}: ${check.command.join(' ')}`)
  let output = ''
  const code = await run(check.command, env, (text) => {
    if (output.length < outputKeptMax) output += text
  })
  const where = `${check.name} (${check.command.join(' ')})`
  console.log(`=== ${check.name}: ${code === 0 ? 'ok' : `exit ${code}`}, ${seconds(startedMs)}`)
  return {
    passed: code === 0 ? 1 : 0,
    failed: code === 0 ? 0 : 1,
    skipped: 0,
    failures: code === 0 ? [] : [{ where, said: saidBy(new Error(output)) }],
    skips: [],
  }
}

/** Runs test files with Node’s own runner; a run that reports nothing has failed. */
export async function runTests(suite: Suite, files: readonly string[], env: Env): Promise<Outcome> {
  const startedMs = performance.now()
  console.log(`\n=== ${suite.name}: ${files.length} files`)
  const directory = await mkdtemp(join(tmpdir(), 'respmesh-test-'))
  try {
    const report = join(directory, 'outcome.json')
    const code = await run(
      [
        'node',
        '--disable-warning=ExperimentalWarning',
        '--test',
        `--test-concurrency=${suite.concurrency}`,
        `--test-timeout=${suite.timeoutMs}`,
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        `--test-reporter=${join(import.meta.dirname, 'count-reporter.ts')}`,
        `--test-reporter-destination=${report}`,
        ...files,
      ],
      env,
    )
    const outcome = await readOutcome(report)
    console.log(`=== ${suite.name}: exit ${code}, ${seconds(startedMs)}`)
    if (outcome === undefined || (code !== 0 && outcome.failed === 0)) {
      return {
        passed: 0,
        failed: 1,
        skipped: 0,
        failures: [{ where: `${suite.name}: exit ${code}`, said: [] }],
        skips: [],
      }
    }
    return outcome
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function readOutcome(report: string): Promise<Outcome | undefined> {
  try {
    return JSON.parse(await readFile(report, 'utf8')) as Outcome
  } catch {
    return undefined
  }
}

/** `onOutput` is given what it says, too. */
function run(
  command: readonly string[],
  env: Env,
  onOutput?: (text: string) => void,
): Promise<number> {
  const [program = '', ...args] = command
  return new Promise((resolve) => {
    const stdio = onOutput === undefined ? 'inherit' : 'pipe'
    const child = spawn(program, args, { stdio: ['ignore', stdio, stdio], env: { ...env } })
    for (const from of ['stdout', 'stderr'] as const) {
      child[from]?.setEncoding('utf8').on('data', onOutput ?? (() => {}))
      child[from]?.pipe(process[from], { end: false })
    }
    child.on('error', (error) => {
      console.error(error.message)
      resolve(127)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

function seconds(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
}
