/** A data plane in this process before a real server, and clients that see every byte. */
import { type Socket, createConnection } from 'node:net'
import type { TestContext } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import type { DataPlane, LocalDataPlane } from '../../../sidecar/data-plane.ts'
import { createDataPlane } from '../../../sidecar/pipeline.ts'
import { ReplyScanner } from '../../../sidecar/resp/reply-scanner.ts'
import {
  type RedisServer,
  type ServerOptions,
  encodeCommand,
  startServer,
  until,
} from '../../support/servers.ts'

export type ConfigChanges = Partial<
  Pick<ProxyConfig, 'clientAuth' | 'commands' | 'epoch' | 'listeners' | 'version'>
> & {
  readonly limits?: Partial<ProxyConfig['limits']>
  readonly timing?: Partial<ProxyConfig['timing']>
  readonly upstream?: Partial<ProxyConfig['upstream']>
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** A configuration whose primary is `server`, with a listener on a free port. */
export function configFor(server: Address, changes: ConfigChanges = {}): ProxyConfig {
  const { host, port } = server
  const base = standaloneConfig({
    members: [{ host, port }],
    listeners: [{ host: '127.0.0.1', port: 0 }],
    logLevel: 'error',
  })
  return {
    ...base,
    ...changes,
    upstream: { ...base.upstream, primary: { host, port }, ...changes.upstream },
    timing: { ...base.timing, drainTimeoutMs: 500, ...changes.timing },
    limits: { ...base.limits, ...changes.limits },
  }
}

export interface Rig {
  readonly server: RedisServer
  readonly plane: LocalDataPlane
  readonly port: number
  readonly client: () => Promise<Client>
  readonly direct: () => Promise<Client>
}

export async function startPlane(t: TestContext, config: ProxyConfig): Promise<LocalDataPlane> {
  const plane = createDataPlane({ log: silentLog, env: process.env })
  t.after(() => plane.stop())
  await plane.start(config)
  return plane
}

export function portOf(plane: DataPlane): number {
  return Number(plane.addresses()[0]?.split(':').at(-1))
}

export async function startRig(
  t: TestContext,
  changes: ConfigChanges = {},
  serverOptions: ServerOptions = {},
): Promise<Rig> {
  const server = await startServer(serverOptions)
  t.after(() => server.stop())
  const plane = await startPlane(t, configFor(server, changes))
  const port = portOf(plane)
  return {
    server,
    plane,
    port,
    client: () => connect(t, port),
    direct: () => connect(t, server.port),
  }
}

export function connect(t: TestContext, target: number | string): Promise<Client> {
  const socket =
    typeof target === 'number'
      ? createConnection({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
      : createConnection({ path: target })
  t.after(() => socket.destroy())
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(new Client(socket))).once('error', reject)
  })
}

const deadlineMs = 10_000

/** One connection; replies are given as the bytes that came, as latin1. */
export class Client {
  readonly socket: Socket
  isClosed = false
  received = Buffer.alloc(0)
  private readonly scanner = new ReplyScanner({ allowsPushes: true, lineBytesMax: 1 << 20 })

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      this.isClosed = true
    })
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Sends one command and waits for its reply. */
  ask(...words: readonly string[]): Promise<string> {
    this.send(encodeCommand(words))
    return this.reply()
  }

  /** The next reply or push. */
  async reply(): Promise<string> {
    let at = -1
    let scanned = 0
    await until(
      'a reply comes',
      () => {
        while (at < 0 && scanned < this.received.length) {
          const end = nextEnd(this.scanner, this.received, scanned)
          scanned = this.scanner.position
          if (end >= 0) at = end
        }
        if (at < 0 && this.isClosed) throw new Error(`closed after ${this.text()}`)
        return at >= 0
      },
      deadlineMs,
    )
    const reply = this.received.toString('latin1', 0, at)
    this.received = this.received.subarray(at)
    return reply
  }

  async replies(count: number): Promise<string[]> {
    const found: string[] = []
    while (found.length < count) found.push(await this.reply())
    return found
  }

  /** Waits for the end of the connection and gives all that came and was not taken. */
  async rest(): Promise<string> {
    await until('the connection closes', () => this.isClosed, deadlineMs)
    return this.text()
  }

  text(): string {
    return this.received.toString('latin1')
  }
}

/** End of the next top-level value, pushes included, or -1. */
function nextEnd(scanner: ReplyScanner, bytes: Buffer, start: number): number {
  for (let at = start; at < bytes.length; at += 1) {
    const wasMidReply = scanner.isMidReply
    if (!scanner.scan(bytes, at, at + 1, 1)) throw new Error('a malformed reply came')
    if ((wasMidReply || at > start) && !scanner.isMidReply) return at + 1
  }
  return -1
}

export { encodeCommand, until }
