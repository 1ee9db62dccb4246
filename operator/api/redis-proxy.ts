/** Types of the `RedisProxy` resource, derived from `schema.ts`, and the small vocabulary around it. */
import type { Static } from 'typebox'
import type { DeepReadonly } from '../../common/deep-readonly.ts'
import type { specSchema, statusSchema } from './schema.ts'

/** The spec after defaulting: by the API server in Kubernetes, by `parseManifests` for a local file. */
export type RedisProxySpec = DeepReadonly<Static<typeof specSchema>>
export type RedisProxyStatus = DeepReadonly<Static<typeof statusSchema>>
export type Condition = NonNullable<RedisProxyStatus['conditions']>[number]
export type MemberStatus = NonNullable<RedisProxyStatus['members']>[number]
export type PrimaryStatus = NonNullable<RedisProxyStatus['primary']>
export type Intent = NonNullable<RedisProxyStatus['intent']>
export type OperationStatus = NonNullable<RedisProxyStatus['operation']>
export type Phase = NonNullable<RedisProxyStatus['phase']>
export type BackendSpec = RedisProxySpec['backend']
export type ProxySpec = RedisProxySpec['proxy']
export type EndpointSpec = BackendSpec['endpoints'][number]

export interface RedisProxy {
  readonly apiVersion: 'respmesh.io/v1alpha1'
  readonly kind: 'RedisProxy'
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
    readonly generation: number
    readonly resourceVersion: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: RedisProxySpec
  readonly status?: RedisProxyStatus
}

/** Whether the operator says which server is the primary. Elsewhere Sentinels or the cluster do, or there is none. */
export function isChosenByOperator({ backend }: RedisProxySpec): boolean {
  const { mode, sentinel } = backend
  return mode === 'Standalone' || (mode === 'Replication' && sentinel === undefined)
}

/** `namespace/name`. */
export type ProxyKey = `${string}/${string}`

export function keyOf(proxy: RedisProxy): ProxyKey {
  return `${proxy.metadata.namespace}/${proxy.metadata.name}`
}

/** Label or annotation of a pod, and of a namespace: the name of the RedisProxy to inject. */
export const injectKey = 'respmesh.io/inject'
/** Annotation that the injector leaves: what it did, as JSON. */
export const injectedKey = 'respmesh.io/injected'

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** `3s` → 3000. The schema has checked the form. @throws RangeError on any other text */
export function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m|h)$/.exec(text)
  const unit = match?.[2]
  if (match === null || !(unit === 'ms' || unit === 's' || unit === 'm' || unit === 'h')) {
    throw new RangeError(`not a duration: ${text}`)
  }
  return Number(match[1]) * unitMs[unit]
}
