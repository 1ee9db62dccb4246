/**
 * The admin port: health for kubelet, metrics, status, pause. Plain HTTP; everybody who reaches it may read,
 * only processes of the same machine or pod may change something (`guard.ts`). Everything is bounded.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SystemError, codeOf } from '../../common/errors.ts'
import { http } from '../../common/http.ts'
import {
  adminBodyBytesMax,
  adminConnectionsMax,
  adminRequestTimeoutMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { HostPort } from '../config/index.ts'
import { refusalOf } from './guard.ts'
import type { Health } from './health.ts'
import { statusPage } from './page.ts'
import type { Status } from './status.ts'
import type { TopologyAnswer } from './topology.ts'

/** What the port shows and sets off. */
export interface AdminSource {
  ready(): Health
  started(): Health
  status(): Status
  /** The configuration in force; it holds references to secrets, never secrets. */
  config(): unknown
  /** Undefined while no configuration is in force. */
  topology(): TopologyAnswer | undefined
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
  pause(): Promise<void>
  resume(): void
  /** Reads the configuration again, where it comes from a file. Gives all reasons why it is not in force. */
  reload(): Promise<readonly string[]>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

type Route = (source: AdminSource) => Answer | Promise<Answer>

const json = (value: unknown, status = 200): Answer => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(value, undefined, 2)}\n`,
})
const text = (body: string, status = 200): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
})
const health = ({ isOk, reason }: Health): Answer => text(reason, isOk ? 200 : 503)

const reads: Readonly<Record<string, Route>> = {
  '/': (source) => ({
    status: 200,
    type: 'text/html; charset=utf-8',
    body: statusPage(source.status(), source.topology()),
  }),
  '/livez': () => text('ok'),
  '/readyz': (source) => health(source.ready()),
  '/startz': (source) => health(source.started()),
  '/status': (source) => json(source.status()),
  '/topology': (source) => {
    const topology = source.topology()
    return topology === undefined ? text('no configuration is in force', 404) : json(topology)
  },
  '/config': (source) => {
    const config = source.config()
    return config === undefined ? text('no configuration is in force', 404) : json(config)
  },
  '/metrics': async (source) => {
    const { contentType, text: body } = await source.metrics()
    return { status: 200, type: contentType, body }
  },
}

const commands: Readonly<Record<string, (source: AdminSource) => Promise<void>>> = {
  pause: (source) => source.pause(),
  unpause: async (source) => source.resume(),
  reload: async (source) => {
    const reasons = await source.reload()
    if (reasons.length > 0) throw new Error(`nothing was changed: ${reasons.join('; ')}`)
  },
}

export class AdminServer {
  private readonly source: AdminSource
  private readonly log: Log
  private readonly server: Server
  private bound: HostPort | undefined

  constructor(source: AdminSource, modules: { readonly log: Log }) {
    this.source = source
    this.log = modules.log
    this.server = http.createServer(
      {
        headersTimeout: adminRequestTimeoutMs,
        requestTimeout: adminRequestTimeoutMs,
        keepAliveTimeout: adminRequestTimeoutMs,
        connectionsCheckingInterval: 1000,
        maxHeaderSize: 8192,
      },
      (request, response) => this.take(request, response),
    )
    this.server.maxConnections = adminConnectionsMax
  }

  /** `host:port` as bound. */
  get address(): string | undefined {
    return this.bound && formatHostPort(this.bound)
  }

  /** @throws SystemError RM_LISTEN_FAILED */
  async start(address: HostPort): Promise<void> {
    const { server } = this
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const where = formatHostPort(address)
        reject(
          new SystemError('RM_LISTEN_FAILED', `the admin port cannot listen on ${where}`, {
            cause,
            data: { address: where },
          }),
        )
      })
      server.listen(address.port, address.host, resolve)
    })
    this.bound = { host: address.host, port: (server.address() as AddressInfo).port }
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    request.on('error', () => {})
    response.on('error', () => {})
    this.answer(request)
      .catch((err: unknown) => {
        this.log.error({ err }, 'admin request failed')
        return text('internal error; see the log', 500)
      })
      .then((answer) => send(request, response, answer))
      .catch(() => response.destroy())
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const read = Object.hasOwn(reads, path) ? reads[path] : undefined
    if (read !== undefined) {
      if (request.method === 'GET' || request.method === 'HEAD') return read(this.source)
      return text(`${path} is read with GET`, 405)
    }
    const command = path.slice(1)
    const isForm = path === '/cmd/' || path === '/cmd'
    if (!isForm && !Object.hasOwn(commands, command)) return text('there is nothing here', 404)
    if (request.method !== 'POST') return text(`${path} is a POST`, 405)
    const refusal = refusalOf(request)
    if (refusal !== undefined) return json({ ok: false, error: refusal }, 403)
    const body = await readBody(request)
    if (body === undefined) return json({ ok: false, error: 'the body is too large' }, 413)
    return this.run(isForm ? (new URLSearchParams(body).get('cmd') ?? '') : command)
  }

  private async run(name: string): Promise<Answer> {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined) {
      const known = Object.keys(commands).join(', ')
      return json({ ok: false, error: `"${name}" is not a command; known are ${known}` }, 400)
    }
    try {
      await command(this.source)
      this.log.info({ command: name }, 'command of the admin port done')
      return json({ ok: true })
    } catch (err) {
      this.log.warn({ err, command: name }, 'command of the admin port failed')
      const error = err instanceof Error ? err.message : String(err)
      return json({ ok: false, error, ...(codeOf(err) && { code: codeOf(err) }) }, 500)
    }
  }
}

/** The body as text, or undefined if it is larger than allowed. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  // Not destroyed on an early end, since the answer goes over the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > adminBodyBytesMax) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  // A body that nobody read is not waited for.
  const isUnread = !request.complete
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    'x-content-type-options': 'nosniff',
    ...(isUnread && { connection: 'close' }),
  })
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}
