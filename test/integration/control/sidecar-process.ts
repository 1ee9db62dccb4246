/** A sidecar as users run it: a process of its own, watched through its log and its ports. */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Reply, parseReply } from '../../../sidecar/topology/reply.ts'
import { encodeCommand, until } from '../../support/servers.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const fromSource = join(root, 'cli', 'main.ts')
/** As `npm run bundle` leaves it. */
export const fromBundle = join(root, 'dist', 'respmesh.mjs')

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface SidecarProcess {
  readonly pid: number
  readonly log: readonly LogLine[]
  /** All of standard output, and of standard error what is not a line of the log. */
  readonly output: { stdout: string; stderr: string }
  /** Waits for a line with this message, after the first `skip` ones of the log. */
  logged(message: string, skip?: number): Promise<LogLine>
  /** Ports of the first listener and of the admin port, once they are bound. */
  port(): Promise<number>
  adminPort(): Promise<number>
  ask(...command: readonly string[]): Promise<Reply>
  get(path: string): Promise<{ readonly status: number; readonly body: string }>
  signal(signal: NodeJS.Signals): void
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

export function startSidecar(
  context: TestContext,
  /** Separated by spaces. */
  args: string,
  env: Readonly<Record<string, string>> = {},
  program = fromSource,
): SidecarProcess {
  const child = spawn(
    process.execPath,
    [program, 'sidecar', ...args.split(' ').filter((arg) => arg !== '')],
    {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const log: LogLine[] = []
  const output = { stdout: '', stderr: '' }
  collect(child, log, output)
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  context.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const logged = async (message: string, skip = 0): Promise<LogLine> => {
    const find = () => log.slice(skip).find(({ msg }) => msg === message)
    await until(`the sidecar logs "${message}"; it has: ${JSON.stringify(log)}`, () => !!find())
    return find() as LogLine
  }
  const listening = () => logged('sidecar is listening')
  const port = async () => portOf(((await listening())['listeners'] as string[])[0])
  const adminPort = async () => portOf((await listening())['admin'] as string)
  return {
    pid: child.pid ?? 0,
    log,
    output,
    logged,
    port,
    adminPort,
    ask: async (...command) => ask({ host: '127.0.0.1', port: await port() }, command),
    get: async (path) => {
      const response = await fetch(`http://127.0.0.1:${await adminPort()}${path}`)
      return { status: response.status, body: await response.text() }
    },
    signal: (signal) => void child.kill(signal),
    ended,
  }
}

function collect(
  child: ChildProcess,
  log: LogLine[],
  output: { stdout: string; stderr: string },
): void {
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output.stdout += chunk
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('{')) log.push(JSON.parse(line) as LogLine)
      else output.stderr += `${line}\n`
    }
  })
}

function portOf(address: string | undefined): number {
  return Number(/:(\d+)$/.exec(address ?? '')?.[1])
}

/** One command on a connection of its own. @throws Error if it ends without a reply */
export async function ask(
  address: { readonly host: string; readonly port: number },
  command: readonly string[],
): Promise<Reply> {
  const socket = connect(address)
  try {
    return await new Promise<Reply>((resolve, reject) => {
      let received: Buffer = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk])
        const parsed = parseReply(received)
        if (parsed !== undefined) resolve(parsed.reply)
      })
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('the connection ended without a reply')))
      socket.write(encodeCommand(command))
    })
  } finally {
    socket.destroy()
  }
}

/** Waits until a write and a read through the sidecar work. */
export async function serves(sidecar: SidecarProcess): Promise<void> {
  await until('a command is answered through the sidecar', async () => {
    try {
      return (await sidecar.ask('SET', 'respmesh:test', '1')) === 'OK'
    } catch {
      return false
    }
  })
}
