/**
 * `ProxyConfig`: what the control plane tells a sidecar, and all that it tells it.
 * The schema in `schema.ts` is the source; this module derives the type, checks values and orders snapshots.
 */
import type { Static } from 'typebox'
import type { DeepReadonly } from '../deep-readonly.ts'
import { ConfigError } from '../errors.ts'
import { defaultLimits, defaultTiming } from '../limits.ts'
import { type ValidationIssue, describeIssues } from './issues.ts'
import type { proxyConfigSchema } from './schema.ts'
import { validateProxyConfig } from './generated/validate-proxy-config.js'

export type ProxyConfig = DeepReadonly<Static<typeof proxyConfigSchema>>
export type UpstreamConfig = ProxyConfig['upstream']
export type UpstreamMember = UpstreamConfig['members'][number]
export type UpstreamPrimary = NonNullable<UpstreamConfig['primary']>
export type UpstreamTls = NonNullable<UpstreamConfig['tls']>
export type Credentials = NonNullable<UpstreamConfig['credentials']>
export type SecretRef = Credentials['password']
export type Listener = ProxyConfig['listeners'][number]
export type ReadSplit = NonNullable<UpstreamConfig['reads']>
export type Sentinel = NonNullable<UpstreamConfig['sentinel']>
export type Retries = NonNullable<UpstreamConfig['retries']>
export type AdminConfig = NonNullable<ProxyConfig['admin']>
export type Timing = ProxyConfig['timing']
export type Limits = ProxyConfig['limits']

/**
 * Checks an unknown value against the contract and freezes it.
 * @throws ConfigError RM_CONFIG_INVALID naming every field that is wrong, with its value.
 */
export function parseProxyConfig(value: unknown): ProxyConfig {
  if (!validateProxyConfig(value)) {
    const issues = describeIssues(validateProxyConfig.errors ?? [])
    throw invalid(issues)
  }
  const config = value as ProxyConfig
  const issues = [...listenerIssues(config), ...upstreamIssues(config), ...writesIssues(config)]
  if (issues.length > 0) throw invalid(issues)
  return deepFreeze(config)
}

function invalid(issues: readonly ValidationIssue[]): ConfigError {
  const lines = issues.map((issue) => `${issue.path}: ${issue.message}`)
  return new ConfigError(
    'RM_CONFIG_INVALID',
    `the configuration is not valid: ${lines.join('; ')}`,
    {
      data: { issues },
    },
  )
}

function listenerIssues(config: ProxyConfig): ValidationIssue[] {
  return config.listeners.flatMap((listener, index) => {
    const isUnix = listener.unixPath !== undefined
    const isTcp = listener.host !== undefined && listener.port !== undefined
    if (isUnix !== isTcp) return []
    return [{ path: `listeners[${index}]`, message: 'give either unixPath, or host and port' }]
  })
}

function upstreamIssues({ upstream }: ProxyConfig): ValidationIssue[] {
  const { mode, discovery, members, sentinel, reads, ring } = upstream
  const isOwn = discovery === 'self'
  const issues: [boolean, string, string][] = [
    [
      (discovery === 'sentinel') !== (sentinel !== undefined),
      'sentinel',
      'goes with discovery: sentinel, and only with it',
    ],
    [sentinel !== undefined && mode !== 'replication', 'sentinel', 'only with mode: replication'],
    [ring !== undefined && mode !== 'ring', 'ring', 'only with mode: ring'],
    [upstream.cluster !== undefined && mode !== 'cluster', 'cluster', 'only with mode: cluster'],
    [
      (mode === 'cluster' || mode === 'ring') && !isOwn,
      'discovery',
      `is ${discovery}; with mode: ${mode} it is self`,
    ],
    [
      reads?.policy === 'readsToReplicas' && (mode === 'standalone' || mode === 'ring'),
      'reads.policy',
      `is readsToReplicas, and mode: ${mode} knows no replicas`,
    ],
    [
      mode === 'ring' && new Set(members.map(nameInRing)).size < members.length,
      'members',
      'two have the same name in the ring',
    ],
  ]
  return issues
    .filter(([isWrong]) => isWrong)
    .map(([, field, message]) => ({ path: `upstream.${field}`, message }))
}

