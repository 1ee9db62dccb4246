/** Spec and recorded status → the `ProxyConfig` that sidecars obey. Pure: no clock, no IO. */
import { type ProxyConfig, parseProxyConfig } from '../../common/contract/proxy-config.ts'
import { TerminalError } from '../../common/errors.ts'
import { defaultLimits, defaultTiming } from '../../common/limits.ts'
import {
  type EndpointSpec,
  type Intent,
  type ProxySpec,
  type RedisProxy,
  durationMs,
  isChosenByOperator,
} from '../api/redis-proxy.ts'
import {
  type CompileInput,
  addressOf,
  credentials,
  recordedPrimary,
  serverAt,
  tls,
} from './compile-input.ts'
import { routing, topology } from './compile-topology.ts'
import type { SidecarPlacement } from './provider.ts'

export { addressOf, type CompileInput, type SecretKeys } from './compile-input.ts'

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
    admin: { host: '127.0.0.1', port: settings.adminPort, ...admin(input) },
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
    readTimeLimitMs: durationMs(settings.readTimeLimit),
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

/** Who may use the admin port, and what it shows them; its address is another matter. */
function admin(input: CompileInput): object {
  const { auth, tls } = input.proxy.spec.proxy.admin ?? {}
  const file = (key: string) =>
    input.placement.secretFile(input.proxy, tls?.secretRef.name ?? '', key)
  return {
    ...(auth && { users: [credentials(input, auth.secretRef.name)] }),
    ...(tls && { tls: { certFile: file('tls.crt'), keyFile: file('tls.key') } }),
  }
}

function listeners({ proxy, placement }: CompileInput): object[] {
  const { address: host, port, rawPort, tls, unixSocket } = proxy.spec.proxy
  const { socketPath } = placement
  return [
    ...(port === 0 ? [] : [{ host, port }]),
    ...(tls === undefined ? [] : [{ host, port: tls.port, tls: listenerTls(proxy, placement) }]),
    ...(unixSocket === undefined || socketPath === undefined ? [] : [{ unixPath: socketPath }]),
    ...(rawPort === undefined ? [] : [{ host, port: rawPort, raw: true }]),
  ]
}

function upstream(input: CompileInput): object {
  const { proxy, primaryHost } = input
  const { backend } = proxy.spec
  const secret = backend.auth?.secretRef
  const primary = isChosenByOperator(proxy.spec) ? recordedPrimary(input) : undefined
  return {
    ...topology(input),
    ...routing(proxy.spec),
    members: backend.endpoints.map((endpoint) => member(input, endpoint)),
    ...(primary && {
      primary: { ...primary, ...(primaryHost !== undefined && { host: primaryHost }) },
    }),
    ...change(input),
    ...(secret && { credentials: credentials(input, secret.name) }),
    ...(backend.tls && { tls: tls(input, backend.tls) }),
    connectionsMax: proxy.spec.proxy.connectionsMax,
    isolation: proxy.spec.proxy.isolation === 'PerClient' ? 'perClient' : 'shared',
  }
}

/** How a planned change of the primary is gone through, and how long a sidecar goes on that hears nothing. */
function change(input: CompileInput): object {
  const { spec, status } = input.proxy
  const { intent, primary } = status ?? {}
  const { operatorAway, grantTtl, switchoverTimeout } = spec.failover
  const isGranted = operatorAway === 'StopWrites' && isChosenByOperator(spec)
  return {
    ...(isGranted && { grantTtlMs: durationMs(grantTtl) }),
    ...(intent?.kind === 'Switchover' &&
      primary === undefined && {
        handover: {
          drainMs: Math.floor(durationMs(switchoverTimeout) / 2),
          ...heir(input, intent),
        },
      }),
  }
}

function heir(input: CompileInput, { target, targetRunId }: Intent): object {
  const server = target === undefined ? undefined : serverAt(input, target)
  if (server === undefined || targetRunId === undefined || server.port === 0) return {}
  return { next: { ...server, runId: targetRunId } }
}

function member(input: CompileInput, endpoint: EndpointSpec): object {
  const { proxy, qualifyHost, zoneOf } = input
  const { host, port, name, weight } = endpoint
  const address = addressOf({ host, port })
  const zone = endpoint.zone ?? zoneOf?.(host)
  const seen = proxy.status?.members?.find((candidate) => candidate.address === address)
  const isPrimary = proxy.status?.primary?.address === address
  // A primary that is not the recorded one is none to a sidecar.
  const known = seen?.role === 'replica' ? 'replica' : 'unknown'
  const role = isPrimary ? 'primary' : isChosenByOperator(proxy.spec) ? known : 'unknown'
  return {
    host: qualifyHost(host),
    port,
    role,
    ...(seen?.runId !== undefined && { runId: seen.runId }),
    ...(zone !== undefined && { zone }),
    ...(name !== undefined && { name }),
    ...(weight !== undefined && { weight }),
  }
}
