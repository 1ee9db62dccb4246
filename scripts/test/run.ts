/** Runs checks and test files as child processes and counts what came of them. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Outcome } from './outcome.ts'
import type { Check, Suite } from './suites.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Runs a command; it passes if it exits 0. */
export async function runCheck(check: Check, env: Env): Promise<Outcome> {
  const startedMs = performance.now()
  console.log(`\n=== ${check.name}: ${check.command.join(' ')}`)
  const code = await run(check.command, env)
  console.log(`=== ${check.name}: ${code === 0 ? 'ok' : `exit ${code}`}, ${seconds(startedMs)}`)
  return {
    passed: code === 0 ? 1 : 0,
    failed: code === 0 ? 0 : 1,
    skipped: 0,
    failures: code === 0 ? [] : [`${check.name} (${check.command.join(' ')})`],
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
        failures: [`${suite.name}: exit ${code}`],
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

function run(command: readonly string[], env: Env): Promise<number> {
  const [program = '', ...args] = command
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...env } })
    child.on('error', (error) => {
      console.error(error.message)
      resolve(127)
    })
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

function seconds(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
}
