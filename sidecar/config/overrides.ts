/** What flags and variables say over a configuration that comes from a file or the control plane. */
import {
  type AdminConfig,
  type Credentials,
  type Limits,
  type Listener,
  type ProxyConfig,
  type Timing,
  type UpstreamConfig,
  type UpstreamTls,
  parseProxyConfig,
} from '../../common/contract/proxy-config.ts'
import { defaultRetries } from '../../common/limits.ts'
import type { LogLevel } from '../../common/log.ts'
import { hasPlace } from './admin.ts'
import type { BackendOverrides } from './backend.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface Overrides {
  readonly listeners?: readonly Listener[]
  readonly admin?: Partial<AdminConfig>
  readonly logLevel?: LogLevel
  readonly clientAuth?: ProxyConfig['clientAuth']
  readonly commands?: ProxyConfig['commands']
  readonly credentials?: Credentials
  readonly isolation?: NonNullable<UpstreamConfig['isolation']>
  /** Only where the configuration splits reads and does not say where the sidecar runs. */
  readonly zone?: string
  readonly connectionsMax?: number
  readonly backend?: BackendOverrides
  readonly workers?: number
  readonly timing?: Partial<Timing>
  readonly limits?: Partial<Limits>
  readonly upstream?: { readonly members: readonly HostPort[]; readonly tls?: UpstreamTls }
}

/** @throws ConfigError RM_CONFIG_INVALID if the result violates the contract */
export function applyOverrides(config: ProxyConfig, overrides: Overrides): ProxyConfig {
  if (Object.keys(overrides).length === 0) return config
  const { listeners, admin, logLevel, clientAuth, commands, workers } = overrides
  return parseProxyConfig(
    structuredClone({
      ...config,
      ...(listeners && { listeners }),
      ...(admin &&
        hasPlace({ ...config.admin, ...admin }) && { admin: { ...config.admin, ...admin } }),
      ...(logLevel && { logLevel }),
      ...(clientAuth && { clientAuth }),
      ...(commands && { commands }),
      ...(workers !== undefined && { workers }),
      timing: { ...config.timing, ...overrides.timing },
      limits: { ...config.limits, ...overrides.limits },
      upstream: overrideUpstream(config.upstream, overrides),
    }),
  )
}

function overrideUpstream(upstream: UpstreamConfig, overrides: Overrides): UpstreamConfig {
  const { credentials, isolation, zone, connectionsMax, backend = {} } = overrides
  const { mode: _mode, sentinel: _sentinel, retries, ...others } = backend
  const base = overrideServers({ ...upstream, ...(credentials && { credentials }) }, overrides)
  return {
    ...base,
    ...(isolation && { isolation }),
    ...(connectionsMax !== undefined && { connectionsMax }),
    ...others,
    ...(retries && { retries: { ...defaultRetries, ...base.retries, ...retries } }),
    ...readsWithZone(others.reads ?? base.reads, zone),
  }
}

/** What is said of the servers themselves is said as a whole. */
function overrideServers(base: UpstreamConfig, { upstream, backend }: Overrides): UpstreamConfig {
  if (upstream === undefined) return base
  const { members, tls } = upstream
  const { mode, sentinel } = backend ?? {}
  const { primary: _primary, tls: _tls, sentinel: _sentinel, ...rest } = base
  return {
    ...rest,
    mode: mode ?? (members.length > 1 ? 'replication' : 'standalone'),
    discovery: sentinel === undefined ? 'self' : 'sentinel',
    members: members.map((member) => ({ ...member, role: 'unknown' })),
    ...(sentinel && { sentinel }),
    ...(tls && { tls }),
  }
}

function readsWithZone(reads: UpstreamConfig['reads'], zone: string | undefined) {
  return reads && zone !== undefined ? { reads: { zone, ...reads } } : {}
}
