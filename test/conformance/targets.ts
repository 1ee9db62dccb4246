/** What a unit is run against: a fresh server, or a fresh server behind a sidecar. */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { standaloneConfig, type UpstreamConfig } from '../../common/contract/proxy-config.ts'
import { startLoneNode } from '../support/cluster.ts'
import { freePort, type RedisServer, startServer, until } from '../support/servers.ts'
import type { Mode } from './options.ts'
import type { Target } from './unit-run.ts'

const program = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
/** As the server’s own project starts one for this. */
const serverArgs = ['--enable-protected-configs', 'yes', '--enable-module-command', 'yes']

export async function startDirect(mode: Mode): Promise<Target> {
  const server = await startFor(mode)
  return { port: server.port, serverPort: server.port, stop: () => server.stop() }
}

/** With a sidecar that lets every command through. */
export async function startThrough(mode: Mode): Promise<Target> {
  const server = await startFor(mode)
  const port = await freePort()
  const config = standaloneConfig({
    members: [{ host: server.host, port: server.port }],
    listeners: [{ host: '127.0.0.1', port }],
    logLevel: 'error',
  })
  const file = join(server.directory, 'sidecar.json')
  const upstream = { ...config.upstream, ...upstreamOf(mode) }
  writeFileSync(file, JSON.stringify({ ...config, upstream, commands: { allow: ['*'] } }))
  const child = spawn(process.execPath, [program, 'sidecar', '--config', file], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  children.add(child)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    children.delete(child)
    await server.stop()
  }
  try {
    await until('the sidecar answers', () => answers(port))
  } catch (error) {
    await stop()
    throw error
  }
  return { port, serverPort: server.port, stop }
}

function upstreamOf(mode: Mode): Partial<UpstreamConfig> {
  if (mode === 'cluster') return { mode: 'cluster', discovery: 'self' }
  return { isolation: mode === 'perClient' ? 'perClient' : 'shared' }
}

async function startFor(mode: Mode): Promise<RedisServer> {
  if (mode !== 'cluster') return startServer({ args: serverArgs })
  const { server } = await startLoneNode(serverArgs)
  return server
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

async function answers(port: number): Promise<boolean> {
  const socket = createConnection({ host: '127.0.0.1', port })
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('data', (chunk: Buffer) => resolve(chunk.toString().startsWith('+PONG')))
      socket.once('error', () => resolve(false))
      socket.write('PING\r\n')
    })
  } finally {
    socket.destroy()
  }
}
