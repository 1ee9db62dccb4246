/** What a configuration says of servers and of the way to them. */
import type { Limits, ProxyConfig, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import { ProxyError, UpstreamError } from '../../common/errors.ts'
import { pinnedConnectionsMax } from '../../common/limits.ts'
import type { Target } from './connect.ts'

/** How much one server is used. */
export interface ServerSettings {
  readonly lanesMax: number
  readonly pinnedMax: number
  readonly limits: Limits
}

export function settingsOf({ upstream, limits }: ProxyConfig): ServerSettings {
  const isPerClient = upstream.isolation === 'perClient'
  const pinnedMax = isPerClient ? limits.clientsMax : pinnedConnectionsMax
  return { lanesMax: upstream.connectionsMax, pinnedMax, limits }
}

/** The way to `server`; undefined without one. */
export function targetOf(
  config: ProxyConfig,
  server: UpstreamPrimary | undefined,
  role: Target['role'] = 'primary',
): Target | undefined {
  const { credentials, tls, writes } = config.upstream
  if (server === undefined) return undefined
  return {
    server,
    role,
    ...(writes && role !== 'replica' && role !== 'reader' && { confirmsWrites: true }),
    ...(credentials && { credentials }),
    ...(tls && { tls }),
    connectTimeoutMs: config.timing.connectTimeoutMs,
  }
}

export function isSameTarget(left: Target | undefined, right: Target | undefined): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}

export function givenUp(): UpstreamError {
  return new UpstreamError('RM_NO_PRIMARY', 'no primary can be used', { retryable: true })
}

/** Whether a server could not be used because it is a replica. */
export function isReplica(error: unknown): boolean {
  return error instanceof ProxyError && error.data.isReplica === true
}

/** Whether a server could not be connected because it runs a script and admits nobody. */
export function isBusy(error: unknown): boolean {
  return error instanceof ProxyError && error.data.isBusy === true
}
