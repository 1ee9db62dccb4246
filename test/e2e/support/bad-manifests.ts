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
    name: 'a unix socket for a server',
    spec: { backend: { endpoints: [{ host: '/run/redis.sock' }] } },
    field: 'spec.backend',
  },
  {
    name: 'no way in',
    spec: { backend: { endpoints }, proxy: { port: 0 } },
    field: 'spec.proxy',
  },
  {
    name: 'one port for TLS and for plain',
    spec: { backend: { endpoints }, proxy: { tls: { secretRef: { name: 'tls' }, port: 16379 } } },
    field: 'spec.proxy',
  },
  {
    name: 'client certificates that nobody signs',
    spec: {
      backend: { endpoints },
      proxy: { tls: { secretRef: { name: 'tls' }, clientCertificate: 'Required' } },
    },
    field: 'spec.proxy.tls',
  },
  {
    name: 'an authority of client certificates that nobody asks for',
    spec: {
      backend: { endpoints },
      proxy: { tls: { secretRef: { name: 'tls' }, clientCaSecretRef: { name: 'ca' } } },
    },
    field: 'spec.proxy.tls',
  },
  {
    name: 'a command in upper case',
    spec: { backend: { endpoints }, proxy: { commands: { deny: ['KEYS'] } } },
    field: 'spec.proxy.commands',
  },
  {
    name: 'a command that is allowed and denied',
    spec: { backend: { endpoints }, proxy: { commands: { allow: ['debug'], deny: ['debug'] } } },
    field: 'spec.proxy.commands',
  },
  {
    name: 'a command twice',
    spec: { backend: { endpoints }, proxy: { commands: { allow: ['debug', 'debug'] } } },
    field: 'spec.proxy.commands.allow',
  },
  {
    name: 'a folder of the socket that is the root',
    spec: { backend: { endpoints }, proxy: { unixSocket: { directory: '/' } } },
    field: 'spec.proxy.unixSocket.directory',
  },
  {
    name: 'an idle timeout of a day',
    spec: { backend: { endpoints }, proxy: { clientIdleTimeout: '24h' } },
    field: 'spec.proxy',
  },
  {
    name: 'a quantity that is none',
    spec: { backend: { endpoints }, proxy: { resources: { limits: { memory: 'lots' } } } },
    field: 'spec.proxy.resources.limits',
  },
  {
    name: 'Sentinels of a cluster',
    spec: {
      backend: {
        mode: 'Cluster',
        endpoints,
        sentinel: { name: 'mymaster', endpoints: [{ host: 'sentinel' }] },
      },
    },
    field: 'spec.backend',
  },
  {
    name: 'a weight outside of a ring',
    spec: { backend: { endpoints: [{ host: 'redis-0.redis', weight: 2 }] } },
    field: 'spec.backend',
  },
  {
    name: 'reads from replicas of a ring',
    spec: { backend: { mode: 'Ring', endpoints }, proxy: { reads: {} } },
    field: 'spec',
  },
  {
    name: 'a raw port of a cluster',
    spec: { backend: { mode: 'Cluster', endpoints }, proxy: { rawPort: 16381 } },
    field: 'spec',
  },
  {
    name: 'a raw port that is taken',
    spec: { backend: { endpoints }, proxy: { rawPort: 16380 } },
    field: 'spec.proxy',
  },
  {
    name: 'replicas that may not be behind at all',
    spec: { backend: { endpoints }, proxy: { reads: { lagBytesMax: '0' } } },
    field: 'spec.proxy.reads',
  },
  {
    name: 'a server of a ring that is out for a blink',
    spec: { backend: { mode: 'Ring', endpoints, ring: { ejectFor: '1ms' } } },
    field: 'spec.backend.ring',
  },
  {
    name: 'a delay of a minute',
    spec: { backend: { endpoints }, proxy: { retries: { delay: '1m' } } },
    field: 'spec.proxy.retries',
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