/** Where replies to writes wait for replicas there must be some, and a server that has them wait is not taken for dead. */
function writesIssues({ upstream, timing }: ProxyConfig): ValidationIssue[] {
  const { mode, writes } = upstream
  if (writes === undefined) return []
  if (mode === 'cluster' || mode === 'ring') {
    const message = `with mode: ${mode} replies to writes cannot wait for replicas`
    return [{ path: 'upstream.writes', message }]
  }
  const { replyTimeoutMs } = timing
  if (replyTimeoutMs === 0 || writes.waitTimeoutMs < replyTimeoutMs) return []
  const message = `is ${writes.waitTimeoutMs}; it must be less than timing.replyTimeoutMs, ${replyTimeoutMs}`
  return [{ path: 'upstream.writes.waitTimeoutMs', message }]
}

/** What the ring hashes for a member. */
export function nameInRing({ name, host, port }: UpstreamMember): string {
  return name ?? `${host}:${port}`
}

export type Acceptance =
  | { readonly kind: 'accept' }
  | { readonly kind: 'same' }
  | { readonly kind: 'refuse'; readonly code: 'RM_CONFIG_STALE_EPOCH' | 'RM_CONFIG_STALE_VERSION' }

/**
 * Whether a sidecar that obeys `current` may go over to `next`.
 * Within one uid an epoch never goes back, and within an epoch a version never does, so that a late or
 * deposed control plane cannot bring an old primary back. Another uid is another RedisProxy and starts anew.
 */
export function acceptConfig(current: ProxyConfig | undefined, next: ProxyConfig): Acceptance {
  if (current === undefined || current.proxy.uid !== next.proxy.uid) return { kind: 'accept' }
  if (next.epoch < current.epoch) return { kind: 'refuse', code: 'RM_CONFIG_STALE_EPOCH' }
  if (next.epoch > current.epoch || next.version > current.version) return { kind: 'accept' }
  if (next.version === current.version) return { kind: 'same' }
  return { kind: 'refuse', code: 'RM_CONFIG_STALE_VERSION' }
}

/** What `config` says of a planned change of the primary that is under way; undefined: there is none. */
export function handoverOf({ upstream }: ProxyConfig): ProxyConfig['upstream']['handover'] {
  const { mode, discovery, primary, handover } = upstream
  const isSharded = mode === 'cluster' || mode === 'ring'
  return isSharded || discovery !== 'operator' || primary !== undefined ? undefined : handover
}

export interface StandaloneOptions {
  readonly members: readonly { readonly host: string; readonly port: number }[]
  readonly listeners: readonly Listener[]
  readonly admin?: { readonly host: string; readonly port: number }
  readonly credentials?: Credentials
  readonly clientAuth?: ProxyConfig['clientAuth']
  readonly commands?: ProxyConfig['commands']
  readonly tls?: UpstreamTls
  readonly logLevel?: ProxyConfig['logLevel']
}

/** The configuration of a sidecar that runs alone, without a control plane, in front of `members`. */
export function standaloneConfig(options: StandaloneOptions): ProxyConfig {
  return parseProxyConfig({
    apiVersion: 'config.respmesh.io/v1',
    proxy: { namespace: 'local', name: 'sidecar', uid: 'standalone' },
    version: 0,
    epoch: 0,
    listeners: structuredClone(options.listeners),
    ...(options.admin && { admin: { ...options.admin } }),
    ...(options.clientAuth && { clientAuth: structuredClone(options.clientAuth) }),
    ...(options.commands && { commands: structuredClone(options.commands) }),
    upstream: {
      mode: options.members.length > 1 ? 'replication' : 'standalone',
      discovery: 'self',
      members: options.members.map(({ host, port }) => ({ host, port, role: 'unknown' })),
      ...(options.credentials && { credentials: structuredClone(options.credentials) }),
      ...(options.tls && { tls: { ...options.tls } }),
      connectionsMax: 1,
    },
    timing: { ...defaultTiming },
    limits: { ...defaultLimits },
    logLevel: options.logLevel ?? 'info',
  })
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const child of Object.values(value)) deepFreeze(child)
  return Object.freeze(value)
}
