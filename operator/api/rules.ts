/**
 * Rules over more than one field of a `RedisProxy`: each once as CEL, which the API server checks, and once as
 * a predicate, which checks local files. The e2e feeds the same bad manifests to both.
 */
import { type RedisProxySpec, durationMs } from './redis-proxy.ts'
import { topologyRules } from './topology-rules.ts'

export interface SpecRule {
  /** Object of the spec that the CEL rule is attached to and the message is about, dotted; `self` is that object. Empty: the spec. */
  readonly on:
    | ''
    | 'backend'
    | 'backend.ring'
    | 'failover'
    | 'proxy'
    | 'proxy.tls'
    | 'proxy.commands'
    | 'proxy.reads'
    | 'proxy.writes'
    | 'proxy.retries'
  readonly cel: string
  readonly message: string
  readonly holds: (spec: RedisProxySpec) => boolean
}

export const downAfterMinMs = 200
export const downAfterMaxMs = 600_000
const holdTimeoutMaxMs = 600_000
const timeoutMaxMs = 3_600_000
const grantTtlMinMs = 500

const isBetween = (text: string, minMs: number, maxMs: number) => {
  const ms = durationMs(text)
  return ms >= minMs && ms <= maxMs
}

/** A command as the data path names it: lower case, `name`, `name|subcommand` or `*`. */
const commandForm = '^([*]|[a-z0-9._-]{1,64}([|][a-z0-9._-]{1,64})?)$'
const hostForm = '^[A-Za-z0-9._:-]+$'

const backendRules: readonly SpecRule[] = [
  {
    on: 'backend',
    cel: "self.mode != 'Standalone' || self.endpoints.size() == 1",
    message: 'mode Standalone has exactly one endpoint; list several with mode Replication',
    holds: ({ backend }) => backend.mode !== 'Standalone' || backend.endpoints.length === 1,
  },
  {
    on: 'backend',
    cel: 'self.endpoints.exists(e, e.promotable)',
    message: 'at least one endpoint must be promotable',
    holds: ({ backend }) => backend.endpoints.some((endpoint) => endpoint.promotable),
  },
  {
    on: 'backend',
    cel: `self.endpoints.all(e, e.host.matches('${hostForm}'))`,
    message:
      'endpoints[].host must be a name or an address, without scheme and port; a unix socket cannot be one, because sidecars, operator and servers are in different pods',
    holds: ({ backend }) => backend.endpoints.every(({ host }) => new RegExp(hostForm).test(host)),
  },
  {
    on: 'failover',
    cel: "duration(self.downAfter) >= duration('200ms') && duration(self.downAfter) <= duration('10m')",
    message: 'downAfter must be between 200ms and 10m',
    holds: ({ failover }) => {
      const ms = durationMs(failover.downAfter)
      return ms >= downAfterMinMs && ms <= downAfterMaxMs
    },
  },
  {
    on: 'failover',
    cel: "duration(self.grantTtl) >= duration('500ms') && duration(self.grantTtl) <= duration('10m')",
    message: 'grantTtl must be between 500ms and 10m',
    holds: ({ failover }) => isBetween(failover.grantTtl, grantTtlMinMs, downAfterMaxMs),
  },
  {
    on: 'failover',
    cel: "duration(self.switchoverTimeout) >= duration('100ms') && duration(self.switchoverTimeout) <= duration('10m')",
    message: 'switchoverTimeout must be between 100ms and 10m',
    holds: ({ failover }) => isBetween(failover.switchoverTimeout, 100, downAfterMaxMs),
  },
  {
    on: 'failover',
    cel: "duration(self.fenceTimeout) >= duration('1s') && duration(self.fenceTimeout) <= duration('1h')",
    message: 'fenceTimeout must be between 1s and 1h',
    holds: ({ failover }) => isBetween(failover.fenceTimeout, 1000, timeoutMaxMs),
  },
]

const proxyRules: readonly SpecRule[] = [
  {
    on: 'proxy',
    cel: 'self.port != self.adminPort',
    message: 'port and adminPort must differ',
    holds: ({ proxy }) => proxy.port !== proxy.adminPort,
  },
  {
    on: 'proxy',
    cel: '!has(self.tls) || (self.tls.port != self.port && self.tls.port != self.adminPort)',
    message: 'tls.port must differ from port and adminPort',
    holds: ({ proxy }) => proxy.tls?.port !== proxy.port && proxy.tls?.port !== proxy.adminPort,
  },
  {
    on: 'proxy',
    cel: 'self.port != 0 || has(self.tls) || has(self.unixSocket)',
    message: 'port 0 is no plain listener: no client could connect without tls or unixSocket',
    holds: ({ proxy }) =>
      proxy.port !== 0 || proxy.tls !== undefined || proxy.unixSocket !== undefined,
  },
  {
    on: 'proxy',
    cel: "duration(self.holdTimeout) <= duration('10m')",
    message: 'holdTimeout must be at most 10m',
    holds: ({ proxy }) => durationMs(proxy.holdTimeout) <= holdTimeoutMaxMs,
  },
  {
    on: 'proxy',
    cel: "duration(self.queueTimeout) <= duration('1h') && duration(self.clientIdleTimeout) <= duration('1h') && duration(self.readTimeLimit) <= duration('1h')",
    message: 'queueTimeout, clientIdleTimeout and readTimeLimit must be at most 1h',
    holds: ({ proxy }) =>
      [proxy.queueTimeout, proxy.clientIdleTimeout, proxy.readTimeLimit].every(
        (timeout) => durationMs(timeout) <= timeoutMaxMs,
      ),
  },
  {
    on: 'proxy.tls',
    cel: "(self.clientCertificate == 'None') != has(self.clientCaSecretRef)",
    message:
      'clientCertificate Optional or Required and clientCaSecretRef go together: neither means anything alone',
    holds: ({ proxy: { tls } }) =>
      tls === undefined ||
      (tls.clientCertificate === 'None') !== (tls.clientCaSecretRef !== undefined),
  },
  {
    on: 'proxy.commands',
    cel: `(self.allow + self.deny).all(c, c.matches('${commandForm}'))`,
    message:
      'commands are written in lower case: get, a sub-command as config|set, every command as *',
    holds: ({ proxy: { commands } }) =>
      [...(commands?.allow ?? []), ...(commands?.deny ?? [])].every((name) =>
        new RegExp(commandForm).test(name),
      ),
  },
  {
    on: 'proxy.commands',
    cel: '!self.allow.exists(c, c in self.deny)',
    message: 'a command cannot be in both allow and deny',
    holds: ({ proxy: { commands } }) =>
      commands?.allow.some((name) => commands.deny.includes(name)) !== true,
  },
]

export const specRules: readonly SpecRule[] = [...backendRules, ...proxyRules, ...topologyRules]

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
    {
      rule: '!has(oldSelf.primary) || has(self.primary) || (has(self.epoch) && (!has(oldSelf.epoch) || self.epoch > oldSelf.epoch))',
      message: 'the primary is withdrawn with a new epoch only',
    },
    {
      rule: "!has(self.primary) || has(oldSelf.primary) || !has(oldSelf.epoch) || self.epoch > oldSelf.epoch || (has(oldSelf.intent) && ((has(oldSelf.intent.targetRunId) && self.primary.runId == oldSelf.intent.targetRunId) || (oldSelf.intent.kind == 'Switchover' && has(oldSelf.intent.fromRunId) && self.primary.runId == oldSelf.intent.fromRunId)))",
      message: 'within an epoch only the recorded target becomes the primary',
    },
  ],
} as const
