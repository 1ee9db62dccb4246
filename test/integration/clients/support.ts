/** A sidecar process before a real server, for clients that know nothing of either. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import {
  type RedisServer,
  freePort,
  isInstalled,
  startServer,
  until,
} from '../../support/servers.ts'
import { type SidecarProcess, startSidecar } from '../control/sidecar-process.ts'

export { until }

/** What clients log in with, where they must. Not what the sidecar logs in with. */
export const login: { readonly username: string; readonly password: string } = {
  username: 'app',
  password: 'of the client',
}
export const upstreamPassword = 'of-the-server'

export interface Proxied {
  readonly topology: 'standalone' | 'cluster' | 'replication' | 'ring'
  readonly server: RedisServer
  readonly port: number
  /** Ends the sidecar as a deployment would and starts another one at the same port. */
  restart(): Promise<void>
  /** A figure of the sidecar’s metrics, summed over its labels. */
  metric(name: string): Promise<number>
  /** Has all servers forget their scripts. */
  flushScripts(): Promise<void>
  /** Waits until everyone reads what has been written. */
  settle(): Promise<void>
  /** The backend changes from now on, where it can, until it is calm. */
  disturb(): Promise<void>
  calm(): Promise<void>
}

/** A sidecar before several servers that share the keys has one database. */
export function hasDatabases(topology: Proxied['topology']): boolean {
  return topology === 'standalone' || topology === 'replication'
}

/** What one server is, whether through a sidecar or not. */
function standalone(server: RedisServer) {
  const nothing = () => Promise.resolve()
  return {
    topology: 'standalone',
    server,
    flushScripts: async () => void (await server.command('SCRIPT', 'FLUSH')),
    settle: nothing,
    disturb: nothing,
    calm: nothing,
  } as const
}

/** `hasLogin`: clients must log in, and so must the sidecar, otherwise nobody. */
export async function startProxied(
  t: TestContext,
  { hasLogin = false }: { readonly hasLogin?: boolean } = {},
): Promise<Proxied> {
  const server = await startServer(hasLogin ? { password: upstreamPassword } : {})
  t.after(() => server.stop())
  const port = await freePort()
  const start = async () => {
    const sidecar = startSidecar(
      t,
      `--upstream redis://127.0.0.1:${server.port} --listen 127.0.0.1:${port} --admin 127.0.0.1:0`,
      hasLogin
        ? {
            RESPMESH_UPSTREAM_PASSWORD: upstreamPassword,
            RESPMESH_CLIENT_USERNAME: login.username,
            RESPMESH_CLIENT_PASSWORD: login.password,
          }
        : {},
    )
    await sidecar.port()
    return sidecar
  }
  let sidecar: SidecarProcess = await start()
  return {
    ...standalone(server),
    port,
    restart: async () => {
      sidecar.signal('SIGTERM')
      await sidecar.ended
      sidecar = await start()
    },
    metric: async (name) => {
      const { body } = await sidecar.get('/metrics')
      const lines = body.split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line))
      if (lines.length === 0) throw new Error(`there is no metric ${name}`)
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    },
  }
}

/** The same without a sidecar: what a tour expects is what the server does. */
export async function startDirect(t: TestContext): Promise<Proxied> {
  const server = await startServer()
  t.after(() => server.stop())
  return {
    ...standalone(server),
    port: server.port,
    restart: () => Promise.resolve(),
    metric: () => Promise.reject(new Error('a server has no such metrics')),
  }
}

/** What a program tells of its tour. */
export const tourSteps = [
  'data',
  'keys',
  'scripts',
  'messages',
  'blocking',
  'pipelines',
  'large',
  'transactions',
  'connections',
  'restart',
].map((step) => `ok ${step}`)

const run = promisify(execFile)
const here = import.meta.dirname

/** Where programs of other languages are kept, outside the repository. */
function cacheFolder(name: string, inputs: readonly string[]): string {
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(readFileSync(join(here, name, input)))
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  const folder = join(cache, 'respmesh', 'clients', `${name}-${hash.digest('hex').slice(0, 16)}`)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Builds in `folder` once; a build that did not end is begun again. */
async function once(folder: string, build: () => Promise<unknown>): Promise<void> {
  const done = join(folder, 'done')
  if (existsSync(done)) return
  await build()
  writeFileSync(done, '')
}

/** What to run, or why there is nothing. */
export type Tour = readonly [string, ...string[]] | { readonly skip: string }

/** `script`: its file, the tour of an ordinary client unless told. */
export async function redisPyTour(script = 'tour.py'): Promise<Tour> {
  if (!isInstalled('python3')) return { skip: 'redis-py: python3 is not installed' }
  const folder = cacheFolder('redis-py', ['requirements.txt'])
  const python = join(folder, 'venv', 'bin', 'python')
  try {
    await once(folder, async () => {
      await run('python3', ['-m', 'venv', '--clear', join(folder, 'venv')])
      const requirements = join(here, 'redis-py', 'requirements.txt')
      await run(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements])
    })
  } catch (error) {
    return { skip: `redis-py: it cannot be installed: ${String(error)}` }
  }
  return [python, join(here, 'redis-py', script)]
}

export async function goRedisTour(): Promise<Tour> {
  if (!isInstalled('go')) return { skip: 'go-redis: go is not installed' }
  const folder = cacheFolder('go-redis', ['go.mod', 'go.sum', 'main.go', 'tour.go', 'cluster.go'])
  const program = join(folder, 'tour')
  try {
    await once(folder, () =>
      run('go', ['build', '-mod=readonly', '-o', program, '.'], { cwd: join(here, 'go-redis') }),
    )
  } catch (error) {
    // A program of ours that does not compile is a failure, a module that cannot be had is a machine’s.
    if (/\.go:\d+:\d+: /.test(String(error))) throw error
    return { skip: `go-redis: it cannot be built: ${String(error)}` }
  }
  return [program]
}

/**
 * Runs a tour as a process: it prints `ok …` per step, and `restart`, `disturb` or `calm` when that is to be done, after
 * which it reads a line. @throws Error with all that it printed when it fails
 */
export async function runTour(
  t: TestContext,
  command: readonly [string, ...string[]],
  proxied: Proxied,
): Promise<readonly string[]> {
  const [program, ...args] = command
  const child: ChildProcess = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let errors = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve).once('error', reject)
  })
  const steps: string[] = []
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line === 'restart' || line === 'disturb' || line === 'calm') {
      await proxied[line]()
      child.stdin?.write('\n')
    } else steps.push(line)
  }
  const code = await ended
  if (code !== 0) throw new Error(`ended with ${code} after ${steps.join(', ')}\n${errors}`)
  return steps
}
