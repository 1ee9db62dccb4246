/** Answers of the Kubernetes API that are no success, as coded errors. */
import { type ErrorCode, ProxyError } from '../../common/errors.ts'
import type { KubeStatus } from './objects.ts'

export class ApiError extends ProxyError {
  /** HTTP status; 0 if there was no answer. */
  readonly status: number
  /** `reason` of the API, e.g. `AlreadyExists`; empty if it gave none. */
  readonly reason: string
  readonly retryAfterMs: number | undefined

  constructor(options: {
    readonly code: ErrorCode
    readonly message: string
    readonly status: number
    readonly reason?: string
    readonly retryAfterMs?: number
    readonly isRetryable: boolean
    readonly cause?: unknown
  }) {
    const { status, reason = '' } = options
    super(options.code, options.message, {
      data: { status, ...(reason !== '' && { reason }) },
      retryable: options.isRetryable,
      ...(options.cause !== undefined && { cause: options.cause }),
    })
    this.status = status
    this.reason = reason
    this.retryAfterMs = options.retryAfterMs
  }
}

const retryableStatus = new Set([408, 429, 500, 502, 503, 504])

/**
 * The error for an answer. A 409 is RM_CONFLICT; 429 and failures of the server may be retried, other
 * refusals stay refused until someone changes something.
 */
export function answerError(
  what: string,
  answer: { readonly status: number; readonly body: string; readonly retryAfter?: string },
): ApiError {
  const status = parseStatus(answer.body)
  const said = status?.message ?? answer.body.slice(0, 200)
  const seconds = Number(answer.retryAfter ?? status?.details?.retryAfterSeconds)
  return new ApiError({
    code: answer.status === 409 ? 'RM_CONFLICT' : 'RM_API',
    message: `${what} was answered ${answer.status}: ${said}`,
    status: answer.status,
    ...(status?.reason !== undefined && { reason: status.reason }),
    ...(Number.isFinite(seconds) && seconds >= 0 && { retryAfterMs: seconds * 1000 }),
    isRetryable: retryableStatus.has(answer.status),
  })
}

/** The error for a request that got no answer. */
export function transportError(what: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ApiError({
    code: 'RM_API',
    message: `${what} got no answer: ${why}`,
    status: 0,
    isRetryable: true,
    cause,
  })
}

export function isApiStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status
}

function parseStatus(body: string): KubeStatus | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return undefined
    return 'kind' in value && value.kind === 'Status' ? (value as KubeStatus) : undefined
  } catch {
    // Proxies in between answer with text or HTML.
    return undefined
  }
}
