/** One history: a lab, clients, a schedule of faults, peace, and then the reckoning. */
import { inflict } from './inflict.ts'
import { Lab } from './lab/index.ts'
import { type Found, type Mode, judge } from './judge.ts'
import { type Schedule, describeFault, scheduleOf } from './schedule.ts'
import { dataOf, settle } from './settle.ts'
import { ServerWatch } from './watch.ts'
import { type Op, Workload } from './workload.ts'

export interface HistoryOptions {
  readonly seed: number
  readonly mode: Mode
  readonly program?: readonly string[]
  readonly durationMs: { readonly min: number; readonly max: number }
  /** Logs and records stay, and where. */
  readonly isKept?: boolean
  readonly variant?: Variant
}

export interface HistoryResult extends Found {
  readonly seed: number
  readonly mode: Mode
  readonly variant: Variant
  readonly faults: readonly string[]
  /** See `Settled`. */
  readonly isDecided: boolean
  /** From the end of the last fault until all was in order and level; absent: it did not come to that. */
  readonly convergedMs?: number
  /** What is wrong by all rules; empty: nothing. */
  readonly problems: readonly string[]
  readonly directory?: string
}

export const shape = { servers: 3, sidecars: 2 }
const load = { writersPerSidecar: 3, readersPerSidecar: 2 }

export async function runHistory(options: HistoryOptions): Promise<HistoryResult> {
  const { seed, mode, durationMs, program, isKept, variant = variantOf(options.seed) } = options
  const schedule = scheduleOf(seed, { ...shape, emptyMax: mode === 'async' ? 2 : 1, durationMs })
  const lab = await Lab.start({
    ...shape,
    downAfter: '500ms',
    failover: `fenceTimeout: 5s, ${variants[variant]}`,
    knowsFates: seed % 2 === 0,
    ...(mode === 'confirmed' && { proxy: 'writes: {waitReplicas: 1, waitTimeout: 1s}' }),
    ...(program && { program }),
    ...(isKept === true && { isKept }),
  })
  const watch = new ServerWatch(lab.servers)
  try {
    const ops = await disturb(lab, schedule)
    const healedMs = performance.now()
    const { trouble, isDecided } = await settle(lab)
    const convergedMs = Math.round(performance.now() - healedMs)
    await watch.stop()
    // Whoever said which data count has accepted what others lack; then it is as without confirmation.
    const promised = isDecided ? 'async' : mode
    const judged = judge({ lab, ops, watch, mode: promised, data: await dataOf(lab) })
    // Without a primary there are no data to judge.
    const problems = trouble === undefined ? judged.problems : [trouble]
    return {
      seed,
      mode,
      variant,
      faults: schedule.planned.map(
        ({ atMs, forMs, fault }) => `${atMs}+${forMs} ${describeFault(fault)}`,
      ),
      isDecided,
      ...judged,
      ...(trouble === undefined && { convergedMs }),
      problems,
      ...(isKept === true && { directory: lab.directory }),
    }
  } finally {
    await watch.stop()
    await lab.stop()
  }
}

/** Ways of guarding that differ in what they prove and what they stop; the seed picks one unless one is asked for. */
export const variants = {
  plain: 'guards: {replicationUsers: Auto, minReplicas: Disabled}',
  grants: 'operatorAway: StopWrites, grantTtl: 2s',
  selfFencing: 'guards: {replicationUsers: Auto, minReplicas: Adaptive}',
} as const

export type Variant = keyof typeof variants

export function variantOf(seed: number): Variant {
  return (['plain', 'grants', 'selfFencing'] as const)[seed % 3] ?? 'plain'
}

/** Clients go on from before the first fault until after the last. */
async function disturb(lab: Lab, schedule: Schedule): Promise<readonly Op[]> {
  const workload = new Workload(lab.sidecars, load)
  try {
    await inflict(lab, schedule)
  } finally {
    await workload.stop()
  }
  return workload.ops
}
