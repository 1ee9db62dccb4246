/** The operator's plain HTTP port: `/healthz`, `/readyz`, `/metrics`. Reads only. */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SystemError } from '../common/errors.ts'
import { adminConnectionsMax, adminRequestTimeoutMs } from '../common/limits.ts'
import type { Stoppable } from '../common/lifecycle.ts'
import type { Log } from '../common/log.ts'

export interface HealthSource {
  /** Empty: well. Else why not. */
  readonly ready: () => string
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

export interface HealthServer extends Stoppable {
  readonly port: number
}

/** @throws SystemError RM_LISTEN_FAILED */
export async function startHealthServer(
  address: { readonly host: string; readonly port: number },
  source: HealthSource,
  log: Log,
): Promise<HealthServer> {
  const server = createServer(
    { headersTimeout: adminRequestTimeoutMs, requestTimeout: adminRequestTimeoutMs },
    (request, response) => {
      answer(request, response, source).catch((err: unknown) => {
        log.error({ err, path: request.url }, 'a request of the health port failed')
        response.destroy()
      })
    },
  )
  server.maxConnections = adminConnectionsMax
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${address.host}:${address.port}`
      const message = `the health port cannot listen on ${where}`
      reject(new SystemError('RM_LISTEN_FAILED', message, { cause }))
    })
    server.listen(address.port, address.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  source: HealthSource,
): Promise<void> {
  response.on('error', () => {})
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  const path = isRead ? (request.url?.split('?')[0] ?? '') : ''
  switch (path) {
    case '/healthz':
      // The event loop turns; whatever else is wrong, a restart would not mend it.
      return send(response, 200, 'ok\n')
    case '/readyz': {
      const why = source.ready()
      return send(response, why === '' ? 200 : 503, `${why === '' ? 'ok' : why}\n`)
    }
    case '/metrics': {
      const { contentType, text } = await source.metrics()
      return send(response, 200, text, contentType)
    }
    default:
      return send(response, isRead ? 404 : 405, '/healthz /readyz /metrics\n')
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
