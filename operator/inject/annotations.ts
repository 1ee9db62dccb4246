/**
 * What a pod may say about its sidecar, by annotations (the first of them by label too). Whatever is wrong
 * becomes a warning for whoever creates the pod, and the default is used: a typo keeps no app from starting.
 */
import { isQuantity } from '../api/quantity.ts'
import { injectKey, injectedKey } from '../api/redis-proxy.ts'
import { proxyLabel } from './layout.ts'
import type { Pod } from './pod.ts'

const prefix = 'respmesh.io/'

/** Annotation → what it overrides in the sidecar's resources. Documented in `docs/reference/annotations.md`. */
export const resourceAnnotations = {
  'respmesh.io/cpu-request': ['requests', 'cpu'],
  'respmesh.io/cpu-limit': ['limits', 'cpu'],
  'respmesh.io/memory-request': ['requests', 'memory'],
  'respmesh.io/memory-limit': ['limits', 'memory'],
} as const

export type ResourceAnnotation = keyof typeof resourceAnnotations

export interface Wish {
  /** Name of the RedisProxy; undefined: the pod does not ask. */
  readonly proxy: string | undefined
  readonly resources: Readonly<Partial<Record<ResourceAnnotation, string>>>
  readonly warnings: readonly string[]
}

const known = [injectKey, ...Object.keys(resourceAnnotations)]
const nameForm = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/
const declined = new Set(['', 'false', 'disabled', 'no'])

export function readWish(pod: Pod): Wish {
  const annotations = pod.metadata?.annotations ?? {}
  const labels = pod.metadata?.labels ?? {}
  const warnings = unknownKeys(annotations, labels)
  const asked = annotations[injectKey] ?? labels[injectKey]
  const resources: Partial<Record<ResourceAnnotation, string>> = {}
  for (const key of Object.keys(resourceAnnotations) as ResourceAnnotation[]) {
    const value = annotations[key]
    if (value === undefined) continue
    if (isQuantity(value)) resources[key] = value
    else warnings.push(`annotation ${key} is "${value}", which is no quantity such as 64Mi or 25m`)
  }
  if (asked === undefined || declined.has(asked)) return { proxy: undefined, resources, warnings }
  if (!nameForm.test(asked)) {
    warnings.push(`${injectKey} is "${asked}", which cannot be the name of a RedisProxy`)
    return { proxy: undefined, resources, warnings }
  }
  return { proxy: asked, resources, warnings }
}

function unknownKeys(
  annotations: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): string[] {
  const ours = (key: string) => key.startsWith(prefix)
  const strayAnnotations = Object.keys(annotations).filter(
    (key) => ours(key) && key !== injectedKey && !known.includes(key),
  )
  const strayLabels = Object.keys(labels).filter(
    (key) => ours(key) && key !== proxyLabel && key !== injectKey,
  )
  return [
    ...strayAnnotations.map(
      (key) => `annotation ${key} is not known; known are ${known.join(', ')}`,
    ),
    ...strayLabels.map((key) => `label ${key} is not known; the only one is ${injectKey}`),
  ]
}
