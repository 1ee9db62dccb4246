/** The API server: one resource with optimistic concurrency and the transition rules of its schema. */
import { parseManifests } from '../../../operator/api/manifest.ts'
import type {
  RedisProxy,
  RedisProxySpec,
  RedisProxyStatus,
} from '../../../operator/api/redis-proxy.ts'
import { hostOf, note, port } from './nodes.ts'
import { checkStatus } from './truth.ts'
import type { ApiObject, Profile, World } from './types.ts'

const specs = new Map<string, RedisProxy>()
const bySpec = new WeakMap<RedisProxySpec, RedisProxy>()

/** The resource as a user wrote it. */
export function baseProxy(spec: RedisProxySpec): RedisProxy {
  const found = bySpec.get(spec)
  if (found === undefined) throw new Error('a specification of another world')
  return found
}

export function specOf(profile: Profile, listed: readonly number[]): RedisProxySpec {
  const endpoints = listed.map((index) => `{host: ${hostOf(index)}, port: ${port}}`).join(', ')
  const writes =
    profile.waitReplicas === 0 ? '' : `proxy: {writes: {waitReplicas: ${profile.waitReplicas}}}`
  const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: sim}
spec:
  backend: {endpoints: [${endpoints}]}
  failover: {${profile.failover}}
  ${writes}
`
  const known = specs.get(text)
  if (known !== undefined) return known.spec
  const [proxy] = parseManifests(text, 'sim').proxies
  if (proxy === undefined) throw new Error('the manifest of the simulation is not one')
  specs.set(text, proxy)
  bySpec.set(proxy.spec, proxy)
  return proxy.spec
}

type Rule = (next: RedisProxyStatus, former: RedisProxyStatus) => boolean

/** `transitionRules.status`, one by one in their order. */
export const statusRules: readonly Rule[] = [
  (next, old) => old.epoch === undefined || (next.epoch !== undefined && next.epoch >= old.epoch),
  (next, old) =>
    old.epoch === undefined ||
    next.epoch !== old.epoch ||
    old.primary === undefined ||
    next.primary === undefined ||
    next.primary.runId === old.primary.runId,
  (next, old) =>
    old.primary === undefined ||
    next.primary !== undefined ||
    (next.epoch !== undefined && (old.epoch === undefined || next.epoch > old.epoch)),
  (next, old) =>
    next.primary === undefined ||
    old.primary !== undefined ||
    old.epoch === undefined ||
    (next.epoch ?? 0) > old.epoch ||
    isIntended(next.primary.runId, old),
]

function isIntended(runId: string, { intent }: RedisProxyStatus): boolean {
  if (intent === undefined) return false
  if (intent.targetRunId === runId) return true
  return intent.kind === 'Switchover' && intent.fromRunId === runId
}

/** @returns the resource as it is then; undefined where someone else wrote first */
export function writeStatus(
  world: World,
  version: number,
  status: RedisProxyStatus,
): ApiObject | undefined {
  const { object } = world.api
  const isUnguarded = world.mutations.has('CAS ignored')
  if (object.version !== version && !isUnguarded) return undefined
  const former = object.status ?? {}
  const broken = statusRules.findIndex((rule) => !rule(status, former))
  if (broken >= 0 && !isUnguarded) {
    throw new Error(`the API server refuses the status: rule ${broken} of transitionRules.status`)
  }
  checkStatus(world, status)
  if (object.status?.epoch !== status.epoch) world.api.former = object
  world.api.object = { ...object, version: object.version + 1, status }
  return world.api.object
}

/** Someone lists other servers. */
export function list(world: World, listed: readonly number[]): void {
  const { object } = world.api
  note(world, () => `the servers are now ${listed.map(hostOf).join(', ')}`)
  world.api.object = {
    ...object,
    version: object.version + 1,
    generation: object.generation + 1,
    listed,
    spec: specOf(world.profile, listed),
  }
}
