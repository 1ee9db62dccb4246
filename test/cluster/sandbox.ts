/**
 * The namespaces (processes, mounts, network) in which all of one run lives. See guardian.sh: it
 * holds them and sweeps, also when this process is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Output, type RunOptions, run, waitFor } from './command.ts'
import type { Network } from './types.ts'

export type Sandbox = {
  /** Folder of the run. Same path inside and outside of the namespaces. */
  readonly runPath: string
  readonly logsPath: string
  /** Name of the run's cgroup under the root of every hierarchy. */
  readonly cgroup: string
  /** Process id, as the host sees it, of the first process inside. */
  readonly initPid: number
  readonly hostLink: string
  readonly nodeLink: string
  /** Writes a line to the first process: the name of what it shall start. */
  send(line: string): Promise<void>
}

const prefix = 'respmesh-cluster-'
const guardianPath = join(import.meta.dirname, 'guardian.sh')

export type SandboxOptions = {
  /** A detached sandbox outlives this process and is ended by `destroySandbox` from any other. */
  readonly isDetached: boolean
  /** Where logs go and stay; inside the run's folder, and gone with it, unless told. */
  readonly logsPath?: string
}

export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const runPath = await mkdtemp(join(tmpdir(), prefix))
  const logsPath = options.logsPath ?? join(runPath, 'logs')
  await writeRecord(runPath, { ownerPid: process.pid, isDetached: options.isDetached, logsPath })
  for (const name of ['var-lib', 'volumes', 'etc', 'bin']) await mkdir(join(runPath, name))
  await mkdir(logsPath, { recursive: true })
  // /var/log inside: the logs of pods end up beside those of the components.
  await run('ln', ['-s', logsPath, join(runPath, 'var-log')])
  const suffix = basename(runPath).slice(prefix.length).toLowerCase()
  const hostLink = `rm${suffix}`
  await writeFile(join(runPath, 'link'), hostLink)
  const guardian = startGuardian(runPath, logsPath, options.isDetached)
  const init = await waitForInit(runPath, guardian).catch(async (error: unknown) => {
    await sweep(runPath)
    throw error
  })
  return {
    runPath,
    logsPath,
    cgroup: basename(runPath),
    initPid: init,
    hostLink,
    nodeLink: 'uplink',
    send: (line) => send(line, runPath, guardian),
  }
}

function send(line: string, runPath: string, { stdin }: ChildProcess): Promise<void> {
  if (stdin === null) return appendFile(join(runPath, 'stay'), `${line}\n`)
  return new Promise((resolve, reject) => {
    stdin.write(`${line}\n`, (error) => (error ? reject(error) : resolve()))
  })
}

function startGuardian(runPath: string, logsPath: string, isDetached: boolean): ChildProcess {
  const log = openSync(join(logsPath, 'guardian.log'), 'a')
  const mode = isDetached ? 'detached' : 'attached'
  // The open end of the pipe is the sign of life of this process.
  const guardian = spawn('bash', [guardianPath, 'watch', runPath, mode], {
    stdio: [isDetached ? 'ignore' : 'pipe', log, log],
    detached: true,
  })
  closeSync(log)
  guardian.on('error', () => {})
  guardian.stdin?.on('error', () => {})
  guardian.unref()
  const pipe = guardian.stdin as unknown as { unref?: () => void } | null
  pipe?.unref?.()
  return guardian
}

function waitForInit(runPath: string, guardian: ChildProcess): Promise<number> {
  return waitFor(
    async () => {
      if (guardian.exitCode !== null) throw new Error(`the guardian ended: ${guardian.exitCode}`)
      if (!existsSync(join(runPath, 'ready'))) return undefined
      const stat = await readFile(join(runPath, 'init.stat'), 'utf8')
      return Number.parseInt(stat, 10)
    },
    { what: 'the namespaces of the cluster', timeoutMs: 10_000, intervalMs: 20 },
  )
}

/** Ends everything inside and waits until the sweep is done. Fine to call twice. */
export async function destroySandbox(runPath: string): Promise<void> {
  await sweep(runPath)
  await waitFor(async () => !existsSync(runPath), {
    what: `${runPath} to be removed`,
    timeoutMs: 30_000,
  })
}

