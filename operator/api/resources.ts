/** What a sidecar's container may take, where the RedisProxy or the pod says nothing else. */
import { quantityBytes } from './quantity.ts'
import type { ProxySpec } from './redis-proxy.ts'

const defaultResources = {
  requests: { cpu: '25m', memory: '64Mi' },
  limits: { memory: '192Mi' },
} as const

export interface Resources {
  readonly requests?: Readonly<Record<string, string>>
  readonly limits?: Readonly<Record<string, string>>
}

export function sidecarResources({ resources }: ProxySpec): Resources {
  return resources ?? defaultResources
}

/** Undefined: there is no limit. */
export function memoryLimitBytes(spec: ProxySpec): number | undefined {
  const limit = sidecarResources(spec).limits?.['memory']
  return limit === undefined ? undefined : quantityBytes(limit)
}
