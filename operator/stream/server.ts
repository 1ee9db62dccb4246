/**
 * The HTTP side of the configuration stream (`common/contract/stream.ts`): checks the request and the token,
 * then hands the exchange to the hub. Can listen itself (plain HTTP for loopback, HTTPS elsewhere) or be
 * mounted as the handler of another server, whose `requestTimeout` must then be 0: these requests never end.
 */
import {
  type IncomingMessage,
  type Server,
  type ServerResponse,
  createServer as createHttpServer,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../../common/clock.ts'
import { streamPath } from '../../common/contract/stream.ts'
import { SystemError } from '../../common/errors.ts'
import {
  streamBacklogBytesMax,
  streamClientsMax,
  streamHeadTimeoutMs,
  streamPendingMax,
  streamPingMs,
  streamSilenceMaxMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { ConfigPublisher } from '../controller/provider.ts'
import { StreamHub } from './hub.ts'
import { type SessionLimits, StreamSession } from './session.ts'

export type Authentication =
  | {
      readonly ok: true
      /** Who the token proves the sidecar to be; absent: the id of its hello counts. */
      readonly sidecarId?: string
    }
  | {
      readonly ok: false
      /** unauthenticated → 401, forbidden → 403, unavailable (cannot be checked now) → 503. */
      readonly reason: 'unauthenticated' | 'forbidden' | 'unavailable'
      readonly message?: string
    }

export interface StreamLimits extends SessionLimits {
  readonly clientsMax: number
  readonly pendingMax: number
}

export interface StreamServerOptions {
  /** Checks a bearer token for a key. A rejection counts as `unavailable`. */
  readonly authenticate: (token: string, key: ProxyKey) => Promise<Authentication>
  /** Whether there is such a RedisProxy; 404 if not. Default: any key may wait for its configuration. */
  readonly isKnown?: (key: ProxyKey) => boolean
  /** Whether this process serves at present (leadership); 503 if not. Default: always. */
  readonly isServing?: () => boolean
  readonly limits?: Partial<StreamLimits>
}

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Absent: plain HTTP, for loopback only. */
  readonly tls?: SecureContextOptions
}

export interface Listening {
  readonly port: number
  /** Certificate for connections from now on; open streams stay. @throws if the server speaks plain HTTP */
  replaceTls(tls: SecureContextOptions): void
}

export interface StreamServer {
  readonly publisher: ConfigPublisher
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
  /** @throws SystemError RM_LISTEN_FAILED */
  listen(options: ListenOptions): Promise<Listening>
  /** Cuts every stream, e.g. when leadership is lost; sidecars connect again where they are served. */
  disconnectAll(reason: string): void
  stop(): Promise<void>
}

const tickMs = 500
const nameForm = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

export function createStreamServer(
  options: StreamServerOptions,
  modules: { readonly log: Log; readonly clock: Clock },
): StreamServer {
  const limits: StreamLimits = {
    pingMs: streamPingMs,
    silenceMaxMs: streamSilenceMaxMs,
    backlogBytesMax: streamBacklogBytesMax,
    clientsMax: streamClientsMax,
    pendingMax: streamPendingMax,
    ...options.limits,
  }
  const { log, clock } = modules
  const hub = new StreamHub(modules, () => options.isServing?.() !== false)
  const servers = new Set<Server>()
  let pendingCount = 0
  const ticker = setInterval(() => hub.tick(), Math.min(tickMs, limits.pingMs))
  ticker.unref()

  async function admit(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = readRequest(request)
    if (asked.kind === 'refuse') return refuse(response, asked.status, asked.message)
    if (options.isServing?.() === false) {
      return refuse(response, 503, 'this replica of the control plane is not the active one')
    }
    if (hub.sessionCount >= limits.clientsMax || pendingCount >= limits.pendingMax) {
      return refuse(response, 503, 'too many sidecars at once; try again')
    }
    pendingCount += 1
    let answer: Authentication
    try {
      answer = await options.authenticate(asked.token, asked.key)
    } catch (err) {
      log.warn({ err, proxy: asked.key }, 'sidecar token could not be checked')
      answer = { ok: false, reason: 'unavailable' }
    } finally {
      pendingCount -= 1
    }
    if (response.destroyed || request.destroyed) return
    if (!answer.ok) {
      const message = answer.message ?? refusals[answer.reason].message
      return refuse(response, refusals[answer.reason].status, message)
    }
    if (options.isKnown?.(asked.key) === false) {
      return refuse(response, 404, `there is no RedisProxy ${asked.key}`)
    }
    const session = new StreamSession(
      { key: asked.key, limits, nowMs: clock.monotonicMs(), wallMs: clock.wallMs() },
      { request, response },
      hub.events(),
    )
    hub.admit(session)
    session.open(answer.sidecarId, () => clock.monotonicMs())
  }

  function handler(request: IncomingMessage, response: ServerResponse): void {
    request.on('error', () => {})
    response.on('error', () => {})
    admit(request, response).catch((err: unknown) => {
      log.error({ err }, 'stream request failed')
      response.destroy()
    })
  }

  return {
    publisher: hub,
    handler,
    disconnectAll: (reason) => hub.closeAll(reason),
    async listen(listenOptions) {
      const { server, listening } = await listen(handler, listenOptions, limits)
      servers.add(server)
      return listening
    },
    async stop() {
      clearInterval(ticker)
      hub.closeAll('the control plane is stopping')
      await Promise.all([...servers].map(closeServer))
    },
  }
}

const refusals = {
  unauthenticated: { status: 401, message: 'the token is not valid' },
  forbidden: { status: 403, message: 'the token is not for this RedisProxy' },
  unavailable: { status: 503, message: 'the token cannot be checked at present' },
} as const

type Asked =
  | { readonly kind: 'ok'; readonly key: ProxyKey; readonly token: string }
  | { readonly kind: 'refuse'; readonly status: number; readonly message: string }

function readRequest(request: IncomingMessage): Asked {
  const url = URL.parse(request.url ?? '/', 'http://stream')
  if (url === null || url.pathname !== streamPath) {
    return { kind: 'refuse', status: 404, message: `only ${streamPath} is served here` }
  }
  if (request.method !== 'POST') {
    return { kind: 'refuse', status: 405, message: `${streamPath} is a POST` }
  }
  const namespace = url.searchParams.get('namespace') ?? ''
  const name = url.searchParams.get('name') ?? ''
  if (!nameForm.test(namespace) || !nameForm.test(name)) {
    return { kind: 'refuse', status: 400, message: 'namespace and name must name a RedisProxy' }
  }
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) {
    return { kind: 'refuse', status: 401, message: 'a bearer token is required' }
  }
  return { kind: 'ok', key: `${namespace}/${name}`, token }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify({ error: { code: 'RM_STREAM_REFUSED', message } })
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 405 && { allow: 'POST' }),
    ...(status === 503 && { 'retry-after': '1' }),
  })
  response.end(body)
}

async function listen(
  handler: StreamServer['handler'],
  options: ListenOptions,
  limits: StreamLimits,
): Promise<{ readonly server: Server; readonly listening: Listening }> {
  // requestTimeout counts until the body has ended, which here it does when the sidecar leaves.
  const settings = { requestTimeout: 0, headersTimeout: streamHeadTimeoutMs, noDelay: true }
  const secure =
    options.tls === undefined
      ? undefined
      : createHttpsServer({ ...settings, minVersion: 'TLSv1.2', ...options.tls }, handler)
  const server = secure ?? createHttpServer(settings, handler)
  server.maxConnections = limits.clientsMax + limits.pendingMax
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${options.host}:${options.port}`
      reject(new SystemError('RM_LISTEN_FAILED', `the stream cannot listen on ${where}`, { cause }))
    })
    server.listen(options.port, options.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    server,
    listening: {
      port,
      replaceTls(tls) {
        if (secure === undefined) throw new Error('a plain HTTP server has no certificate')
        secure.setSecureContext(tls)
      },
    },
  }
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  await closed
}
