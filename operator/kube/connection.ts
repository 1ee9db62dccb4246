/**
 * Raw requests to the Kubernetes API with the addresses and credentials of a `KubeConfig`. No retry, no
 * parsing. Credentials are read anew every `apiCredentialsMs`, so rotated tokens, client certificates and
 * authorities of the cluster are followed without a restart.
 */
import { createHash } from 'node:crypto'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import type { Clock } from '../../common/clock.ts'
import { ConfigError } from '../../common/errors.ts'
import { apiCredentialsMs } from '../../common/limits.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface RawRequest {
  readonly method: Method
  /** Path and query, from the root of the server. */
  readonly path: string
  readonly body?: string
  readonly contentType?: string
  readonly signal: AbortSignal
}

export interface Connection {
  /** Resolves with the head of the answer; the body is the caller's to read or destroy. Rejects as Node does. */
  open(request: RawRequest): Promise<IncomingMessage>
  /** Reads the credentials anew for the next request: they were refused. */
  refreshCredentials(): void
  /** Namespace of the current context, if it names one. */
  readonly namespace: string | undefined
  close(): void
}

/**
 * KUBECONFIG, `~/.kube/config` or the service account of the pod, in this order.
 * @throws ConfigError RM_CONFIG_UNREADABLE if there is a file and it cannot be used
 */
export function loadKubeConfig(): KubeConfig {
  const config = new KubeConfig()
  try {
    config.loadFromDefault()
  } catch (cause) {
    throw new ConfigError('RM_CONFIG_UNREADABLE', 'the kubeconfig cannot be read', { cause })
  }
  if (config.getCurrentCluster() === null) {
    throw new ConfigError('RM_CONFIG_INVALID', 'the kubeconfig has no current cluster')
  }
  return config
}

/** @throws ConfigError RM_CONFIG_INVALID if the config names no cluster */
export function createConnection(config: KubeConfig, clock: Clock): Connection {
  const cluster = config.getCurrentCluster()
  if (cluster === null) {
    throw new ConfigError('RM_CONFIG_INVALID', 'the kubeconfig has no current cluster')
  }
  const server = new URL(cluster.server)
  const basePath = server.pathname.replace(/\/$/, '')
  const credentials = new Credentials(config, { clock, hasProxy: cluster.proxyUrl !== undefined })
  const requestBy = server.protocol === 'http:' ? http.request : https.request
  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    refreshCredentials: () => credentials.expire(),
    close: () => credentials.close(),
    async open(request) {
      const { agent, headers, auth } = await credentials.current()
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
      const outgoing = requestBy({
        protocol: server.protocol,
        hostname: server.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: server.port === '' ? undefined : server.port,
        path: `${basePath}${request.path}`,
        method: request.method,
        headers: {
          ...headers,
          accept: 'application/json',
          'user-agent': 'respmesh-operator',
          ...(request.body !== undefined && {
            'content-type': request.contentType ?? 'application/json',
            'content-length': Buffer.byteLength(request.body),
          }),
        },
        ...(auth !== undefined && { auth }),
        ...(agent && { agent }),
        signal: request.signal,
      })
      outgoing.on('error', reject)
      outgoing.on('response', resolve)
      outgoing.end(request.body)
      return promise
    },
  }
}

interface Applied {
  readonly agent: http.Agent | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly auth: string | undefined
}

class Credentials {
  private readonly config: KubeConfig
  private readonly clock: Clock
  private readonly hasProxy: boolean
  private agent: { readonly value: http.Agent; readonly digest: string } | undefined
  private known: { readonly applied: Applied; readonly atMs: number } | undefined

  constructor(config: KubeConfig, options: { clock: Clock; hasProxy: boolean }) {
    this.config = config
    this.clock = options.clock
    this.hasProxy = options.hasProxy
  }

  expire(): void {
    this.known = undefined
  }

  close(): void {
    this.agent?.value.destroy()
  }

  async current(): Promise<Applied> {
    const now = this.clock.monotonicMs()
    if (this.known !== undefined && now - this.known.atMs < apiCredentialsMs) {
      return this.known.applied
    }
    const options: https.RequestOptions = {}
    await this.config.applyToHTTPSOptions(options)
    const applied: Applied = {
      agent: this.agentFor(options),
      headers: plainHeaders(options.headers),
      auth: options.auth ?? undefined,
    }
    this.known = { applied, atMs: now }
    return applied
  }

  /** One agent as long as its certificates stay the same; the library's own only where there is a proxy. */
  private agentFor(options: https.RequestOptions): http.Agent | undefined {
    if (this.hasProxy || this.config.getCurrentCluster()?.server.startsWith('http:') === true) {
      return options.agent instanceof http.Agent ? options.agent : undefined
    }
    const { ca, cert, key, rejectUnauthorized, servername } = options
    const hash = createHash('sha256')
    for (const part of [ca, cert, key]) {
      hash.update(Buffer.isBuffer(part) || typeof part === 'string' ? part : '').update('\0')
    }
    const digest = hash.digest('hex')
    if (this.agent?.digest === digest) return this.agent.value
    // The former agent's connections end by themselves: watches are reopened, the rest were idle.
    const value = new https.Agent({
      keepAlive: true,
      keepAliveMsecs: 10_000,
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      ...(servername !== undefined && { servername }),
    })
    this.agent = { value, digest }
    return value
  }
}

function plainHeaders(headers: https.RequestOptions['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  )
}
