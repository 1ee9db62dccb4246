/** What a unit is run against: a fresh server, or a fresh server behind a sidecar. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { freePort, startServer, until } from '../support/servers.ts'
import type { Target } from './unit-run.ts'

const program = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
/** As the server’s own project starts one for this. */
const serverArgs = ['--enable-protected-configs', 'yes', '--enable-module-command', 'yes']

export async function startDirect(): Promise<Target> {
  const server = await startServer({ args: serverArgs })
  return { port: server.port, backendPort: server.port, stop: () => server.stop() }
}

export async function startThrough(): Promise<Target> {
  const server = await startServer({ args: serverArgs })
  const port = await freePort()
  const upstream = `redis://127.0.0.1:${server.port}`
  const args = [program, 'sidecar', '--upstream', upstream, '--listen', `127.0.0.1:${port}`]
  const child = spawn(process.execPath, [...args, '--log-level', 'error'], {
    env: { PATH: process.env['PATH'], RESPMESH_COMMANDS_ALLOW: '*' },
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
  return { port, backendPort: server.port, stop }
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
