/** The socket of the admin port, plain or with TLS, bounded. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AdminConfig } from '../../common/contract/proxy-config.ts'
import { SystemError } from '../../common/errors.ts'
import { http, loadHttps } from '../../common/http.ts'
import { adminConnectionsMax, adminRequestTimeoutMs } from '../../common/limits.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { FileValue, FileWatch } from '../../common/secret-files.ts'
import { type TlsMaterial, readTlsMaterial, tlsFileNames } from '../net/tls-context.ts'

const options = {
  headersTimeout: adminRequestTimeoutMs,
  requestTimeout: adminRequestTimeoutMs,
  keepAliveTimeout: adminRequestTimeoutMs,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 8192,
}

export class AdminPort {
  private readonly config: AdminConfig
  private readonly server: Server
  private readonly material: FileValue<TlsMaterial> | undefined

  /** @throws ConfigError RM_TLS_FILES */
  constructor(
    config: AdminConfig,
    files: FileWatch,
    take: (request: IncomingMessage, response: ServerResponse) => void,
  ) {
    this.config = config
    const { tls } = config
    if (tls === undefined) this.server = http.createServer(options, take)
    else {
      const { certFile, keyFile, clientCaFile: caFile } = tls
      const paths = { certFile, keyFile, caFile }
      this.material = files.value({
        what: 'certificate of the admin port',
        files: tlsFileNames(paths),
        read: () => readTlsMaterial(paths),
        onChange: (material) => server.setSecureContext(material),
      })
      // Kubelet has no certificate, and health is open to everyone: what needs one looks for it.
      const isAsked = caFile !== undefined
      const server = loadHttps().createServer(
        { ...options, ...this.material.current(), requestCert: isAsked, rejectUnauthorized: false },
        take,
      )
      this.server = server
    }
    this.server.maxConnections = adminConnectionsMax
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.config.host, port: (this.server.address() as AddressInfo).port }
  }

  /** @throws SystemError RM_LISTEN_FAILED */
  async open(): Promise<void> {
    const { server, config } = this
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const where = formatHostPort(config)
        reject(
          new SystemError('RM_LISTEN_FAILED', `the admin port cannot listen on ${where}`, {
            cause,
            data: { address: where },
          }),
        )
      })
      server.listen(config.port, config.host, resolve)
    })
  }

  /** Takes no more; requests that have come are answered. */
  retire(): void {
    this.material?.close()
    this.server.close()
    this.server.closeIdleConnections()
  }

  async close(): Promise<void> {
    this.material?.close()
    if (!this.server.listening) return
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
  }
}
