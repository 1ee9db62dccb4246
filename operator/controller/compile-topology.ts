/** What a spec says of modes, replicas, Sentinels and rings, in the words of the contract. Pure. */
import { quantityBytes } from '../api/quantity.ts'
import { type RedisProxySpec, durationMs, isChosenByOperator } from '../api/redis-proxy.ts'
import { type CompileInput, credentials, tls } from './compile-input.ts'

const modes = {
  Standalone: 'standalone',
  Replication: 'replication',
  Cluster: 'cluster',
  Ring: 'ring',
} as const
const policies = { AllToPrimary: 'allToPrimary', ReadsToReplicas: 'readsToReplicas' } as const
const choices = { RoundRobin: 'roundRobin', Zone: 'zone', Latency: 'latency' } as const
const hashes = { Fnv1a64: 'fnv1a_64', Md5: 'md5' } as const
const presentations = { Server: 'server', Sidecar: 'sidecar', Nodes: 'nodes' } as const

/** Mode, who says which server is the primary, and what that takes. */
export function topology(input: CompileInput): object {
  const { spec } = input.proxy
  const { mode, sentinel, ring } = spec.backend
  const self = isChosenByOperator(spec) ? 'operator' : 'self'
  return {
    mode: modes[mode],
    discovery: sentinel === undefined ? self : 'sentinel',
    ...(sentinel && { sentinel: sentinels(input, sentinel) }),
    ...(ring && {
      ring: {
        hash: hashes[ring.hash],
        hashTag: ring.hashTag,
        ejectMs: durationMs(ring.ejectFor),
        ...(ring.ejectAfter !== undefined && { ejectAfter: ring.ejectAfter }),
      },
    }),
  }
}

function sentinels(
  input: CompileInput,
  sentinel: NonNullable<RedisProxySpec['backend']['sentinel']>,
): object {
  const { name, endpoints, auth, tls: wanted } = sentinel
  const { primaryHost: _primaryHost, ...around } = input
  return {
    name,
    members: endpoints.map(({ host, port }) => ({ host: input.qualifyHost(host), port })),
    ...(auth && { credentials: credentials(input, auth.secretRef.name) }),
    ...(wanted && { tls: tls(around, wanted) }),
  }
}

/** Where commands go, and what clients see of it. */
export function routing({ proxy }: RedisProxySpec): object {
  const { reads, writes, retries, cluster } = proxy
  return {
    ...(reads && {
      reads: {
        policy: policies[reads.policy],
        choose: choices[reads.choose],
        ...(reads.zone !== undefined && { zone: reads.zone }),
        lagSecondsMax: Math.ceil(durationMs(reads.lagMax) / 1000),
        lagBytesMax: quantityBytes(reads.lagBytesMax),
        readYourWrites: reads.readYourWrites,
      },
    }),
    ...(writes && {
      writes: {
        waitReplicas: writes.waitReplicas,
        waitTimeoutMs: durationMs(writes.waitTimeout),
      },
    }),
    ...(retries && {
      retries: { maxRetries: retries.max, retryDelayMs: durationMs(retries.delay) },
    }),
    ...(cluster && { cluster: { present: presentations[cluster.present] } }),
  }
}
