/**
 * JSON requests to the Kubernetes API: bounded in time and size, repeated with jitter where repeating is safe
 * (reads, server-side apply, and what the caller says is), errors coded.
 */
import type { IncomingMessage } from 'node:http'
import {
  apiAttemptsMax,
  apiResponseBytesMax,
  apiRetryMaxMs,
  apiRetryMinMs,
  apiTimeoutMs,
} from '../../common/limits.ts'
import { ApiError, answerError, transportError } from './api-error.ts'
import { backoffMs, pause } from './backoff.ts'
import type { Connection, Method } from './connection.ts'

/** Owner of every field that the operator applies. */
export const fieldManager = 'respmesh-operator'

export interface KubeRequest {
  readonly method: Method
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly contentType?: string
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** Attempts; default: `apiAttemptsMax` for reads and applies, 1 otherwise. */
  readonly attemptsMax?: number
}

export interface KubeClient {
  /** @throws ApiError RM_API, or RM_CONFLICT on 409 */
  request<T>(request: KubeRequest): Promise<T>
  /** Like `request`, with undefined for 404. */
  find<T>(request: KubeRequest): Promise<T | undefined>
  /** Server-side apply: makes the fields given here so, and ours. */
  apply<T>(path: string, object: object, options?: ApplyOptions): Promise<T>
  /** An answer whose body goes on, e.g. a watch. The timeout ends with the head of the answer. */
  open(request: KubeRequest): Promise<IncomingMessage>
}

export interface ApplyOptions {
  readonly fieldManager?: string
  readonly signal?: AbortSignal
}

export function createClient(
  connection: Connection,
  modules: { readonly random: () => number },
): KubeClient {
  const backoff = { minMs: apiRetryMinMs, maxMs: apiRetryMaxMs, random: modules.random }

  async function request<T>(options: KubeRequest): Promise<T> {
    const what = `${options.method} ${options.path}`
    const isRepeatable = options.method === 'GET' || options.contentType === applyType
    const attemptsMax = options.attemptsMax ?? (isRepeatable ? apiAttemptsMax : 1)
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await once(connection, options, what)) as T
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        // A token may have been rotated since it was read.
        if (error.status === 401) connection.refreshCredentials()
        const isWorth = error.retryable || error.status === 401
        const isLast = attempt + 1 >= attemptsMax || options.signal?.aborted === true
        if (!isWorth || isLast) throw error
        const askedMs = Math.min(error.retryAfterMs ?? 0, apiRetryMaxMs)
        await pause(Math.max(backoffMs(attempt, backoff), askedMs), options.signal)
      }
    }
  }

  return {
    request,
    async find<T>(options: KubeRequest) {
      try {
        return await request<T>(options)
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined
        throw error
      }
    },
    apply: (path, object, options) =>
      request({
        method: 'PATCH',
        path,
        query: { fieldManager: options?.fieldManager ?? fieldManager, force: 'true' },
        body: object,
        contentType: applyType,
        ...(options?.signal && { signal: options.signal }),
      }),
    open: (options) => openStream(connection, options),
  }
}

/** JSON is YAML. */
const applyType = 'application/apply-patch+yaml'

async function once(connection: Connection, options: KubeRequest, what: string): Promise<unknown> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? apiTimeoutMs)
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout
  let answer: { readonly status: number; readonly body: string; readonly retryAfter?: string }
  try {
    const incoming = await connection.open(rawRequest(options, signal))
    const retryAfter = incoming.headers['retry-after']
    answer = {
      status: incoming.statusCode ?? 0,
      body: await readBody(incoming, apiResponseBytesMax),
      ...(retryAfter !== undefined && { retryAfter }),
    }
  } catch (cause) {
    throw transportError(what, cause)
  }
  if (answer.status < 200 || answer.status > 299) throw answerError(what, answer)
  if (answer.body === '') return undefined
  try {
    return JSON.parse(answer.body)
  } catch (cause) {
    throw transportError(what, new Error('the answer is not JSON', { cause }))
  }
}

async function openStream(connection: Connection, options: KubeRequest): Promise<IncomingMessage> {
  const what = `${options.method} ${options.path}`
  const controller = new AbortController()
  const timer = setTimeout(
    () => controller.abort(new Error('no answer in time')),
    options.timeoutMs ?? apiTimeoutMs,
  )
  const signal = options.signal
    ? AbortSignal.any([controller.signal, options.signal])
    : controller.signal
  try {
    const incoming = await connection.open(rawRequest(options, signal)).catch((cause: unknown) => {
      throw transportError(what, cause)
    })
    const status = incoming.statusCode ?? 0
    if (status >= 200 && status <= 299) return incoming
    const body = await readBody(incoming, apiResponseBytesMax).catch(() => '')
    if (status === 401) connection.refreshCredentials()
    throw answerError(what, { status, body })
  } finally {
    clearTimeout(timer)
  }
}

function rawRequest(options: KubeRequest, signal: AbortSignal) {
  const query = new URLSearchParams(options.query).toString()
  return {
    method: options.method,
    path: query === '' ? options.path : `${options.path}?${query}`,
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.contentType !== undefined && { contentType: options.contentType }),
    signal,
  }
}

async function readBody(incoming: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    const bytes = chunk as Buffer
    size += bytes.length
    if (size > bytesMax) {
      incoming.destroy()
      throw new Error(`the answer is larger than ${bytesMax} bytes`)
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
