/** A server and a sidecar as processes of their own, and connections that count replies cheaply. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type Socket, createConnection } from 'node:net'
import { join } from 'node:path'
import type { Status } from '../../sidecar/admin/index.ts'
import { type ConfigChanges, configFor } from '../integration/sidecar/harness.ts'
import { type RedisServer, freePort, startServer, until } from '../support/servers.ts'

const root = join(import.meta.dirname, '..', '..')
const bundle = join(root, 'dist', 'respmesh.mjs')

export const isFullSize = process.env['RESPMESH_TEST_SIZE'] === 'full'

export interface RigOptions extends ConfigChanges {
  /** Open files that the sidecar may have. */
  readonly filesMax?: number
  readonly workers?: number
  /** Runs `npm run bundle`’s result if there is one, as users do; for figures of memory. */
  readonly isBundled?: boolean
  readonly serverArgs?: readonly string[]
}

export interface LoadRig {
  readonly server: RedisServer
  readonly port: number
  readonly pid: number
  residentBytes(): number
  /** CPU time so far, seconds. */
  cpuSeconds(): number
  status(): Promise<Status>
  metric(name: string): Promise<number>
  stop(): Promise<void>
}

export async function startLoadRig(options: RigOptions = {}): Promise<LoadRig> {
  const { filesMax, workers, isBundled, serverArgs = [], ...changes } = options
  const server = await startServer({ args: serverArgs })
  const [port, adminPort] = [await freePort(), await freePort()]
  const listeners = [{ host: '127.0.0.1', port }]
  const admin = { host: '127.0.0.1', port: adminPort }
  const config = {
    ...configFor(server, { listeners, ...changes }),
    admin,
    ...(workers && { workers }),
  }
  const file = join(server.directory, 'sidecar.json')
  writeFileSync(file, JSON.stringify(config))
  const program =
    isBundled && isFullSize && existsSync(bundle) ? bundle : join(root, 'cli', 'main.ts')
  const command = `${filesMax === undefined ? '' : `ulimit -n ${filesMax}; `}exec "$@"`
  const child = spawn(
    'sh',
    ['-c', command, 'sh', process.execPath, program, 'sidecar', '--config', file],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const url = (path: string) => `http://127.0.0.1:${adminPort}${path}`
  const status = async () => (await (await fetch(url('/status'))).json()) as Status
  const stop = async () => {
    await end(child)
    await server.stop()
  }
  try {
    await until('the sidecar serves', () => isServing(status), 30_000)
  } catch (error) {
    await stop()
    throw error
  }
  const pid = child.pid ?? 0
  return {
    server,
    port,
    pid,
    residentBytes: () => residentBytesOf(pid),
    cpuSeconds: () => cpuSecondsOf(pid),
    status,
    metric: async (name) => {
      const text = await (await fetch(url('/metrics'))).text()
      const line = text.split('\n').find((one) => one.startsWith(`${name} `))
      return Number(line?.split(' ').at(-1))
    },
    stop,
  }
}

async function isServing(status: () => Promise<Status>): Promise<boolean> {
  try {
    return (await status()).primary.state === 'ok'
  } catch {
    return false
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

export function residentBytesOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** The kernel counts in hundredths of a second. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Connects, or gives undefined where it is refused. */
export function open(port: number): Promise<Socket | undefined> {
  const socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

export async function openMany(port: number, count: number, atOnce = 200): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Math.min(atOnce, count - sockets.length)
    const opened = await Promise.all(Array.from({ length: batch }, () => open(port)))
    for (const socket of opened) {
      if (socket === undefined) throw new Error(`${sockets.length} connections, then no more`)
      socket.on('error', () => {})
      sockets.push(socket)
    }
  }
  return sockets
}

/** Sends `request` and gives what has come once it is `byteCount` long, or the connection ended. */
export function exchange(
  socket: Socket,
  request: string | Buffer,
  byteCount: number,
): Promise<string> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve('')
    const chunks: Buffer[] = []
    let length = 0
    const done = () => {
      socket.off('data', take)
      socket.off('close', done)
      resolve(Buffer.concat(chunks).toString('latin1'))
    }
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length >= byteCount) done()
    }
    socket.on('data', take)
    socket.once('close', done)
    socket.write(request)
  })
}

export function percentile(values: Float64Array, share: number): number {
  if (values.length === 0) return 0
  const sorted = values.toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number
}

/** Asks PING over and over on a connection of its own, as somebody who has nothing to do with the rest. */
export async function startBystander(
  port: number,
): Promise<() => { p99Ms: number; maxMs: number; count: number }> {
  const socket = await open(port)
  if (socket === undefined) throw new Error('the bystander cannot connect')
  const latencies: number[] = []
  const state = { isRunning: true }
  const run = async () => {
    while (state.isRunning) {
      const start = performance.now()
      const reply = await exchange(socket, 'PING\r\n', 7)
      if (!state.isRunning) return
      if (reply !== '+PONG\r\n') throw new Error(`the bystander got ${reply}`)
      latencies.push(performance.now() - start)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  const running = run()
  running.catch(() => {})
  return () => {
    state.isRunning = false
    socket.destroy()
    const values = Float64Array.from(latencies)
    return { p99Ms: percentile(values, 0.99), maxMs: percentile(values, 1), count: values.length }
  }
}
