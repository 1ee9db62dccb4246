/** The HTTP side of the injector: bounded bodies, bounded numbers, JSON in and out. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ProxyError } from '../../common/errors.ts'
import { admissionBytesMax, admissionPendingMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { AdmissionRequest, AdmissionResponse } from './review.ts'

export const webhookPath = '/inject'

export interface WebhookModules {
  /** Never rejects. */
  readonly review: (request: AdmissionRequest) => Promise<AdmissionResponse>
  readonly log: Log
}

/**
 * Whatever is answered with an error status admits the pod unchanged, because the webhook's failure policy is
 * `Ignore`; that is for requests that cannot be read at all.
 */
export function createWebhook(
  modules: WebhookModules,
): (request: IncomingMessage, response: ServerResponse) => void {
  let pendingCount = 0

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.split('?')[0] !== webhookPath) return refuse(response, 404, 'not found')
    if (request.method !== 'POST') return refuse(response, 405, 'admission reviews are posted')
    if (Number(request.headers['content-length'] ?? 0) > admissionBytesMax) {
      return refuse(response, 413, 'the admission review is too large')
    }
    if (pendingCount >= admissionPendingMax) {
      return refuse(response, 503, 'too many admission reviews at once')
    }
    pendingCount += 1
    try {
      const body = await readBody(request)
      const reviewed = await modules.review(parseReview(body))
      send(response, 200, {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: reviewed,
      })
    } catch (err) {
      modules.log.warn({ err }, 'an admission review could not be answered')
      refuse(response, 400, err instanceof ProxyError ? err.message : 'the request was cut off')
    } finally {
      pendingCount -= 1
    }
  }

  return (request, response) => {
    response.on('error', () => {})
    answer(request, response).catch((err: unknown) => {
      modules.log.error({ err }, 'an admission review failed')
      response.destroy()
    })
  }
}

/** @throws ProxyError RM_WEBHOOK if the text is no AdmissionReview of admission.k8s.io/v1 */
export function parseReview(text: string): AdmissionRequest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ProxyError('RM_WEBHOOK', 'the admission review is not JSON', { cause })
  }
  const review = value as {
    apiVersion?: unknown
    kind?: unknown
    request?: AdmissionRequest
  } | null
  if (review?.apiVersion !== 'admission.k8s.io/v1' || review.kind !== 'AdmissionReview') {
    throw new ProxyError('RM_WEBHOOK', 'the body is no AdmissionReview of admission.k8s.io/v1')
  }
  if (typeof review.request?.uid !== 'string') {
    throw new ProxyError('RM_WEBHOOK', 'the admission review has no request with a uid')
  }
  return review.request
}

/** @throws ProxyError RM_WEBHOOK at `admissionBytesMax`, for those that do not say their length */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = chunk as Buffer
    size += bytes.length
    if (size > admissionBytesMax) {
      throw new ProxyError('RM_WEBHOOK', `the body is larger than ${admissionBytesMax} bytes`)
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function refuse(response: ServerResponse, status: number, message: string): void {
  send(response, status, { error: { code: 'RM_WEBHOOK', message } })
}

function send(response: ServerResponse, status: number, value: object): void {
  const body = JSON.stringify(value)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(body)
}
