/** The operator's command line. Pure: arguments and environment in, checked options out. */
import { parseArgs } from 'node:util'
import { ConfigError } from '../common/errors.ts'
import type { LogLevel } from '../common/log.ts'
import { parseHostPort } from '../common/redis/url.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const
type PullPolicy = (typeof pullPolicies)[number]

export interface OperatorOptions {
  /** Where the operator itself runs. */
  readonly namespace: string
  readonly identity: string
  readonly image: string
  readonly imagePullPolicy?: PullPolicy
  readonly watchNamespace?: string
  /** Service in front of the operator; it names the certificate. */
  readonly service: string
  /** Undefined: no pod is injected by this operator. */
  readonly webhookConfig?: string
  readonly streamUrl: string
  readonly stream: HostPort
  readonly webhook: HostPort
  readonly metrics: HostPort
  readonly logLevel: LogLevel
}

interface Flag {
  readonly value: string
  readonly help: string
  readonly initial?: string
}

/** Every flag; `docs/reference/operator.md` lists the same, which a test compares. */
export const flags = {
  namespace: {
    value: 'NAME',
    help: 'namespace of the operator: its Lease and certificates ($POD_NAMESPACE)',
  },
  image: {
    value: 'IMAGE',
    help: 'image of injected sidecars, where the RedisProxy names none',
  },
  'image-pull-policy': {
    value: 'POLICY',
    help: 'of injected sidecars: Always, IfNotPresent or Never; absent: as the cluster does',
  },
  'watch-namespace': {
    value: 'NAME',
    help: 'only RedisProxies and pods of this namespace; absent: of all',
  },
  service: {
    value: 'NAME',
    help: 'Service in front of the operator',
    initial: 'respmesh-operator',
  },
  'webhook-config': {
    value: 'NAME',
    help: 'MutatingWebhookConfiguration to keep trusting us; empty: inject nothing',
    initial: 'respmesh-operator',
  },
  'stream-url': {
    value: 'URL',
    help: 'where sidecars find the configuration stream (https://SERVICE.NAMESPACE.svc:8443)',
  },
  stream: { value: 'HOST:PORT', help: 'where the stream listens', initial: '0.0.0.0:8443' },
  webhook: { value: 'HOST:PORT', help: 'where the injector listens', initial: '0.0.0.0:9443' },
  metrics: {
    value: 'HOST:PORT',
    help: 'where /healthz, /readyz and /metrics are',
    initial: '0.0.0.0:8080',
  },
  'log-level': {
    value: 'LEVEL',
    help: 'error, warn, info or debug ($RESPMESH_LOG_LEVEL, info)',
  },
} as const satisfies Readonly<Record<string, Flag>>

export type FlagName = keyof typeof flags

export interface OperatorEnvironment {
  readonly POD_NAME?: string | undefined
  readonly POD_NAMESPACE?: string | undefined
  readonly RESPMESH_LOG_LEVEL?: string | undefined
}

export interface Surroundings {
  readonly env: OperatorEnvironment
  /** Namespace of the kubeconfig's context. */
  readonly contextNamespace: string | undefined
  /** Identity where there is no pod name: unique on the machine. */
  readonly fallbackIdentity: string
}

export type ReadFlags = Readonly<Partial<Record<FlagName, string>>>

/** @throws ConfigError RM_USAGE */
export function readFlags(args: readonly string[]): {
  readonly isHelp: boolean
  readonly given: ReadFlags
} {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const name of Object.keys(flags)) options[name] = { type: 'string' }
  try {
    const { help, ...given } = parseArgs({ args: [...args], options }).values
    return { isHelp: help === true, given: given as ReadFlags }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'the flags cannot be read'
    throw usage(why, cause)
  }
}

/** @throws ConfigError RM_USAGE naming the flag; RM_ENDPOINT_INVALID for an address */
export function resolveOptions(given: ReadFlags, around: Surroundings): OperatorOptions {
  const { env } = around
  const text = (name: FlagName): string => {
    const flag: Flag = flags[name]
    return given[name] ?? flag.initial ?? ''
  }
  const namespace =
    given.namespace ?? env.POD_NAMESPACE ?? around.contextNamespace ?? 'respmesh-system'
  const service = text('service')
  const webhookConfig = text('webhook-config')
  const image = text('image')
  if (image === '' && webhookConfig !== '') {
    throw usage('--image is missing: pods are injected with it')
  }
  const pullPolicy = oneOf('image-pull-policy', given['image-pull-policy'], pullPolicies)
  const stream = parseHostPort(text('stream'))
  const streamUrl = given['stream-url'] ?? `https://${service}.${namespace}.svc:${stream.port}`
  if (!streamUrl.startsWith('https://')) throw usage('--stream-url must begin with https://')
  const logLevel = given['log-level'] ?? env.RESPMESH_LOG_LEVEL
  const watchNamespace = given['watch-namespace']
  return {
    namespace,
    identity: env.POD_NAME ?? around.fallbackIdentity,
    image,
    ...(pullPolicy && { imagePullPolicy: pullPolicy }),
    ...(watchNamespace !== undefined && watchNamespace !== '' && { watchNamespace }),
    service,
    ...(webhookConfig !== '' && { webhookConfig }),
    streamUrl,
    stream,
    webhook: parseHostPort(text('webhook')),
    metrics: parseHostPort(text('metrics')),
    logLevel: oneOf('log-level', logLevel, ['error', 'warn', 'info', 'debug']) ?? 'info',
  }
}

/** Names under which pods and the API server reach the operator. */
export function dnsNamesOf({ service, namespace }: OperatorOptions): string[] {
  const name = `${service}.${namespace}.svc`
  return [name, `${service}.${namespace}`, `${name}.cluster.local`]
}

export function helpText(): string {
  const lines = Object.entries(flags).map(([name, flag]: [string, Flag]) => {
    const initial = flag.initial === undefined ? '' : ` (${flag.initial})`
    return `  --${name} ${flag.value}\n      ${flag.help}${initial}`
  })
  return [
    'Usage: respmesh operator --image IMAGE [OPTIONS]',
    '',
    'Runs the operator in a pod, or on this machine against KUBECONFIG.',
    '',
    ...lines,
  ].join('\n')
}

function oneOf<const V extends string>(
  name: FlagName,
  value: string | undefined,
  values: readonly V[],
): V | undefined {
  if (value === undefined || value === '') return undefined
  const found = values.find((each) => each === value)
  if (found === undefined) {
    throw usage(`--${name} is "${value}"; it may be ${values.join(', ')}`)
  }
  return found
}

function usage(why: string, cause?: unknown): ConfigError {
  const message = `${why}.\nrespmesh operator --help lists the flags.`
  return new ConfigError('RM_USAGE', message, cause === undefined ? {} : { cause })
}
