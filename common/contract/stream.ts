/**
 * The configuration stream between a control plane and its sidecars: JSON lines over one HTTP exchange.
 *
 * `POST /v1/stream?namespace=NS&name=NAME` with `Authorization: Bearer TOKEN`. The response body carries
 * `ServerMessage` lines, the request body (chunked, open as long as the response) carries `SidecarMessage`
 * lines. A side that has been silent for `streamSilenceMaxMs` is taken for gone.
 */
import { StreamError } from '../errors.ts'
import { streamLineBytesMax } from '../limits.ts'
import type { ProxyConfig } from './proxy-config.ts'

export const streamPath = '/v1/stream'
/** Audience that a projected service-account token must be bound to. */
export const streamTokenAudience = 'respmesh.io'

export type ServerMessage =
  | { readonly kind: 'config'; readonly config: ProxyConfig }
  | { readonly kind: 'ping' }
  /**
   * Answers `renew`: the primary of `epoch` may be used for `grantTtlMs` of the configuration, counted from when the
   * sidecar sent `seq`. Never sent for an epoch that was withdrawn.
   */
  | { readonly kind: 'grant'; readonly seq: number; readonly epoch: number }
  /** Everybody is ready for the handover of that configuration: it begins now, for all of them at once. */
  | { readonly kind: 'begin'; readonly version: number; readonly epoch: number }
  /** The primary of `epoch` may be down: send it nothing more for up to `forMs`; 0: it is well after all. */
  | { readonly kind: 'suspect'; readonly epoch: number; readonly forMs: number }

/** What a sidecar sees of its primary: evidence for the control plane, never an order. */
export type PrimaryView = 'ok' | 'failing' | 'none'

export type SidecarMessage =
  | { readonly kind: 'hello'; readonly sidecar: SidecarIdentity }
  | {
      readonly kind: 'ack'
      readonly version: number
      readonly epoch: number
      /** Set when the configuration was refused; the last good one is kept. */
      readonly error?: string
    }
  /**
   * The handover of that configuration is stored and prepared; clients go on until `begin`, or until
   * `handoverBeginMs` are over.
   */
  | { readonly kind: 'ready'; readonly version: number; readonly epoch: number }
  | {
      readonly kind: 'report'
      readonly primary: PrimaryView
      readonly epoch: number
      /** How long ago the primary last answered; absent: never, or nothing was asked. */
      readonly heardMsAgo?: number
    }
  /** Asks for a `grant`, which would be used for `ttlMs` from now: it is refused if the configuration allows for less. */
  | { readonly kind: 'renew'; readonly seq: number; readonly epoch: number; readonly ttlMs: number }
  | { readonly kind: 'ping' }

export interface SidecarIdentity {
  /** Unique per process, e.g. the pod's `namespace/name`. */
  readonly id: string
  readonly version: string
}

export function encodeLine(message: ServerMessage | SidecarMessage): string {
  return `${JSON.stringify(message)}\n`
}

/**
 * Collects chunks and yields whole lines' messages. The kind of each message is checked, its content is for
 * the receiver to validate (`parseProxyConfig`).
 */
export class LineDecoder<M extends { readonly kind: string }> {
  private rest = ''
  private readonly kinds: ReadonlySet<string>

  constructor(kinds: readonly M['kind'][]) {
    this.kinds = new Set(kinds)
  }

  /** @throws StreamError RM_STREAM_LINE when a line is over `streamLineBytesMax` or not a known message. */
  push(chunk: string): M[] {
    const lines = (this.rest + chunk).split('\n')
    this.rest = lines.pop() ?? ''
    if (this.rest.length > streamLineBytesMax) throw tooLong(this.rest.length)
    return lines.filter((line) => line !== '').map((line) => this.parse(line))
  }

  private parse(line: string): M {
    if (line.length > streamLineBytesMax) throw tooLong(line.length)
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (cause) {
      throw new StreamError('RM_STREAM_LINE', 'a line of the configuration stream is not JSON', {
        cause,
      })
    }
    const kind =
      typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
    if (typeof kind !== 'string' || !this.kinds.has(kind)) {
      throw new StreamError(
        'RM_STREAM_LINE',
        'a line of the configuration stream has an unknown kind',
        {
          data: { kind: String(kind) },
        },
      )
    }
    return value as M
  }
}

export const serverMessageKinds = ['config', 'ping', 'grant', 'begin', 'suspect'] as const
export const sidecarMessageKinds = ['hello', 'ack', 'ready', 'report', 'renew', 'ping'] as const

function tooLong(length: number): StreamError {
  return new StreamError(
    'RM_STREAM_LINE',
    `a line of the configuration stream has ${length} characters, more than ${streamLineBytesMax}`,
  )
}
