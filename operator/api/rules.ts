/**
 * Rules over more than one field of a `RedisProxy`: each once as CEL, which the API server checks, and once as
 * a predicate, which checks local files. The e2e feeds the same bad manifests to both.
 */
import { type RedisProxySpec, durationMs } from './redis-proxy.ts'

export interface SpecRule {
  /** Field the message is about, dotted from `spec`. */
  readonly field: 'backend' | 'backend.mode' | 'failover' | 'proxy'
  /** Object in the schema the CEL rule is attached to; `self` is that object. */
  readonly on: 'spec' | 'backend' | 'failover' | 'proxy'
  readonly cel: string
  readonly message: string
  readonly holds: (spec: RedisProxySpec) => boolean
}

export const downAfterMinMs = 200
export const downAfterMaxMs = 600_000

export const specRules: readonly SpecRule[] = [
  {
    field: 'backend',
    on: 'backend',
    cel: "self.mode != 'Standalone' || self.endpoints.size() == 1",
    message: 'mode Standalone has exactly one endpoint; list several with mode Replication',
    holds: ({ backend }) => backend.mode !== 'Standalone' || backend.endpoints.length === 1,
  },
  {
    field: 'backend',
    on: 'backend',
    cel: 'self.endpoints.exists(e, e.promotable)',
    message: 'at least one endpoint must be promotable',
    holds: ({ backend }) => backend.endpoints.some((endpoint) => endpoint.promotable),
  },
  {
    field: 'failover',
    on: 'failover',
    cel: "duration(self.downAfter) >= duration('200ms') && duration(self.downAfter) <= duration('10m')",
    message: 'downAfter must be between 200ms and 10m',
    holds: ({ failover }) => {
      const ms = durationMs(failover.downAfter)
      return ms >= downAfterMinMs && ms <= downAfterMaxMs
    },
  },
  {
    field: 'proxy',
    on: 'proxy',
    cel: 'self.port != self.adminPort',
    message: 'port and adminPort must differ',
    holds: ({ proxy }) => proxy.port !== proxy.adminPort,
  },
  {
    field: 'proxy',
    on: 'proxy',
    cel: "duration(self.holdTimeout) <= duration('10m')",
    message: 'holdTimeout must be at most 10m',
    holds: ({ proxy }) => durationMs(proxy.holdTimeout) <= 600_000,
  },
]

/** Rules over an update: CEL only, because a local file has no former version. */
export const transitionRules = {
  backend: [
    {
      rule: 'self.mode == oldSelf.mode',
      message: 'backend.mode cannot be changed; make another RedisProxy',
    },
  ],
  status: [
    {
      rule: '!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)',
      message: 'status.epoch never goes back',
    },
    {
      rule: '!has(oldSelf.epoch) || !has(self.epoch) || self.epoch != oldSelf.epoch || !has(oldSelf.primary) || !has(self.primary) || self.primary.runId == oldSelf.primary.runId',
      message: 'the primary cannot change within an epoch',
    },
  ],
} as const
