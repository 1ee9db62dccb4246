/** Runs one unit of the suite against one address, within bounds, and tells what became of its tests. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Collector, type UnitResults } from './outcome.ts'
import { OutputReader } from './output.ts'
import { adaptSuite } from './patches.ts'

/** A test of this suite that says nothing for so long will not end. */
const silenceMs = 60_000
const runsMax = 5
/** Now and then another program takes a port of the suite before it does. */
const falseStartsMax = 3
const portsPerRun = 64
const tools = ['redis-cli', 'redis-benchmark', 'redis-server']

export interface Target {
  readonly port: number
  /** The server behind it; the same port when there is nothing between. */
  readonly serverPort: number
  stop(): Promise<void>
}

export interface UnitRun {
  readonly results: UnitResults
  readonly interruptions: readonly string[]
  readonly ignored: readonly string[]
}

export interface UnitPlan {
  readonly suite: string
  readonly unit: string
  /** Whether the suite stays on database 0, with no SELECT, and does only what a cluster allows. */
  readonly databases: 'all' | 'one' | 'cluster'
  readonly startTarget: () => Promise<Target>
  /** Tests that are not tried. */
  readonly without: readonly string[]
}

/** Runs the unit, again without the tests that hung, on a fresh target each time. */
export async function runUnit(plan: UnitPlan): Promise<UnitRun> {
  const results: UnitResults = new Map()
  const interruptions: string[] = []
  const stuck: string[] = []
  let falseStarts = 0
  for (;;) {
    const collector = await runOnce(plan, [...plan.without, ...stuck])
    for (const [test, result] of collector.results) {
      if (!results.has(test)) results.set(test, result)
    }
    interruptions.push(...collector.interruptions)
    const test = collector.isDone ? undefined : collector.running
    const isFalseStart = !collector.isDone && test === undefined && collector.results.size === 0
    if (isFalseStart && falseStarts < falseStartsMax) {
      falseStarts += 1
      continue
    }
    if (test === undefined || stuck.length + 1 >= runsMax) {
      if (!collector.isDone) interruptions.push('the run did not come to its end')
      return { results, interruptions, ignored: collector.ignored }
    }
    results.set(test, { kind: 'stuck' })
    stuck.push(test)
  }
}

async function runOnce(plan: UnitPlan, skipped: readonly string[]): Promise<Collector> {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-conformance-'))
  directories.add(directory)
  const target = await plan.startTarget()
  try {
    layOut(plan.suite, directory)
    const collector = new Collector()
    await follow(startSuite(plan, target, skipped, directory), collector)
    return collector
  } finally {
    await target.stop()
    rmSync(directory, { recursive: true, force: true })
    directories.delete(directory)
  }
}

function layOut(suite: string, directory: string): void {
  cpSync(join(suite, 'tests'), join(directory, 'tests'), { recursive: true })
  mkdirSync(join(directory, 'tests', 'tmp'), { recursive: true })
  mkdirSync(join(directory, 'src'))
  for (const tool of tools) {
    const path = execFileSync('sh', ['-c', `command -v ${tool} || true`], { encoding: 'utf8' })
    if (path.trim() !== '') symlinkSync(path.trim(), join(directory, 'src', tool))
  }
  adaptSuite(directory)
}

function startSuite(
  plan: UnitPlan,
  target: Target,
  skipped: readonly string[],
  directory: string,
): ChildProcess {
  const args = ['tests/test_helper.tcl', '--host', '127.0.0.1', '--port', String(target.port)]
  args.push('--single', plan.unit, '--tags', '-slow', '--durable', '--dont-clean')
  args.push('--baseport', String(20_000 + portsPerRun * randomInt(180)))
  if (plan.databases === 'one') args.push('--singledb')
  if (plan.databases === 'cluster') args.push('--cluster-mode')
  for (const test of skipped) args.push('--skiptest', test)
  const child = spawn('tclsh', args, {
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CONFORMANCE_SERVER_PORT: String(target.serverPort) },
  })
  running.add(child)
  return child
}

/** Reads to the end of the run, or until it says nothing any more. */
async function follow(child: ChildProcess, collector: Collector): Promise<void> {
  const reader = new OutputReader((event) => collector.take(event))
  let timer = setTimeout(() => killGroup(child), silenceMs)
  const read = (chunk: string) => {
    clearTimeout(timer)
    timer = setTimeout(() => killGroup(child), silenceMs)
    reader.write(chunk)
  }
  child.stdout?.setEncoding('utf8').on('data', read)
  child.stderr?.setEncoding('utf8').on('data', read)
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject).once('exit', () => {
      // Its helpers hold the pipes open; what they would still say is of no use.
      killGroup(child)
      child.once('close', () => resolve())
    })
  })
  clearTimeout(timer)
  reader.end()
  running.delete(child)
}

const running = new Set<ChildProcess>()
const directories = new Set<string>()
process.on('exit', () => {
  for (const child of running) killGroup(child)
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** The suite is several processes. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // All of them have ended.
  }
}
