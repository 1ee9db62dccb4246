/**
 * Redis and Valkey of several versions, as real programs: those of this machine and those of Debian’s releases, kept
 * in the user’s cache. `npm run servers` gets and lists them.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram, run } from '../cluster/command.ts'
import { debianObstacle, unpackPackages } from './debian-packages.ts'

export type ServerName = 'redis' | 'valkey'

export interface ServerProgram {
  readonly name: ServerName
  /** As the program says: `8.0.2`. */
  readonly version: string
  /** How to start it; its arguments follow. */
  readonly command: readonly string[]
}

/** A line of versions and where it is to be had. */
export interface ServerSeries {
  readonly name: ServerName
  /** The versions `9` and `9.…`, say. */
  readonly series: string
  /** Releases of Debian, the first that holds it is taken. */
  readonly sources: readonly { readonly release: string; readonly base?: string }[]
}

export const serverSeries: readonly ServerSeries[] = [
  { name: 'redis', series: '7.0', sources: [{ release: 'bookworm' }] },
  { name: 'redis', series: '8.0', sources: [{ release: 'trixie' }] },
  { name: 'redis', series: '8.6', sources: [{ release: 'experimental', base: 'sid' }] },
  {
    name: 'valkey',
    series: '8.0',
    sources: [{ release: 'bookworm-backports', base: 'bookworm' }],
  },
  { name: 'valkey', series: '8.1', sources: [{ release: 'trixie' }] },
  { name: 'valkey', series: '9', sources: [{ release: 'forky' }, { release: 'sid' }] },
]

export type SeriesState = ServerSeries &
  (
    | { readonly kind: 'found'; readonly program: ServerProgram }
    | { readonly kind: 'missing'; readonly why: string }
  )

export interface ServerWish {
  /** Told of what takes time. */
  readonly say?: (text: string) => void
  /** Only what is there is looked for. */
  readonly isOffline?: boolean
}

/** A failed attempt is not repeated by every test file of a run. */
const failureKeptMs = 10 * 60_000
const lockPollMs = 100
const lockWaitMaxMs = 10 * 60_000

/** Every program that is here or can be had, oldest version first, Redis before Valkey. */
export async function serverPrograms(wish: ServerWish = {}): Promise<readonly ServerProgram[]> {
  const states = await seriesStates(wish)
  return states.flatMap((state) => (state.kind === 'found' ? [state.program] : []))
}

/** The program of one line of versions. @throws Error with the reason when it cannot be had */
export async function serverProgramOf(name: ServerName, series: string): Promise<ServerProgram> {
  const wanted = serverSeries.find((entry) => entry.name === name && entry.series === series)
  if (wanted === undefined) throw new Error(`no ${name} ${series} is known here`)
  const state = await seriesState(wanted, {})
  if (state.kind === 'found') return state.program
  throw new Error(`${name} ${series}: ${state.why}`)
}

/** What there is of each line of versions, and why not. What is missing is fetched, one at a time. */
export async function seriesStates(wish: ServerWish = {}): Promise<readonly SeriesState[]> {
  const states: SeriesState[] = []
  for (const wanted of serverSeries) states.push(await seriesState(wanted, wish))
  return states
}

async function seriesState(wanted: ServerSeries, wish: ServerWish): Promise<SeriesState> {
  const found = (await findKept(wanted)) ?? (await findInstalled(wanted))
  if (found !== undefined) return { ...wanted, kind: 'found', program: found }
  const obstacle = await debianObstacle()
  if (obstacle !== undefined) return { ...wanted, kind: 'missing', why: obstacle }
  if (wish.isOffline === true) return { ...wanted, kind: 'missing', why: 'it was not fetched yet' }
  try {
    const program = await withLock(join(cachePath(), `${seriesId(wanted)}.lock`), async () => {
      const fetchedByOther = await findKept(wanted)
      return fetchedByOther ?? (await fetchProgram(wanted, wish.say ?? sayToErrors))
    })
    return { ...wanted, kind: 'found', program }
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    return { ...wanted, kind: 'missing', why }
  }
}

function sayToErrors(text: string): void {
  process.stderr.write(`${text}\n`)
}

function cachePath(): string {
  const root = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return join(root, 'respmesh', 'servers')
}

const seriesId = (wanted: ServerSeries): string => `${wanted.name}-${wanted.series}`

function isOfSeries(version: string, { series }: ServerSeries): boolean {
  return version === series || version.startsWith(`${series}.`)
}

async function findKept(wanted: ServerSeries): Promise<ServerProgram | undefined> {
  const names = await readdir(cachePath()).catch(() => [])
  for (const folder of names) {
    const [name, version = ''] = folder.split('-')
    const path = join(cachePath(), folder, 'bin', `${wanted.name}-server`)
    const isRight = name === wanted.name && isOfSeries(version, wanted)
    if (isRight && folder === `${name}-${version}` && (await findProgram(path)) !== undefined) {
      return { name: wanted.name, version, command: [path] }
    }
  }
  return undefined
}

async function findInstalled(wanted: ServerSeries): Promise<ServerProgram | undefined> {
  const path = await findProgram(`${wanted.name}-server`)
  if (path === undefined) return undefined
  const version = await versionOf(path)
  if (!isOfSeries(version, wanted)) return undefined
  return { name: wanted.name, version, command: [path] }
}

async function versionOf(path: string): Promise<string> {
  const { stdout } = await run(path, ['--version'], { timeoutMs: 30_000 })
  const version = /\bv=(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  if (version === undefined) throw new Error(`${path} does not tell its version: ${stdout.trim()}`)
  return version
}

async function fetchProgram(
  wanted: ServerSeries,
  say: (text: string) => void,
): Promise<ServerProgram> {
  const failurePath = join(cachePath(), `${seriesId(wanted)}.failed`)
  const isRecent = await stat(failurePath)
    .then(({ mtimeMs }) => Date.now() - mtimeMs < failureKeptMs)
    .catch(() => false)
  if (isRecent) throw new Error(await readFile(failurePath, 'utf8'))
  const failures: string[] = []
  for (const source of wanted.sources) {
    say(`getting ${wanted.name} ${wanted.series} of Debian’s ${source.release} …`)
    try {
      const program = await fetchFrom(wanted, source)
      say(`got ${wanted.name} ${program.version}`)
      return program
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  const why = failures.join('; ')
  await writeFile(failurePath, why)
  throw new Error(why)
}

async function fetchFrom(
  wanted: ServerSeries,
  source: ServerSeries['sources'][number],
): Promise<ServerProgram> {
  const { name } = wanted
  const work = join(cachePath(), `work-${randomUUID()}`)
  const program = join('bin', `${name}-server`)
  try {
    const wish = {
      ...source,
      packages: [`${name}-server`, `${name}-tools`],
      programs: [`${name}-server`, `${name}-cli`, `${name}-benchmark`],
    }
    await unpackPackages(wish, work)
    const version = await versionOf(join(work, program))
    if (!isOfSeries(version, wanted)) {
      throw new Error(`${source.release} of Debian holds ${name} ${version} by now`)
    }
    const home = join(cachePath(), `${name}-${version}`)
    await rm(home, { recursive: true, force: true })
    await rename(work, home)
    await versionOf(join(home, program))
    return { name, version, command: [join(home, program)] }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Only one process at a time does the work; the lock of a process that is gone counts for nothing. */
async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(cachePath(), { recursive: true })
  const deadline = performance.now() + lockWaitMaxMs
  while (!(await takeLock(path))) {
    if (performance.now() > deadline) throw new Error(`${path} is still held by another process`)
    await delay(lockPollMs)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

async function takeLock(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
