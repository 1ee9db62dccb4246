/**
 * The admin port: health for kubelet, metrics, status, and the commands that pause, reload and the like. Who may do
 * what is in `access.ts`. Everything is bounded.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import type { AdminConfig } from '../../common/contract/proxy-config.ts'
import { codeOf } from '../../common/errors.ts'
import { adminBodyBytesMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import { type AccessModules, AdminAccess } from './access.ts'
import { type AdminActions, commands } from './commands.ts'
import type { Health } from './health.ts'
import { statusPage } from './page.ts'
import { AdminPort } from './port.ts'
import { UsageProblem } from './problem.ts'
import type { Status } from './status.ts'
import type { TopologyAnswer } from './topology.ts'

/** What the port shows and sets off. */
export interface AdminSource extends AdminActions {
  ready(): Health
  started(): Health
  status(): Status
  /** The configuration in force; it holds references to secrets, never secrets. */
  config(): unknown
  /** Undefined while no configuration is in force. */
  topology(): TopologyAnswer | undefined
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

type Route = (source: AdminSource) => Answer | Promise<Answer>

const json = (value: unknown): Answer => ({
  status: 200,
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

/** Open to everyone: kubelet and Prometheus have no login. */
const open: ReadonlySet<string> = new Set(['/livez', '/readyz', '/startz', '/metrics'])

export interface AdminModules extends AccessModules {
  readonly log: Log
}

export class AdminServer {
  private readonly source: AdminSource
  private readonly modules: AdminModules
  private readonly access: AdminAccess
  private port: AdminPort | undefined
  private place: Place | undefined
  private tail: Promise<void> = Promise.resolve()

  constructor(source: AdminSource, modules: AdminModules) {
    this.source = source
    this.modules = modules
    this.access = new AdminAccess(modules)
  }

  /** `host:port` as bound. */
  get address(): string | undefined {
    return this.port && formatHostPort(this.port.address)
  }

  /**
   * Goes over to `config`, or to no port; requests that have come are still answered.
   * @throws SystemError RM_LISTEN_FAILED, ConfigError RM_TLS_FILES, RM_SECRET_UNREADABLE
   */
  use(config: AdminConfig | undefined): Promise<void> {
    const used = this.tail.then(() => this.change(config))
    this.tail = used.catch(() => undefined)
    return used
  }

  async stop(): Promise<void> {
    await this.tail
    await this.port?.close()
  }

  private async change(config: AdminConfig | undefined): Promise<void> {
    const { port, place } = this
    const next = config && { host: config.host, port: config.port, tls: config.tls }
    if (config !== undefined) this.access.use(config)
    if (isDeepStrictEqual(next, place)) return
    this.place = undefined
    if (config === undefined) {
      this.port = undefined
      port?.retire()
      return
    }
    const opened = new AdminPort(config, this.modules.files, (request, response) =>
      this.take(request, response),
    )
    const isInTheWay = place?.host === config.host && place.port === config.port
    if (isInTheWay) port?.retire()
    await opened.open()
    this.port = opened
    this.place = next
    if (!isInTheWay) port?.retire()
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    request.on('error', () => {})
    response.on('error', () => {})
    this.answer(request)
      .catch((err: unknown) => {
        this.modules.log.error({ err }, 'admin request failed')
        return text('internal error; see the log', 500)
      })
      .then((answer) => send(request, response, answer))
      .catch(() => response.destroy())
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const read = Object.hasOwn(reads, path) ? reads[path] : undefined
    if (read !== undefined) {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        return text(`${path} is read with GET`, 405)
      }
      const refusal = open.has(path) ? undefined : this.access.refusal(request, false)
      return refusal === undefined ? read(this.source) : text(refusal.error, refusal.status)
    }
    const command = path.slice(1)
    const isForm = path === '/cmd/' || path === '/cmd'
    if (!isForm && !Object.hasOwn(commands, command)) return text('there is nothing here', 404)
    if (request.method !== 'POST') return text(`${path} is a POST`, 405)
    const refusal = this.access.refusal(request, true)
    if (refusal !== undefined) return failed(refusal.error, refusal.status)
    const body = await readBody(request)
    if (body === undefined) return failed('the body is too large', 413)
    const fields = new URLSearchParams(body)
    return this.run(isForm ? (fields.get('cmd') ?? '') : command, fields)
  }

  private async run(name: string, fields: URLSearchParams): Promise<Answer> {
    const { log } = this.modules
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined) {
      const known = Object.keys(commands).join(', ')
      return failed(`"${name}" is not a command; known are ${known}`, 400)
    }
    try {
      await command(this.source, fields)
      log.info({ command: name }, 'command of the admin port done')
      return result({ ok: true }, 200)
    } catch (err) {
      if (err instanceof UsageProblem) return failed(err.message, 400)
      log.warn({ err, command: name }, 'command of the admin port failed')
      const code = codeOf(err)
      const error = err instanceof Error ? err.message : String(err)
      return failed(code === undefined ? error : `${error} [${code}]`, 500)
    }
  }
}

interface Place {
  readonly host: string
  readonly port: number
  readonly tls: AdminConfig['tls']
}

/** What a command answers: these fields and no other. */
function result(value: { ok: true } | { ok: false; error: string }, status: number): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value) }
}

function failed(error: string, status: number): Answer {
  return result({ ok: false, error }, status)
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
    ...(answer.status === 401 && { 'www-authenticate': 'Basic realm="respmesh", charset="UTF-8"' }),
  })
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}
