/**
 * A connection for questions about the topology, to a server or a Sentinel: it logs in, asks, and may listen. One batch
 * of questions at a time; whatever goes wrong ends it.
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
import type { Address } from './choose-primary.ts'
import { type Reply, ReplyError, parseReply } from './reply.ts'

export interface LinkOptions {
  readonly address: Address
  readonly upstream: Pick<UpstreamConfig, 'credentials' | 'tls'>
  readonly env: Environment
  /** For connecting, and again for each batch of answers. */
  readonly timeoutMs: number
}

export class Link {
  isOpen = true
  private readonly socket: Socket
  private received: Buffer = Buffer.alloc(0)
  private waiter: (() => void) | undefined
  private failure: Error | undefined
  private listener: ((message: Reply) => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('the server closed the connection')))
  }

  /** Connects and logs in. @throws Error why that failed; UpstreamError RM_UPSTREAM_AUTH */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(await dial(options))
    const { credentials } = options.upstream
    if (credentials === undefined) return link
    const words = ['AUTH']
    if (credentials.username) words.push(readSecret(credentials.username, options.env).reveal())
    words.push(readSecret(credentials.password, options.env).reveal())
    const [reply] = await link.ask([words], options.timeoutMs)
    if (reply instanceof ReplyError) {
      link.close()
      throw new UpstreamError('RM_UPSTREAM_AUTH', `the server refuses AUTH: ${reply.message}`)
    }
    return link
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
        const reply = this.next()
        if (reply === undefined) await this.more()
        else replies.push(reply)
      }
      return replies
    } finally {
      clearTimeout(timer)
    }
  }

  /** Hands over all that comes from now on; nothing can be asked any more. `onEnd` is called once. */
  listen(onMessage: (message: Reply) => void, onEnd: () => void): void {
    this.listener = onMessage
    if (!this.isOpen) return onEnd()
    this.socket.once('close', onEnd)
    this.deliver()
  }

  /** So that a connection of which nobody hears anything is found to be gone. */
  send(command: readonly string[]): void {
    this.socket.write(encode(command))
  }

  close(): void {
    this.fail(new Error('the connection was closed'))
  }

  /** @throws Error if what came is not RESP */
  private next(): Reply | undefined {
    const parsed = parseReply(this.received)
    if (parsed === undefined) return undefined
    this.received = this.received.subarray(parsed.end)
    return parsed.reply
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
    if (this.listener === undefined) this.waiter?.()
    else this.deliver()
  }

  private deliver(): void {
    try {
      for (let message = this.next(); message !== undefined; message = this.next()) {
        this.listener?.(message)
      }
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.isOpen = false
    this.socket.destroy()
    this.waiter?.()
  }
}

async function dial(options: LinkOptions): Promise<Socket> {
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
  options: LinkOptions,
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

function encode(words: readonly string[]): string {
  const items = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${words.length}\r\n${items.join('')}`
}
