/** A small control plane that speaks the stream’s protocol, for tests of the sidecar’s side of it. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { type ServerOptions, createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import {
  LineDecoder,
  type SidecarMessage,
  encodeLine,
  sidecarMessageKinds,
} from '../../../common/contract/stream.ts'
import { until } from '../../support/servers.ts'

export type Ack = Extract<SidecarMessage, { kind: 'ack' }>

export interface Exchange {
  readonly url: string
  readonly token: string
  readonly messages: SidecarMessage[]
  readonly response: ServerResponse
  isOpen: boolean
}

export class ControlPlane {
  readonly exchanges: Exchange[] = []
  /** Sent to every sidecar when it connects. */
  config: ProxyConfig | undefined
  /** Answered instead of 200. */
  refusal: number | undefined
  /** Called when something was said by a sidecar. */
  onMessage = (): void => {}
  /** Whether it pings, as a control plane must. */
  isPinging = true
  private server: Server | undefined
  private readonly tls: ServerOptions | undefined
  private readonly ticker: NodeJS.Timeout
  port = 0

  constructor(tls?: ServerOptions) {
    this.tls = tls
    this.ticker = setInterval(() => {
      if (this.isPinging) this.send({ kind: 'ping' })
    }, 500)
  }

  get url(): string {
    return `${this.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`
  }

  /** Listens, after `stop` at the same port again. */
  async start(): Promise<void> {
    const take = (request: IncomingMessage, response: ServerResponse) =>
      this.take(request, response)
    const options = { requestTimeout: 0 }
    const server =
      this.tls === undefined
        ? createServer(options, take)
        : createTlsServer({ ...options, ...this.tls }, take)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, '127.0.0.1', resolve)
    })
    this.port = (server.address() as AddressInfo).port
    this.server = server
  }

  async stop(): Promise<void> {
    const { server } = this
    this.server = undefined
    if (server === undefined) return
    await new Promise((resolve) => {
      server.close(resolve)
      server.closeAllConnections()
    })
  }

  async end(): Promise<void> {
    clearInterval(this.ticker)
    await this.stop()
  }

  publish(config: ProxyConfig): void {
    this.config = config
    this.send({ kind: 'config', config })
  }

  send(message: Parameters<typeof encodeLine>[0]): void {
    for (const { response, isOpen } of this.exchanges) {
      if (isOpen) response.write(encodeLine(message))
    }
  }

  get messages(): readonly SidecarMessage[] {
    return this.exchanges.flatMap(({ messages }) => messages)
  }

  /** Waits for the acknowledgement of this version; of a refusal too. */
  async acked(version: number): Promise<Ack> {
    const find = () =>
      this.messages.findLast(
        (message): message is Ack => message.kind === 'ack' && message.version === version,
      )
    await until(`version ${version} is acknowledged`, () => find() !== undefined)
    return find() as Ack
  }

  /** Waits for an acknowledgement of this version that is no refusal. */
  async accepted(version: number): Promise<void> {
    await until(`version ${version} is acknowledged without an error`, () =>
      this.messages.some(
        (message) =>
          message.kind === 'ack' && message.version === version && message.error === undefined,
      ),
    )
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    if (this.refusal !== undefined) {
      response.writeHead(this.refusal, { connection: 'close' })
      response.end(JSON.stringify({ error: { message: 'not today' } }))
      return
    }
    const exchange: Exchange = {
      url: request.url ?? '',
      token: request.headers.authorization ?? '',
      messages: [],
      response,
      isOpen: true,
    }
    this.exchanges.push(exchange)
    const decoder = new LineDecoder<SidecarMessage>(sidecarMessageKinds)
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      exchange.messages.push(...decoder.push(chunk))
      this.onMessage()
    })
    for (const emitter of [request, response]) emitter.on('error', () => {})
    response.on('close', () => {
      exchange.isOpen = false
    })
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.flushHeaders()
    if (this.config !== undefined) {
      response.write(encodeLine({ kind: 'config', config: this.config }))
    }
  }
}
