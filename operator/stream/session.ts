/**
 * One sidecar's open exchange: what it was sent, what it said last, and when it must be cut off.
 * Never waits: a sidecar that reads too slowly or says nothing is closed and starts anew.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  LineDecoder,
  type PrimaryView,
  type SidecarMessage,
  encodeLine,
  sidecarMessageKinds,
} from '../../common/contract/stream.ts'
import { StreamError, assertNever } from '../../common/errors.ts'
import { streamErrorLengthMax, streamIdLengthMax } from '../../common/limits.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { SidecarView } from '../controller/provider.ts'

/** The bounds of one session, milliseconds and bytes. */
export interface SessionLimits {
  readonly pingMs: number
  readonly silenceMaxMs: number
  readonly backlogBytesMax: number
}

export interface SessionEvents {
  /** The sidecar has said, or its token told, who it is. Comes once, before any `onChange`. */
  onIdentified(session: StreamSession): void
  onChange(session: StreamSession): void
  /** It told how it sees the primary; `isNews`: otherwise than before. */
  onReport(session: StreamSession, isNews: boolean): void
  /** It asks whether it may go on with the primary of an epoch. */
  onRenew(session: StreamSession, renewal: Renewal): void
  /** It is ready for a handover. */
  onReady(session: StreamSession): void
  onClose(session: StreamSession, reason: string): void
}

interface Acknowledged {
  readonly version: number
  readonly epoch: number
}

export type Renewal = Extract<SidecarMessage, { kind: 'renew' }>

interface Heard {
  /** By the clock of the control plane. */
  readonly heardAtMs: number
  readonly heardEpoch: number
}

const pingLine = encodeLine({ kind: 'ping' })

export class StreamSession {
  readonly key: ProxyKey
  private readonly request: IncomingMessage
  private readonly response: ServerResponse
  private readonly limits: SessionLimits
  private readonly events: SessionEvents
  private readonly decoder = new LineDecoder<SidecarMessage>(sidecarMessageKinds)
  private sidecarId: string | undefined
  private acked: Acknowledged | undefined
  private error: string | undefined
  /** Of the configuration that it is ready for or answered last. */
  private answeredVersion = 0
  private primary: PrimaryView = 'none'
  private heard: Heard | undefined
  private readonly connectedAtMs: number
  private heardAtMs: number
  private sentAtMs: number
  private isClosed = false

  constructor(
    options: { key: ProxyKey; limits: SessionLimits; nowMs: number; wallMs: number },
    exchange: { request: IncomingMessage; response: ServerResponse },
    events: SessionEvents,
  ) {
    this.key = options.key
    this.limits = options.limits
    this.connectedAtMs = options.wallMs
    this.heardAtMs = options.nowMs
    this.sentAtMs = options.nowMs
    this.request = exchange.request
    this.response = exchange.response
    this.events = events
  }

  /** Answers 200 and starts to listen. `id`: what the token proved; else the sidecar's own word counts. */
  open(id: string | undefined, nowMs: () => number): void {
    this.response.writeHead(200, {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
    })
    this.response.flushHeaders()
    this.request.setEncoding('utf8')
    this.request.on('data', (chunk: string) => this.receive(chunk, nowMs()))
    this.request.on('end', () => this.close('the sidecar ended the stream'))
    this.request.on('error', () => this.close('the connection failed'))
    this.response.on('error', () => this.close('the connection failed'))
    this.response.on('close', () => this.close('the connection closed'))
    if (id !== undefined) this.identify(id)
  }

  get id(): string | undefined {
    return this.sidecarId
  }

  /** Whether it need not be waited for: it is ready for that configuration, obeys it, or refuses it. */
  hasAnswered(version: number): boolean {
    return this.answeredVersion === version
  }

  view(): SidecarView {
    return {
      id: this.sidecarId ?? '',
      ...(this.acked && { acked: this.acked }),
      ...(this.error !== undefined && { error: this.error }),
      primary: this.primary,
      ...this.heard,
      connectedAtMs: this.connectedAtMs,
    }
  }

  /** Sends a line; a sidecar with too much unread is cut off instead. */
  send(line: string, nowMs: number): void {
    if (this.isClosed) return
    this.response.write(line)
    this.sentAtMs = nowMs
    if (this.response.writableLength > this.limits.backlogBytesMax) {
      this.close('the sidecar reads too slowly')
    }
  }

  /** Pings when there was nothing to send for a while; cuts off a silent sidecar. */
  tick(nowMs: number): void {
    if (nowMs - this.heardAtMs > this.limits.silenceMaxMs) {
      this.close('the sidecar has been silent too long')
    } else if (nowMs - this.sentAtMs >= this.limits.pingMs) {
      this.send(pingLine, nowMs)
    }
  }

  close(reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.response.destroy()
    this.events.onClose(this, reason)
  }

  private receive(chunk: string, nowMs: number): void {
    if (this.isClosed) return
    this.heardAtMs = nowMs
    try {
      for (const message of this.decoder.push(chunk)) this.take(message, nowMs)
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      this.close(error.message)
    }
  }

  private take(message: SidecarMessage, nowMs: number): void {
    if (message.kind === 'hello') {
      const id: unknown = message.sidecar?.id
      if (typeof id !== 'string' || id === '' || id.length > streamIdLengthMax) {
        throw malformed('a hello without a usable id')
      }
      if (this.sidecarId === undefined) this.identify(id)
      return
    }
    if (message.kind === 'ping') return
    if (this.sidecarId === undefined) throw malformed('a message before the hello')
    switch (message.kind) {
      case 'renew':
        if (![message.seq, message.epoch, message.ttlMs].every(Number.isSafeInteger)) {
          throw malformed('a renewal without numbers')
        }
        return this.events.onRenew(this, message)
      case 'ready':
        requireNumbers(message)
        this.answeredVersion = message.version
        return this.events.onReady(this)
      case 'ack':
        requireNumbers(message)
        this.answeredVersion = message.version
        this.error =
          typeof message.error === 'string'
            ? message.error.slice(0, streamErrorLengthMax)
            : undefined
        if (this.error === undefined) {
          this.acked = { version: message.version, epoch: message.epoch }
        }
        return this.events.onChange(this)
      case 'report':
        return this.noteReport(message, nowMs)
      default:
        assertNever(message)
    }
  }

  private noteReport(report: Extract<SidecarMessage, { kind: 'report' }>, nowMs: number): void {
    const { primary, epoch, heardMsAgo } = report
    if (!['ok', 'failing', 'none'].includes(primary) || !Number.isSafeInteger(epoch)) {
      throw malformed('a report that does not say how the primary is')
    }
    const wasStale = this.heard?.heardEpoch !== epoch
    if (typeof heardMsAgo === 'number' && heardMsAgo >= 0) {
      this.heard = { heardAtMs: nowMs - heardMsAgo, heardEpoch: epoch }
    } else if (wasStale) this.heard = undefined
    const isNews = primary !== this.primary || wasStale
    this.primary = primary
    this.events.onReport(this, isNews)
  }

  private identify(id: string): void {
    this.sidecarId = id
    this.events.onIdentified(this)
  }
}

function requireNumbers({ version, epoch }: Acknowledged): void {
  if (Number.isSafeInteger(version) && Number.isSafeInteger(epoch)) return
  throw malformed('an answer without version and epoch')
}

function malformed(what: string): StreamError {
  return new StreamError('RM_STREAM_LINE', `the sidecar sent ${what}`)
}
