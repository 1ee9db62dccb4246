/** Rules about what goes together with which mode of a backend; see `rules.ts`. */
import { isQuantity, quantityBytes } from './quantity.ts'
import { type RedisProxySpec, durationMs } from './redis-proxy.ts'
import type { SpecRule } from './rules.ts'

const within = (text: string, minMs: number, maxMs: number) => {
  const ms = durationMs(text)
  return ms >= minMs && ms <= maxMs
}

const dayMs = 86_400_000
const hourMs = 3_600_000

const modeRules: readonly SpecRule[] = [
  {
    on: 'backend',
    cel: "!has(self.sentinel) || self.mode == 'Replication'",
    message: 'sentinel goes with mode Replication only',
    holds: ({ backend }) => backend.sentinel === undefined || backend.mode === 'Replication',
  },
  {
    on: 'backend',
    cel: "!has(self.ring) || self.mode == 'Ring'",
    message: 'ring goes with mode Ring only',
    holds: ({ backend }) => backend.ring === undefined || backend.mode === 'Ring',
  },
  {
    on: 'backend',
    cel: "self.mode == 'Ring' || self.endpoints.all(e, !has(e.name) && !has(e.weight))",
    message: 'endpoints[].name and endpoints[].weight go with mode Ring only',
    holds: ({ backend }) =>
      backend.mode === 'Ring' ||
      backend.endpoints.every(({ name, weight }) => name === undefined && weight === undefined),
  },
  {
    on: '',
    cel: "!has(self.proxy.reads) || self.backend.mode in ['Replication', 'Cluster']",
    message: 'proxy.reads goes with the modes Replication and Cluster, which have replicas',
    holds: ({ backend, proxy }) =>
      proxy.reads === undefined || ['Replication', 'Cluster'].includes(backend.mode),
  },
  {
    on: '',
    cel: "!has(self.proxy.writes) || (self.backend.mode == 'Replication' && !has(self.backend.sentinel))",
    message:
      'proxy.writes goes with mode Replication without Sentinels: a failover that does not count replicas would not keep the guarantee',
    holds: ({ backend, proxy }) =>
      proxy.writes === undefined ||
      (backend.mode === 'Replication' && backend.sentinel === undefined),
  },
  {
    on: '',
    cel: '!has(self.proxy.writes) || self.proxy.writes.waitReplicas < self.backend.endpoints.size()',
    message: 'proxy.writes.waitReplicas must be less than the number of endpoints',
    holds: ({ backend, proxy }) =>
      proxy.writes === undefined || proxy.writes.waitReplicas < backend.endpoints.length,
  },
  {
    on: '',
    cel: "!has(self.proxy.cluster) || self.backend.mode == 'Cluster'",
    message: 'proxy.cluster goes with mode Cluster only',
    holds: ({ backend, proxy }) => proxy.cluster === undefined || backend.mode === 'Cluster',
  },
  {
    on: '',
    cel: "!has(self.proxy.rawPort) || self.backend.mode in ['Standalone', 'Replication']",
    message:
      'proxy.rawPort goes with the modes Standalone and Replication: only there is one server all bytes can go to',
    holds: ({ backend, proxy }) =>
      proxy.rawPort === undefined || ['Standalone', 'Replication'].includes(backend.mode),
  },
]

const rawPortTaken = ({ proxy }: RedisProxySpec) =>
  proxy.rawPort !== undefined &&
  [proxy.port, proxy.adminPort, proxy.tls?.port].includes(proxy.rawPort)

const valueRules: readonly SpecRule[] = [
  {
    on: 'backend.ring',
    cel: "duration(self.ejectFor) >= duration('100ms') && duration(self.ejectFor) <= duration('1h')",
    message: 'ejectFor must be between 100ms and 1h',
    holds: ({ backend: { ring } }) => ring === undefined || within(ring.ejectFor, 100, hourMs),
  },
  {
    on: 'proxy.reads',
    cel: "duration(self.lagMax) >= duration('1s') && duration(self.lagMax) <= duration('24h')",
    message: 'lagMax must be between 1s and 24h',
    holds: ({ proxy: { reads } }) => reads === undefined || within(reads.lagMax, 1000, dayMs),
  },
  {
    on: 'proxy.reads',
    cel: "quantity(self.lagBytesMax).compareTo(quantity('1')) >= 0 && quantity(self.lagBytesMax).compareTo(quantity('8Pi')) < 0",
    message: 'lagBytesMax must be at least one byte and less than 8Pi',
    holds: ({ proxy: { reads } }) => {
      if (reads === undefined || !isQuantity(reads.lagBytesMax)) return true
      const bytes = quantityBytes(reads.lagBytesMax)
      return bytes >= 1 && bytes < 2 ** 53
    },
  },
  {
    on: 'proxy.reads',
    cel: "!has(self.zone) || self.choose == 'Zone'",
    message: 'zone means something with choose: Zone only',
    holds: ({ proxy: { reads } }) => reads?.zone === undefined || reads.choose === 'Zone',
  },
  {
    on: 'proxy.retries',
    cel: "duration(self.delay) >= duration('1ms') && duration(self.delay) <= duration('10s')",
    message: 'delay must be between 1ms and 10s',
    holds: ({ proxy: { retries } }) => retries === undefined || within(retries.delay, 1, 10_000),
  },
  {
    on: 'proxy.writes',
    cel: "duration(self.waitTimeout) >= duration('1ms') && duration(self.waitTimeout) <= duration('1m')",
    message: 'waitTimeout must be between 1ms and 1m',
    holds: ({ proxy: { writes } }) => writes === undefined || within(writes.waitTimeout, 1, 60_000),
  },
  {
    on: 'proxy',
    cel: '!has(self.rawPort) || (self.rawPort != self.port && self.rawPort != self.adminPort && (!has(self.tls) || self.rawPort != self.tls.port))',
    message: 'rawPort must differ from port, adminPort and tls.port',
    holds: (spec) => !rawPortTaken(spec),
  },
]

export const topologyRules: readonly SpecRule[] = [...modeRules, ...valueRules]