async function sweep(runPath: string): Promise<void> {
  if (!existsSync(runPath)) return
  await run('bash', [guardianPath, 'sweep', runPath])
}

/** What a run leaves in its folder for `status` and `down`, which are other processes. */
export type RunRecord = {
  readonly ownerPid: number
  readonly isDetached: boolean
  readonly logsPath: string
  readonly kubeconfigPath?: string
  readonly initPid?: number
  readonly network?: Network
  readonly snapshotter?: string
  /** Process ids of the components, by name. */
  readonly pids?: Readonly<Record<string, number>>
}

export async function writeRecord(runPath: string, record: RunRecord): Promise<void> {
  await writeFile(join(runPath, 'run.json'), `${JSON.stringify(record, null, 2)}\n`)
}

export async function readRecord(runPath: string): Promise<RunRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(runPath, 'run.json'), 'utf8')) as RunRecord
  } catch {
    return undefined
  }
}

/** Ends what crashed runs left: no first process any more, and nobody who is still making one. */
export async function sweepLeftovers(): Promise<number> {
  let sweptCount = 0
  for (const runPath of await listRuns()) {
    const record = await readRecord(runPath)
    const isOwned =
      record === undefined ? await isNew(runPath) : existsSync(`/proc/${record.ownerPid}`)
    if (isOwned || (await isAlive(runPath))) continue
    await destroySandbox(runPath)
    sweptCount++
  }
  return sweptCount
}

/** Another process may be about to write the record. */
async function isNew(runPath: string): Promise<boolean> {
  const { birthtimeMs } = await stat(runPath)
  return Date.now() - birthtimeMs < 60_000
}

/** Paths of the runs of this machine, alive or crashed. */
export async function listRuns(): Promise<readonly string[]> {
  const names = await readdir(tmpdir())
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(tmpdir(), name))
}

/** Whether the first process of a run's namespaces is there still. */
export async function isAlive(runPath: string): Promise<boolean> {
  try {
    const recorded = (await readFile(join(runPath, 'init.stat'), 'utf8')).split(' ')
    const current = (await readFile(`/proc/${recorded[0]}/stat`, 'utf8')).split(' ')
    return recorded[21] === current[21]
  } catch {
    return false
  }
}

function enterArgs(sandbox: Pick<Sandbox, 'initPid'>): readonly string[] {
  return ['-t', String(sandbox.initPid), '-m', '-n', '-p', '--']
}

/** Runs a program inside to its end. */
export function inside(
  sandbox: Pick<Sandbox, 'initPid'>,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  return run('nsenter', [...enterArgs(sandbox), program, ...args], options)
}

/**
 * Starts a long-running program inside, as a child of the first process there. Its output goes to
 * `<logs>/<name>.log`; when it ends, its exit code to `<run>/etc/<name>.ended`.
 */
export async function startInside(
  sandbox: Sandbox,
  service: { name: string; program: string; args: readonly string[] },
): Promise<void> {
  // Not the environment of the caller: a proxy set there would catch the calls to webhooks.
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const env = ['env', '-i', `PATH=${path}`, 'HOME=/run']
  const words = [...env, service.program, ...service.args].map(quote)
  const script = `cd /\nexec ${words.join(' ')}\n`
  await writeFile(join(sandbox.runPath, 'etc', `${service.name}.sh`), script)
  await sandbox.send(service.name)
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** Ids, as the host sees them, of the programs which the first process inside started. */
export async function pidsInside(
  sandbox: Pick<Sandbox, 'initPid'>,
  programs: readonly string[],
): Promise<Readonly<Record<string, number>>> {
  const pids: Record<string, number> = {}
  for (const parent of await childrenOf(sandbox.initPid)) {
    for (const pid of [parent, ...(await childrenOf(parent))]) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      const name = basename(command.split('\0')[0] ?? '')
      if (programs.includes(name)) pids[name] = pid
    }
  }
  return pids
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}
