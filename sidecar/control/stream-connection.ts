/**
 * One exchange with the control plane (`common/contract/stream.ts`): opens it, sends and receives lines, and
 * ends with the reason. Nothing is kept from one exchange to the next.
 */
import { readFile } from 'node:fs/promises'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { RequestOptions } from 'node:https'
import type { Clock } from '../../common/clock.ts'
import {
  LineDecoder,
  type ServerMessage,
  type SidecarMessage,
  encodeLine,
  serverMessageKinds,
  streamPath,
} from '../../common/contract/stream.ts'
import { ConfigError, StreamError } from '../../common/errors.ts'
import { http, loadHttps } from '../../common/http.ts'
import { streamBacklogBytesMax, streamPingMs, streamSilenceMaxMs } from '../../common/limits.ts'
import type { StreamOptions } from '../config/index.ts'

export interface ConnectionEvents {
  /** The control plane took the exchange; lines may come. */
  onOpen(): void
  onMessage(message: ServerMessage): void
}

const refusalBytesMax = 2048
const silenceCheckMs = 500

export class StreamConnection {
  private readonly options: StreamOptions
  private readonly events: ConnectionEvents
  private readonly clock: Clock
  private readonly decoder = new LineDecoder<ServerMessage>(serverMessageKinds)
  private request: ClientRequest | undefined
  private finish: ((error: Error) => void) | undefined
  private heardAtMs: number
  private saidAtMs: number
  private isEnded = false

  constructor(
    options: StreamOptions,
    events: ConnectionEvents,
    modules: { readonly clock: Clock },
  ) {
    this.options = options
    this.events = events
    this.clock = modules.clock
    this.heardAtMs = modules.clock.monotonicMs()
    this.saidAtMs = this.heardAtMs
  }

  /**
   * Runs until the exchange ends, which it always does with an error.
   * @throws StreamError RM_STREAM_REFUSED, RM_STREAM_LOST or RM_STREAM_LINE
   * @throws ConfigError RM_SECRET_UNREADABLE when token or CA cannot be read
   */
  async run(hello: SidecarMessage): Promise<never> {
    const request = await this.opened()
    this.request = request
    const ended = new Promise<never>((_resolve, reject) => {
      this.finish = reject
    })
    const ticker = setInterval(() => this.tick(), silenceCheckMs)
    try {
      if (this.isEnded) this.end('the sidecar is stopping')
      request.on('error', (cause) => this.end('the connection failed', cause))
      request.on('close', () => this.end('the connection closed'))
      request.on('response', (response) => this.answered(response))
      request.flushHeaders()
      this.send(hello)
      return await ended
    } finally {
      clearInterval(ticker)
      request.destroy()
    }
  }

  send(message: SidecarMessage): void {
    const { request } = this
    if (request === undefined || this.isEnded) return
    request.write(encodeLine(message))
    this.saidAtMs = this.clock.monotonicMs()
    if (request.writableLength > streamBacklogBytesMax) this.end('the control plane does not read')
  }

  /** Ends the exchange; `run` then throws. */
  end(reason: string, cause?: unknown): void {
    this.fail(
      new StreamError('RM_STREAM_LOST', `the configuration stream ended: ${reason}`, {
        cause,
        retryable: true,
      }),
    )
  }

  private fail(error: Error): void {
    this.isEnded = true
    this.finish?.(error)
  }

  private async opened(): Promise<ClientRequest> {
    try {
      return await this.open()
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      // E.g. a CA file that holds no certificate.
      throw new StreamError('RM_STREAM_LOST', 'the configuration stream cannot be opened', {
        cause,
        retryable: true,
      })
    }
  }

  private async open(): Promise<ClientRequest> {
    const { url, proxy, tokenFile, caFile } = this.options
    const token = (await readNamed(tokenFile, 'token')).trim()
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new ConfigError('RM_SECRET_UNREADABLE', `the file ${tokenFile} does not hold a token`)
    }
    const query = new URLSearchParams({ namespace: proxy.namespace, name: proxy.name })
    const options: RequestOptions = {
      method: 'POST',
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port),
      path: `${streamPath}?${query.toString()}`,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/x-ndjson',
        'transfer-encoding': 'chunked',
      },
      agent: false,
    }
    if (url.protocol === 'http:') return http.request(options)
    const ca = caFile === undefined ? undefined : await readNamed(caFile, 'CA')
    return loadHttps().request({
      ...options,
      minVersion: 'TLSv1.2',
      ...(ca !== undefined && { ca }),
    })
  }

  private answered(response: IncomingMessage): void {
    this.heardAtMs = this.clock.monotonicMs()
    response.setEncoding('utf8')
    response.on('error', (cause) => this.end('the connection failed', cause))
    if (response.statusCode !== 200) return this.refused(response)
    response.on('data', (chunk: string) => this.receive(chunk))
    response.on('end', () => this.end('the control plane ended it'))
    this.events.onOpen()
  }

  private receive(chunk: string): void {
    this.heardAtMs = this.clock.monotonicMs()
    try {
      for (const message of this.decoder.push(chunk)) {
        if (!this.isEnded) this.events.onMessage(message)
      }
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      this.fail(error)
    }
  }

  private refused(response: IncomingMessage): void {
    let body = ''
    const tell = () => {
      this.fail(
        new StreamError(
          'RM_STREAM_REFUSED',
          `the control plane answered ${response.statusCode}: ${messageOf(body)}`,
          { retryable: true, data: { status: response.statusCode } },
        ),
      )
    }
    response.on('data', (chunk: string) => {
      body += chunk
      if (body.length > refusalBytesMax) tell()
    })
    response.on('end', tell)
  }

  private tick(): void {
    const now = this.clock.monotonicMs()
    if (now - this.heardAtMs > streamSilenceMaxMs) {
      this.end('the control plane has been silent too long')
    } else if (now - this.saidAtMs >= streamPingMs) {
      this.send({ kind: 'ping' })
    }
  }
}

function messageOf(body: string): string {
  try {
    const value = JSON.parse(body) as { error?: { message?: unknown } }
    if (typeof value.error?.message === 'string') return value.error.message
  } catch {
    // Not from respmesh; shown as it is.
  }
  return body.slice(0, 200)
}

async function readNamed(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new ConfigError(
      'RM_SECRET_UNREADABLE',
      `the ${what} file ${file} of the configuration stream cannot be read`,
      { cause, retryable: true },
    )
  }
}
