/** Manifests that are wrong, and the field that an error must name: to the API server and to `parseManifests`. */

export interface BadManifest {
  readonly name: string
  readonly spec: Readonly<Record<string, unknown>>
  /** Field as both write it. */
  readonly field: string
}

const endpoints = [{ host: 'redis-0.redis' }]

export const badManifests: readonly BadManifest[] = [
  { name: 'no endpoints', spec: { backend: {} }, field: 'spec.backend.endpoints' },
  {
    name: 'an empty list of endpoints',
    spec: { backend: { endpoints: [] } },
    field: 'spec.backend.endpoints',
  },
  {
    name: 'a port out of range',
    spec: { backend: { endpoints: [{ host: 'redis-0.redis', port: 70_000 }] } },
    field: 'spec.backend.endpoints[0].port',
  },
  {
    name: 'a mode that does not exist',
    spec: { backend: { endpoints, mode: 'Sharded' } },
    field: 'spec.backend.mode',
  },
  {
    name: 'several servers that stand alone',
    spec: { backend: { mode: 'Standalone', endpoints: [...endpoints, { host: 'redis-1.redis' }] } },
    field: 'spec.backend',
  },
  {
    name: 'nobody to promote',
    spec: { backend: { endpoints: [{ host: 'redis-0.redis', promotable: false }] } },
    field: 'spec.backend',
  },
  {
    name: 'a duration without a unit',
    spec: { backend: { endpoints }, failover: { downAfter: '3' } },
    field: 'spec.failover.downAfter',
  },
  {
    name: 'a duration that is too short',
    spec: { backend: { endpoints }, failover: { downAfter: '1ms' } },
    field: 'spec.failover',
  },
  {
    name: 'one port for two purposes',
    spec: { backend: { endpoints }, proxy: { port: 16380 } },
    field: 'spec.proxy',
  },
  {
    name: 'a field that does not exist',
    spec: { backend: { endpoints }, proxy: { prot: 16379 } },
    field: 'spec.proxy',
  },
]

export function manifestOf(bad: BadManifest): object {
  return {
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxy',
    metadata: { name: 'bad' },
    spec: bad.spec,
  }
}
