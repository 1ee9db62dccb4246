/**
 * One connection to one server process. No retries, no queueing, no hidden reconnects: what fails here is the
 * evidence that the controller decides on. A new connection is a new object.
 */
import { Redis, type RedisOptions } from 'ioredis'
import { UpstreamError, systemCodeOf } from '../../common/errors.ts'
import { probeTimeoutMs } from '../../common/limits.ts'
import type { Secret } from '../../common/secret.ts'
import type { FailureKind } from '../controller/observation.ts'
import type { Whereabouts } from '../controller/provider.ts'
import { type CommandNames, type CommandParts, renamed } from './names.ts'

export interface ServerCredentials {
  readonly username?: string
  readonly password: Secret
}

export interface ServerTls {
  readonly verify: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly serverName?: string
}

export interface ServerTarget {
  /** A name, an address, or the path of a unix socket. */
  readonly host: string
  readonly port: number
  readonly credentials?: ServerCredentials
  readonly tls?: ServerTls
  /**
   * How long it may be silent until a look at it has failed; `probeTimeoutMs` unless told. Commands have that anyway, and
   * the first look at a new connection: a server that became slow must not stay unseen.
   */
  readonly silenceMs?: number
  /** Of commands that were renamed there. */
  readonly commands?: CommandNames
  /** Asked at each connection: where the host is, or that it is nowhere. Absent or undefined: by its name. */
  readonly locate?: () => Whereabouts | undefined
}

/** The target by its address. @throws ProbeError if it is known to be nowhere */
export function located(target: ServerTarget): ServerTarget {
  const place = target.locate?.()
  if (place === undefined) return target
  if (place.kind === 'absent') throw new ProbeError('other', place.why)
  const { tls } = target
  // The certificate is for the name, whatever leads there.
  const serverName = tls?.serverName ?? target.host
  return { ...target, host: place.address, ...(tls && { tls: { ...tls, serverName } }) }
}

/** Of a failed attempt: what kind of failure it is evidence of. */
export class ProbeError extends UpstreamError {
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string, options: { cause?: unknown } = {}) {
    super('RM_PROBE_FAILED', message, { ...options, retryable: true })
    this.kind = kind
  }
}

/** What a server answered instead of a result, less what it repeats of the command: that may be a password. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError'

  constructor(reply: Error) {
    super(reply.message.replace(/,? with args beginning with:.*$/s, ''))
  }
}

export class ServerConnection {
  private readonly client: Redis
  private readonly silenceMs: number
  private readonly names: CommandNames | undefined
  private hasAnswered = false
  private lastError: unknown

  /** Does no IO. */
  constructor(target: ServerTarget) {
    this.silenceMs = target.silenceMs ?? probeTimeoutMs
    this.names = target.commands
    this.client = new Redis(clientOptions(target, probeTimeoutMs))
    this.client.on('error', (error: unknown) => {
      this.lastError = error
    })
  }

  /** `onEnd` is called once, when the open connection ends by itself. @throws ProbeError */
  async open(onEnd: () => void): Promise<void> {
    try {
      await withTimeout(this.client.connect(), probeTimeoutMs)
    } catch (error) {
      this.close()
      throw asProbeError(this.lastError ?? error)
    }
    this.client.once('end', onEnd)
  }

  /** Sends a command that changes something. @throws ProbeError, or ReplyError */
  call(name: string, ...args: CommandParts): Promise<unknown> {
    return this.send([name, ...args], probeTimeoutMs)
  }

  /** Sends a question; a server that is silent for too long has failed. @throws ProbeError, or ReplyError */
  async ask(name: string, ...args: readonly string[]): Promise<unknown> {
    const timeoutMs = this.hasAnswered ? this.silenceMs : probeTimeoutMs
    const reply = await this.send([name, ...args], timeoutMs)
    this.hasAnswered = true
    return reply
  }

  close(): void {
    this.client.disconnect()
  }

  private async send(parts: readonly [string, ...CommandParts], timeoutMs: number) {
    const [name, ...args] = parts
    const open = args.map((arg) => (typeof arg === 'string' ? arg : arg.reveal()))
    try {
      const command = renamed(name, this.names)
      return await withTimeout(this.client.call(command, open), timeoutMs)
    } catch (error) {
      if (isReplyError(error)) throw new ReplyError(error)
      throw asProbeError(this.lastError ?? error)
    }
  }
}

function clientOptions(
  target: ServerTarget,
  timeoutMs: number,
): Omit<RedisOptions, 'replyMapping'> {
  const { credentials, tls } = target
  return {
    ...(target.host.startsWith('/')
      ? { path: target.host }
      : { host: target.host, port: target.port }),
    lazyConnect: true,
    protocol: 2,
    connectTimeout: timeoutMs,
    retryStrategy: () => null,
    reconnectOnError: null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    enableAutoPipelining: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    ...(credentials && {
      password: credentials.password.reveal(),
      ...(credentials.username !== undefined && { username: credentials.username }),
    }),
    ...(tls && {
      tls: {
        rejectUnauthorized: tls.verify,
        ...(tls.ca !== undefined && { ca: tls.ca }),
        ...(tls.cert !== undefined && { cert: tls.cert }),
        ...(tls.key !== undefined && { key: tls.key }),
        ...(tls.serverName !== undefined && { servername: tls.serverName }),
      },
    }),
  }
}

const kindsBySystemCode: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
  ETIMEDOUT: 'timeout',
}

const authReplies = new Set(['NOAUTH', 'WRONGPASS', 'NOPERM'])

/** Code word of an error reply: `-LOADING Redis is …` → LOADING. */
export function replyCodeOf(error: unknown): string | undefined {
  return isReplyError(error) ? error.message.split(' ', 1)[0] : undefined
}

export function asProbeError(error: unknown): ProbeError {
  if (error instanceof ProbeError) return error
  const message = error instanceof Error ? error.message : String(error)
  const reply = replyCodeOf(error)
  if (reply !== undefined) {
    return new ProbeError(authReplies.has(reply) ? 'auth' : 'other', message, { cause: error })
  }
  const code = systemCodeOf(error)
  const kind = code === undefined ? 'closed' : (kindsBySystemCode[code] ?? 'other')
  return new ProbeError(kind, message, { cause: error })
}

function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new ProbeError('timeout', `no answer within ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
