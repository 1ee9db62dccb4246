/** What is measured: the words that the parts of the benchmark share. */
import type { Spread } from './statistics.ts'

export interface Load {
  readonly name: string
  readonly command: 'GET' | 'SET'
  readonly pipeline: number
}

export const pipelines = [1, 16] as const
export const loads: readonly Load[] = pipelines.flatMap((pipeline) =>
  (['GET', 'SET'] as const).map((command) => ({
    name: `${command} P=${pipeline}`,
    command,
    pipeline,
  })),
)
export const clientCount = 50
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
  /** Least `requestsPerSecond` that the project aims for; not a condition of success of a run. */
  readonly aim?: number
}
