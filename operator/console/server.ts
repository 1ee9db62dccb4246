/**
 * The status page's HTTP server: loopback only. A page of another origin can neither read (the Host must be
 * ours, so that a rebound name is refused) nor act (a token that it cannot read, and no Origin but ours).
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SystemError } from '../../common/errors.ts'
import { consoleBodyBytesMax, consoleClientsMax, consoleRefreshMs } from '../../common/limits.ts'
import { checkOperationSpec } from '../api/manifest.ts'
import { renderPage } from './page.ts'
import type { ConsoleSource } from './state.ts'

const operationsPath = '/v1/operations'

export interface Console {
  readonly url: string
  stop(): Promise<void>
}

/** @throws SystemError RM_LISTEN_FAILED */
export async function startConsole(port: number, source: ConsoleSource): Promise<Console> {
  const token = randomBytes(24).toString('base64url')
  const feed = new Feed(source)
  const server = createServer((request, response) => {
    request.on('error', () => {})
    response.on('error', () => {})
    route({ request, response, token, source, feed }).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `the status page cannot listen on 127.0.0.1:${port}`
      reject(new SystemError('RM_LISTEN_FAILED', message, { cause }))
    })
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${taken}`,
    async stop() {
      feed.stop()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Sends the state to everyone who watches, at most every `consoleRefreshMs`. */
class Feed {
  private readonly source: ConsoleSource
  private readonly watchers = new Set<ServerResponse>()
  private readonly unsubscribe: () => void
  private timer: NodeJS.Timeout | undefined

  constructor(source: ConsoleSource) {
    this.source = source
    this.unsubscribe = source.onChange(() => this.changed())
  }

  /** @returns false if too many watch already */
  add(response: ServerResponse): boolean {
    if (this.watchers.size >= consoleClientsMax) return false
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      ...commonHeaders,
    })
    response.write(this.message())
    this.watchers.add(response)
    response.once('close', () => this.watchers.delete(response))
    return true
  }

  stop(): void {
    this.unsubscribe()
    clearTimeout(this.timer)
    for (const response of this.watchers) response.destroy()
  }

  private changed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      const message = this.message()
      for (const response of this.watchers) {
        // One that does not read gets the next state, not a queue of old ones.
        if (!response.writableNeedDrain) response.write(message)
      }
    }, consoleRefreshMs)
  }

  private message(): string {
    return `data: ${JSON.stringify(this.source.state())}\n\n`
  }
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly token: string
  readonly source: ConsoleSource
  readonly feed: Feed
}

async function route(exchange: Exchange): Promise<void> {
  const { request, response, source, feed } = exchange
  if (!isOwnHost(request)) return reply(response, 421, { error: 'not a name of this page' })
  const path = request.url?.split('?')[0] ?? '/'
  if (request.method === 'POST') return act(exchange, path)
  if (request.method !== 'GET') return reply(response, 405, { error: 'GET or POST' })
  switch (path) {
    case '/':
      return page(exchange)
    case '/api/status':
      return reply(response, 200, source.state())
    case '/api/events':
      if (!feed.add(response)) reply(response, 503, { error: 'too many pages are open' })
      return
    case '/api/token':
      // For programs of this machine: pages of other origins cannot read it.
      return reply(response, 200, { token: exchange.token })
    default:
      return tellOperation(exchange, path)
  }
}

function tellOperation({ response, source }: Exchange, path: string): void {
  const name = path.startsWith(operationsPath) ? path.slice(operationsPath.length + 1) : ''
  const operation = name === '' ? undefined : source.operation(name)
  if (operation !== undefined) return reply(response, 200, operation)
  return reply(response, 404, { error: 'there is no such page' })
}

function page({ response, token }: Exchange): void {
  const nonce = randomBytes(16).toString('base64')
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
  response.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'cache-control': 'no-store',
    ...commonHeaders,
  })
  response.end(renderPage({ nonce, token }))
}

async function act(
  { request, response, token, source }: Exchange,
  path: string | undefined,
): Promise<void> {
  if (!isOwnOrigin(request) || !hasToken(request, token)) {
    return reply(response, 403, { error: 'only the page itself may do this' })
  }
  const body = await readBody(request)
  if (path === operationsPath) return askOperation({ response, source }, body)
  const address = textIn(body, 'address')
  if (address === undefined) return reply(response, 400, { error: 'name an address' })
  const isDone = await perform(source, path, address)
  if (isDone === undefined) return reply(response, 404, { error: 'there is no such action' })
  return isDone
    ? reply(response, 200, { done: true })
    : reply(response, 409, { error: `${address} is not one that we can do this to now` })
}

async function perform(
  source: ConsoleSource,
  path: string | undefined,
  address: string,
): Promise<boolean | undefined> {
  if (path === '/api/kill') return source.kill(address)
  if (path === '/api/start') return source.startAgain(address)
  return undefined
}

/** The body is the spec of a RedisProxyOperation; who leaves the proxy out means the one that runs here. */
function askOperation(
  { response, source }: Pick<Exchange, 'response' | 'source'>,
  body: object | undefined,
): void {
  if (body === undefined) return reply(response, 400, { error: 'send JSON' })
  const ours = source.state().name
  const proxy = ours.slice(ours.indexOf('/') + 1)
  const checked = checkOperationSpec({ proxy, ...body })
  if ('issues' in checked) {
    const error = checked.issues.map((issue) => `${issue.path} ${issue.message}`).join('; ')
    return reply(response, 400, { error })
  }
  const { spec } = checked
  if (spec.proxy !== proxy) {
    return reply(response, 404, { error: `there is no ${spec.proxy} here: ${proxy} runs` })
  }
  const { kind, to, accept } = spec
  const name = source.ask({ kind, accept, ...(to !== undefined && { to }) })
  return name === undefined
    ? reply(response, 503, { error: 'too many operations wait' })
    : reply(response, 202, { name })
}

/** Undefined: no JSON object, or too long. */
async function readBody(request: IncomingMessage): Promise<object | undefined> {
  let body = ''
  request.setEncoding('utf8')
  for await (const chunk of request as AsyncIterable<string>) {
    body += chunk
    if (body.length > consoleBodyBytesMax) return undefined
  }
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function textIn(body: object | undefined, name: string): string | undefined {
  const value: unknown = body === undefined ? undefined : Reflect.get(body, name)
  return typeof value === 'string' ? value : undefined
}

function isOwnHost({ headers, socket }: IncomingMessage): boolean {
  const port = socket.localPort
  return [`127.0.0.1:${port}`, `localhost:${port}`].includes(headers.host ?? '')
}

/** Browsers name the origin of every page that posts; programs name none. */
function isOwnOrigin({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined || headers.origin === `http://${headers.host ?? ''}`
}

function hasToken({ headers }: IncomingMessage, token: string): boolean {
  const given = headers['x-respmesh-token']
  if (typeof given !== 'string' || given.length !== token.length) return false
  return timingSafeEqual(Buffer.from(given), Buffer.from(token))
}

const commonHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
} as const

function reply(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    ...commonHeaders,
  })
  response.end(JSON.stringify(value))
}
