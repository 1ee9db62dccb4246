/**
 * A connection to one server that asks for its role and its identity, and does nothing else: it never writes
 * and never changes a role. Kept open between questions; opened again when it failed.
 */
import { readFile } from 'node:fs/promises'
import { type Socket, connect } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { UpstreamConfig } from '../../common/contract/proxy-config.ts'
import { UpstreamError } from '../../common/errors.ts'
import { topologyReplyBytesMax } from '../../common/limits.ts'
import { isUnixPath } from '../../common/redis/url.ts'
import { readSecret } from '../../common/secret.ts'
import type { Environment } from '../config/index.ts'
import type { Address, Observation } from './choose-primary.ts'
import { type Reply, ReplyError, parseReply } from './reply.ts'

export interface ProbeOptions {
  readonly address: Address
  readonly upstream: Pick<UpstreamConfig, 'credentials' | 'tls'>
  readonly env: Environment
  /** For connecting, and again for the answers. */
  readonly timeoutMs: number
}

export class Probe {
  private readonly options: ProbeOptions
  private link: Link | undefined
  private isClosed = false

  constructor(options: ProbeOptions) {
    this.options = options
  }

  /** Never throws: a server that cannot be asked is an observation too. */
  async observe(): Promise<Observation> {
    const { address } = this.options
    try {
      const link = this.link?.isOpen === true ? this.link : await this.open()
      const [role, info] = await link.ask([['ROLE'], ['INFO', 'server']], this.options.timeoutMs)
      return { ...address, ...interpret(role, info) }
    } catch (error) {
      this.drop()
      return { ...address, kind: 'unreachable', reason: reasonOf(error) }
    }
  }

  close(): void {
    this.isClosed = true
    this.drop()
  }

  private drop(): void {
    this.link?.close()
    this.link = undefined
  }

  private async open(): Promise<Link> {
    const { upstream, env, timeoutMs } = this.options
    const socket = await dial(this.options)
    const link = new Link(socket)
    this.link = link
    if (this.isClosed) link.close()
    const { credentials } = upstream
    if (credentials === undefined) return link
    const words = ['AUTH']
    if (credentials.username) words.push(readSecret(credentials.username, env).reveal())
    words.push(readSecret(credentials.password, env).reveal())
    const [reply] = await link.ask([words], timeoutMs)
    if (reply instanceof ReplyError) {
      throw new UpstreamError('RM_UPSTREAM_AUTH', `the server refuses AUTH: ${reply.message}`)
    }
    return link
  }
}

/** What ROLE and INFO server say. @throws UpstreamError RM_PROBE_FAILED if it cannot be understood */
export function interpret(
  role: Reply | undefined,
  info: Reply | undefined,
): { readonly kind: 'master' | 'replica'; readonly runId?: string } {
  if (role instanceof ReplyError) {
    throw new UpstreamError('RM_PROBE_FAILED', `the server refuses ROLE: ${role.message}`)
  }
  const word = Array.isArray(role) ? (role as readonly Reply[])[0] : undefined
  if (word !== 'master' && word !== 'slave') {
    throw new UpstreamError('RM_PROBE_FAILED', 'the server’s answer to ROLE is not understood')
  }
  const runId = typeof info === 'string' ? /^run_id:(\w+)/m.exec(info)?.[1] : undefined
  return { kind: word === 'master' ? 'master' : 'replica', ...(runId !== undefined && { runId }) }
}

async function dial(options: ProbeOptions): Promise<Socket> {
  const { host, port } = options.address
  const { tls } = options.upstream
  if (isUnixPath(host)) return connected(connect({ path: host }), 'connect', options)
  if (tls === undefined)
    return connected(connect({ host, port, noDelay: true }), 'connect', options)
  const settings: ConnectionOptions = {
    host,
    port,
    servername: tls.serverName ?? (/^[\d.]+$|:/.test(host) ? '' : host),
    rejectUnauthorized: tls.verify,
    ...(tls.caFile !== undefined && { ca: await readFile(tls.caFile) }),
    ...(tls.certFile !== undefined && { cert: await readFile(tls.certFile) }),
    ...(tls.keyFile !== undefined && { key: await readFile(tls.keyFile) }),
  }
  const { connect: connectTls } = await import('node:tls')
  return connected(connectTls(settings), 'secureConnect', options)
}

function connected(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  options: ProbeOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection within ${options.timeoutMs} ms`))
    }, options.timeoutMs)
    socket.once(event, () => {
      clearTimeout(timer)
      socket.removeListener('error', reject)
      resolve(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}

/** Questions and answers on one socket, one batch at a time. */
class Link {
  isOpen = true
  private readonly socket: Socket
  private received: Buffer = Buffer.alloc(0)
  private waiter: (() => void) | undefined
  private failure: Error | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('the server closed the connection')))
  }

  /** @throws Error if the connection fails or the answers do not come in time */
  async ask(
    commands: readonly (readonly string[])[],
    timeoutMs: number,
  ): Promise<readonly Reply[]> {
    const timer = setTimeout(
      () => this.fail(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    try {
      this.socket.write(commands.map(encode).join(''))
      const replies: Reply[] = []
      while (replies.length < commands.length) {
        const parsed = parseReply(this.received)
        if (parsed === undefined) await this.more()
        else {
          replies.push(parsed.reply)
          this.received = this.received.subarray(parsed.end)
        }
      }
      return replies
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.fail(new Error('the connection was closed'))
  }

  private async more(): Promise<void> {
    if (this.failure === undefined) {
      await new Promise<void>((resolve) => {
        this.waiter = resolve
      })
    }
    if (this.failure !== undefined) throw this.failure
  }

  private take(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk])
    if (this.received.length > topologyReplyBytesMax) {
      return this.fail(
        new Error(`the server’s answer has more than ${topologyReplyBytesMax} bytes`),
      )
    }
    this.waiter?.()
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.isOpen = false
    this.socket.destroy()
    this.waiter?.()
  }
}

function encode(words: readonly string[]): string {
  const items = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${words.length}\r\n${items.join('')}`
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
