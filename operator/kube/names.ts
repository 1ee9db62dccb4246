/** Names and paths of what the operator reads and writes in the API. Pure. */
import { isIP } from 'node:net'
import { operationPlural } from '../api/operation-schema.ts'
import { group, plural, version } from '../api/schema.ts'

export const redisProxiesPath = (namespace?: string): string =>
  namespace === undefined
    ? `/apis/${group}/${version}/${plural}`
    : `/apis/${group}/${version}/namespaces/${namespace}/${plural}`

export const redisProxyPath = (namespace: string, name: string): string =>
  `${redisProxiesPath(namespace)}/${name}`

export const operationsPath = (namespace?: string): string =>
  namespace === undefined
    ? `/apis/${group}/${version}/${operationPlural}`
    : `/apis/${group}/${version}/namespaces/${namespace}/${operationPlural}`

export const nodePath = (name: string): string => `/api/v1/nodes/${name}`

export const podsPath = (namespace?: string): string =>
  namespace === undefined ? '/api/v1/pods' : `/api/v1/namespaces/${namespace}/pods`

export const configMapPath = (namespace: string, name: string): string =>
  `/api/v1/namespaces/${namespace}/configmaps/${name}`

export const secretsPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/secrets`

export const eventsPath = (namespace: string): string =>
  `/apis/events.k8s.io/v1/namespaces/${namespace}/events`

export const endpointSlicesPath = (namespace: string): string =>
  `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`

export const leasesPath = (namespace: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`

export const tokenReviewsPath = '/apis/authentication.k8s.io/v1/tokenreviews'

export const webhookConfigurationPath = (name: string): string =>
  `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${name}`

/**
 * The name by which every pod of the cluster reaches `host` of a RedisProxy in `namespace`:
 * `service` → `service.NAMESPACE.svc`, `pod.service` → `pod.service.NAMESPACE.svc`. Addresses, `localhost`,
 * names with two dots or more (`pod.service.other.svc`, `cache.example.com`) and names that end in a dot are
 * whole as they are, so a domain of two labels is written with the dot: `example.com.`.
 */
export function qualifyHost(namespace: string, host: string): string {
  const isWhole =
    isIP(host) !== 0 ||
    host.includes(':') ||
    host === 'localhost' ||
    host.endsWith('.') ||
    host.split('.').length > 2
  return isWhole ? host : `${host}.${namespace}.svc`
}

/**
 * A time as Kubernetes' MicroTime: exactly six digits after the point, or the API refuses it.
 * The last three are zero: the clock counts milliseconds.
 */
export function microTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, -1)}000Z`
}
