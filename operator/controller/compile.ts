/** Spec and recorded status → the `ProxyConfig` that sidecars obey. Pure: no clock, no IO. */
import { type ProxyConfig, parseProxyConfig } from '../../common/contract/proxy-config.ts'
import { TerminalError } from '../../common/errors.ts'
import { defaultLimits, defaultTiming } from '../../common/limits.ts'
import {
  type EndpointSpec,
  type ProxySpec,
  type RedisProxy,
  durationMs,
} from '../api/redis-proxy.ts'
import type { SidecarPlacement } from './provider.ts'

/** Optional keys that a Secret was found to have; absent Secrets are not listed. */
export type SecretKeys = ReadonlyMap<string, ReadonlySet<string>>

export interface CompileInput {
  readonly proxy: RedisProxy
  readonly version: number
  readonly placement: SidecarPlacement
  readonly secretKeys: SecretKeys
  readonly qualifyHost: (host: string) => string
  /** Where the recorded process was met, if not by its name. It stays there as long as it lives. */
  readonly primaryHost?: string
}

/** @throws TerminalError if the spec cannot be put into a valid configuration */
export function compileConfig(input: CompileInput): ProxyConfig {
  const { proxy, version } = input
  const { spec, status, metadata } = proxy
  const settings = spec.proxy
  const clientAuth = settings.auth && credentials(input, settings.auth.secretRef.name)
  const value = {
    apiVersion: 'config.respmesh.io/v1',
    proxy: { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
    version,
    epoch: status?.epoch ?? 0,
    listeners: listeners(input),
    // On loopback; where probes come from outside, the sidecar is started with another address.
    admin: { host: '127.0.0.1', port: settings.adminPort },
    ...(clientAuth && { clientAuth: { users: [clientAuth] } }),
    ...(settings.commands && { commands: settings.commands }),
    workers: settings.workers,
    upstream: upstream(input),
    timing: timing(settings),
    // Memory is not among them: each sidecar bounds itself by what its container is allowed.
    limits: { ...defaultLimits, clientsMax: settings.clientsMax },
    logLevel: settings.logLevel,
  }
  try {
    return parseProxyConfig(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TerminalError('RM_CONFIG_INVALID', why, { cause })
  }
}

function timing(settings: ProxySpec): object {
  return {
    ...defaultTiming,
    holdTimeoutMs: durationMs(settings.holdTimeout),
    queueTimeoutMs: durationMs(settings.queueTimeout),
    clientIdleTimeoutMs: durationMs(settings.clientIdleTimeout),
  }
}

/** What is compiled, less the version: equal digests need no new version. */
export function configDigest(config: ProxyConfig): string {
  return JSON.stringify({ ...config, version: 0 })
}

const clientCertificates = { None: 'none', Optional: 'optional', Required: 'required' } as const

/** What the TLS listener of a sidecar is made of; undefined: there is none. */
export function listenerTls(proxy: RedisProxy, placement: SidecarPlacement) {
  const { tls } = proxy.spec.proxy
  if (tls === undefined) return undefined
  const { secretRef, clientCaSecretRef, clientCertificate } = tls
  const file = (name: string, key: string) => placement.secretFile(proxy, name, key)
  return {
    certFile: file(secretRef.name, 'tls.crt'),
    keyFile: file(secretRef.name, 'tls.key'),
    clientCertificate: clientCertificates[clientCertificate],
    ...(clientCaSecretRef && { clientCaFile: file(clientCaSecretRef.name, 'ca.crt') }),
  }
}

function listeners({ proxy, placement }: CompileInput): object[] {
  const { address: host, port, tls, unixSocket } = proxy.spec.proxy
  const { socketPath } = placement
  return [
    ...(port === 0 ? [] : [{ host, port }]),
    ...(tls === undefined ? [] : [{ host, port: tls.port, tls: listenerTls(proxy, placement) }]),
    ...(unixSocket === undefined || socketPath === undefined ? [] : [{ unixPath: socketPath }]),
  ]
}

function upstream(input: CompileInput): object {
  const { proxy, primaryHost } = input
  const { backend } = proxy.spec
  const secret = backend.auth?.secretRef
  const primary = recordedPrimary(input)
  return {
    mode: backend.mode === 'Standalone' ? 'standalone' : 'replication',
    discovery: 'operator',
    members: backend.endpoints.map((endpoint) => member(input, endpoint)),
    ...(primary && {
      primary: { ...primary, ...(primaryHost !== undefined && { host: primaryHost }) },
    }),
    ...(secret && { credentials: credentials(input, secret.name) }),
    ...(backend.tls && { tls: tls(input) }),
    connectionsMax: proxy.spec.proxy.connectionsMax,
    isolation: proxy.spec.proxy.isolation === 'PerClient' ? 'perClient' : 'shared',
  }
}

function member({ proxy, qualifyHost }: CompileInput, { host, port }: EndpointSpec): object {
  const address = addressOf({ host, port })
  const seen = proxy.status?.members?.find((candidate) => candidate.address === address)
  const isPrimary = proxy.status?.primary?.address === address
  // A primary that is not the recorded one is none to a sidecar.
  const role = isPrimary ? 'primary' : seen?.role === 'replica' ? 'replica' : 'unknown'
  return {
    host: qualifyHost(host),
    port,
    role,
    ...(seen?.runId !== undefined && { runId: seen.runId }),
  }
}

function credentials(input: CompileInput, name: string): object {
  const { proxy, placement, secretKeys } = input
  const file = (key: string) => ({ file: placement.secretFile(proxy, name, key) })
  return {
    ...(secretKeys.get(name)?.has('username') === true && { username: file('username') }),
    password: file('password'),
  }
}

function recordedPrimary({ proxy, qualifyHost }: CompileInput) {
  const { primary } = proxy.status ?? {}
  if (primary === undefined) return undefined
  if (isUnixSocket(primary.address)) return { host: primary.address, port: 0, runId: primary.runId }
  const colon = primary.address.lastIndexOf(':')
  return {
    host: qualifyHost(primary.address.slice(0, colon)),
    port: Number(primary.address.slice(colon + 1)),
    runId: primary.runId,
  }
}

function tls(input: CompileInput): object | undefined {
  const { proxy, placement, primaryHost } = input
  const { tls: wanted } = proxy.spec.backend
  if (wanted === undefined) return undefined
  const file = (name: string, key: string) => placement.secretFile(proxy, name, key)
  const { caSecretRef, clientCertSecretRef } = wanted
  // A certificate is for the name, whatever leads there.
  const name = recordedPrimary(input)?.host
  const isElsewhere = primaryHost !== undefined && primaryHost !== name
  const serverName = wanted.serverName ?? (isElsewhere ? name : undefined)
  return {
    verify: wanted.mode === 'VerifyFull',
    ...(caSecretRef && { caFile: file(caSecretRef.name, 'ca.crt') }),
    ...(clientCertSecretRef && {
      certFile: file(clientCertSecretRef.name, 'tls.crt'),
      keyFile: file(clientCertSecretRef.name, 'tls.key'),
    }),
    ...(serverName !== undefined && { serverName }),
  }
}

/** Servers of this machine only, as `respmesh up` fronts them. */
function isUnixSocket(host: string): boolean {
  return host.startsWith('/')
}

/** The name of a member in status and messages. */
export function addressOf({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): string {
  return isUnixSocket(host) ? host : `${host}:${port}`
}
