/** What flags and variables say over a configuration that comes from a file or the control plane. */
import {
  type Credentials,
  type Limits,
  type Listener,
  type ProxyConfig,
  type Timing,
  type UpstreamConfig,
  type UpstreamTls,
  parseProxyConfig,
} from '../../common/contract/proxy-config.ts'
import type { LogLevel } from '../../common/log.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface Overrides {
  readonly listeners?: readonly Listener[]
  readonly admin?: HostPort
  readonly logLevel?: LogLevel
  readonly clientAuth?: ProxyConfig['clientAuth']
  readonly commands?: ProxyConfig['commands']
  readonly credentials?: Credentials
  readonly isolation?: NonNullable<UpstreamConfig['isolation']>
  /** Only where the configuration splits reads and does not say where the sidecar runs. */
  readonly zone?: string
  readonly connectionsMax?: number
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
      ...(admin && { admin }),
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
  const { credentials, isolation, zone, connectionsMax } = overrides
  const base = {
    ...upstream,
    ...(credentials && { credentials }),
    ...(isolation && { isolation }),
    ...(zone !== undefined && upstream.reads && { reads: { zone, ...upstream.reads } }),
    ...(connectionsMax !== undefined && { connectionsMax }),
  }
  if (overrides.upstream === undefined) return base
  const { members, tls } = overrides.upstream
  const { primary: _primary, tls: _tls, ...rest } = base
  return {
    ...rest,
    mode: members.length > 1 ? 'replication' : 'standalone',
    discovery: 'self',
    members: members.map((member) => ({ ...member, role: 'unknown' })),
    ...(tls && { tls }),
  }
}
