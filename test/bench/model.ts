/** What is measured: the words that the parts of the benchmark share. */
import type { Spread } from './statistics.ts'

/** What can be measured on its own: the words of `--only`. */
export const sections = [
  'tcp',
  'unix',
  'clients',
  'latency',
  'policy',
  'cluster',
  'split',
  'memory',
] as const
export type Section = (typeof sections)[number]

/** What stands behind a target: one server, clusters of one and three, a primary with two replicas. */
export type BackendName = 'single' | 'cluster1' | 'cluster3' | 'replicas2'

export interface Load {
  readonly name: string
  readonly command: 'GET' | 'SET' | 'MGET'
  readonly pipeline: number
  readonly clients: number
}

/** Loads that are run through the same targets, round by round. */
export interface Stage {
  readonly name: string
  readonly loads: readonly Load[]
  readonly targets: readonly string[]
}

export const pipelines = [1, 16] as const
export const clientCount = 50
export const manyClients = 1000

const load = (
  name: string,
  command: Load['command'],
  shape: { pipeline?: number; clients?: number },
): Load => ({
  name,
  command,
  pipeline: shape.pipeline ?? 1,
  clients: shape.clients ?? clientCount,
})

export const throughputLoads: readonly Load[] = pipelines.flatMap((pipeline) =>
  (['GET', 'SET'] as const).map((command) =>
    load(`${command} P=${pipeline}`, command, { pipeline }),
  ),
)
export const manyClientsLoad = load(`GET c=${manyClients}`, 'GET', { clients: manyClients })
/** One client that waits for each reply: what passing through adds to it. */
export const unloadedLoad = load('GET c=1', 'GET', { clients: 1 })
/** The same as in `throughputLoads`, through sidecars that differ in their policies only. */
export const policyLoads: readonly Load[] = pipelines.map((pipeline) =>
  load(`GET P=${pipeline}, policies`, 'GET', { pipeline }),
)
/** The same as in `throughputLoads`, through sidecars and peers in front of clusters. */
export const clusterLoads: readonly Load[] = throughputLoads.map((one) => ({
  ...one,
  name: `${one.name}, cluster`,
}))
/** Keys of one MGET, drawn at random: with three nodes each has about a third. */
export const manyKeys = 100
export const manyKeysLoad = load(`MGET of ${manyKeys}, cluster`, 'MGET', { clients: 20 })
/** Reads that replicas may take. */
export const splitLoads: readonly Load[] = pipelines.map((pipeline) =>
  load(`GET P=${pipeline}, replicas`, 'GET', { pipeline }),
)
export const valueBytes = 64
/** Keys are drawn at random from this many, all of which exist before the first GET. */
export const keyCount = 10_000

export type Endpoint =
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** One run of one load through one target. CPU is µs per request, all threads, user and system. */
export interface Sample {
  readonly round: number
  readonly target: string
  readonly load: string
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Absent where there is no proxy. */
  readonly proxyCpuUs?: number
  readonly serverCpuUs: number
  readonly clientCpuUs: number
  /** Share of all cores that programs outside this benchmark used meanwhile, 0 to 1. */
  readonly foreignCpuShare: number
}

/** Resident set of a proxy. */
export interface Memory {
  readonly target: string
  readonly atRestBytes: number
  readonly afterLoadBytes: number
  readonly peakBytes: number
}

/** Resident sets of sidecars that did nothing before. */
export interface SidecarMemory {
  readonly restBytes: number
  readonly idleClients: number
  /** With `idleClients` connected, each of which has set one key. */
  readonly idle10kBytes: number
  readonly bigValueBytes: number
  /** Peak of a sidecar through which a value of `bigValueBytes` was set and read, less what it had at rest. */
  readonly bigValueGrowthBytes: number
}

/** The rounds of one load through one target. */
export interface Summary {
  readonly target: string
  readonly load: string
  readonly requestsPerSecond: Spread
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly proxyCpuUs?: Spread
  readonly serverCpuUs: Spread
}

/** `target` divided by `against`, round by round. */
export interface Ratio {
  readonly target: string
  readonly against: string
  /** A load, or `P=n` for the geometric mean of the loads of that depth. */
  readonly load: string
  readonly requestsPerSecond: Spread
  readonly p99Ms: Spread
  readonly proxyCpuUs?: Spread
}
