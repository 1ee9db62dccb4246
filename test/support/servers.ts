/**
 * Real Redis or Valkey servers for tests: on free loopback ports, in directories of their own, ready when the
 * promise resolves and gone when the test process is, however it ends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Programs start slowly where many run at once. */
const readyDeadlineMs = 60_000
const pollMs = 10

export interface ServerOptions {
  /** A port that was free a moment ago is taken unless told. */
  readonly port?: number
  readonly password?: string
  readonly replicaOf?: { readonly host: string; readonly port: number }
  /** A version of `serverPrograms()`; the program of this machine unless told. */
  readonly program?: { readonly command: readonly string[] }
  /** More arguments as the program takes them: `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[]
}

export interface RedisServer {
  readonly host: string
  readonly port: number
  readonly unixPath: string
  readonly directory: string
  readonly pid: number
  /** Sends one command on a connection of its own and returns the reply as the server wrote it. */
  command(...args: readonly string[]): Promise<string>
  /** One field of `INFO`. */
  info(field: string): Promise<string>
  /** Sends a signal, e.g. SIGKILL, SIGSTOP; does not wait. */
  signal(signal: NodeJS.Signals): void
  /** Ends the process at once and waits until it is gone. Its port and directory stay. */
  kill(): Promise<void>
  /** Starts a new process at the same port with the same options, after `kill`. */
  restart(): Promise<void>
  /** Ends the process and removes its directory. */
  stop(): Promise<void>
}

/** The server program of this machine. @throws Error when there is none. */
export function serverProgram(): string {
  for (const program of ['redis-server', 'valkey-server']) {
    if (isInstalled(program)) return program
  }
  throw new Error('no redis-server or valkey-server is installed')
}

export function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A loopback port that nothing listened on just now. */
export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Waits until `isTrue` gives true. @throws Error naming `what` after `deadlineMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  deadlineMs = readyDeadlineMs,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await delay(pollMs)
  }
}

export async function startServer(options: ServerOptions = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-server-'))
  directories.add(directory)
  const port = options.port ?? (await freePort())
  const unixPath = join(directory, 'redis.sock')
  const program = options.program?.command ?? [serverProgram()]
  const command = [...program, ...serverArguments(options, { directory, port, unixPath })]
  let child = await launch(command)
  const address = { host: '127.0.0.1', port, password: options.password }
  const kill = async () => end(child)
  await ready(child, address)
  return {
    host: address.host,
    port,
    unixPath,
    directory,
    get pid() {
      return child.pid ?? 0
    },
    command: (...command) => askServer(address, command),
    info: async (field) => infoField(await askServer(address, ['INFO']), field),
    signal: (signal) => {
      child.kill(signal)
    },
    kill,
    restart: async () => {
      child = await launch(command)
      await ready(child, address)
    },
    stop: async () => {
      await kill()
      rmSync(directory, { recursive: true, force: true })
      directories.delete(directory)
    },
  }
}

function serverArguments(
  options: ServerOptions,
  place: { readonly directory: string; readonly port: number; readonly unixPath: string },
): string[] {
  const flags: Record<string, string> = {
    '--port': String(place.port),
    '--bind': '127.0.0.1',
    '--unixsocket': place.unixPath,
    '--dir': place.directory,
    '--save': '',
    '--appendonly': 'no',
    '--enable-debug-command': 'yes',
    '--repl-diskless-sync-delay': '0',
    '--loglevel': 'warning',
  }
  if (options.password !== undefined) {
    flags['--requirepass'] = options.password
    flags['--masterauth'] = options.password
  }
  const replication = options.replicaOf
    ? ['--replicaof', options.replicaOf.host, String(options.replicaOf.port)]
    : []
  return [...Object.entries(flags).flat(), ...replication, ...(options.args ?? [])]
}

const children = new Set<ChildProcess>()
const directories = new Set<string>()
const canFollowParent = isInstalled('setpriv')

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** Where `setpriv` exists the kernel ends the server with us, even if we are killed outright. */
async function launch(server: readonly string[]): Promise<ChildProcess> {
  const command = canFollowParent ? ['setpriv', '--pdeathsig', 'KILL', ...server] : server
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: 'ignore' })
  children.add(child)
  child.once('exit', () => children.delete(child))
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve).once('error', reject)
  })
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

interface Address {
  readonly host: string
  readonly port: number
  readonly password: string | undefined
}

async function ready(child: ChildProcess, address: Address): Promise<void> {
  await until(`the server at port ${address.port} answers`, async () => {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    try {
      return (await askServer(address, ['PING'])).includes('+PONG')
    } catch {
      return false
    }
  })
}

/** A Sentinel has no such command. */
const noQuit = "-ERR unknown command 'QUIT'"

/** Sends `AUTH` where needed, the command and `QUIT`; returns what came between. */
async function askServer(address: Address, command: readonly string[]): Promise<string> {
  const commands = [command, ['QUIT']]
  if (address.password !== undefined) commands.unshift(['AUTH', address.password])
  const socket = createConnection({ host: address.host, port: address.port })
  const chunks: Buffer[] = []
  socket.write(commands.map(encodeCommand).join(''))
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (chunk.includes(noQuit)) socket.end()
    })
    socket.once('error', reject).once('close', () => resolve())
  })
  const text = Buffer.concat(chunks).toString('latin1')
  const start = address.password === undefined ? 0 : text.indexOf('\r\n') + 2
  const end = text.lastIndexOf(text.endsWith('+OK\r\n') ? '+OK\r\n' : noQuit)
  return text.slice(start, end)
}

/** A command as clients send it. */
export function encodeCommand(args: readonly string[]): string {
  const bulks = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
  return `*${args.length}\r\n${bulks.join('')}`
}

function infoField(info: string, field: string): string {
  const line = info.split('\r\n').find((line) => line.startsWith(`${field}:`))
  if (line === undefined) throw new Error(`INFO has no field ${field}`)
  return line.slice(field.length + 1)
}
