/** What a history shows, from what clients were told and what is there at the end. Pure. */
import { type Op, wordsOf } from './workload.ts'
import type { Execution, Sample } from './watch.ts'

/** The data of the primary, when all is over. */
export interface FinalData {
  readonly lists: ReadonlyMap<string, readonly string[]>
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>
  readonly strings: ReadonlySet<string>
  readonly counters: ReadonlyMap<string, number>
}

export interface Keeping {
  /** Acknowledged and not there. */
  readonly lost: readonly Op[]
  /** Increments that were acknowledged and do not count. */
  readonly lostCounts: number
  /** There twice although sent once, or counted more often than sent. */
  readonly doubled: readonly string[]
  /** There although the client was told that it was not run. */
  readonly refusedButDone: readonly Op[]
}

export function checkKeeping(ops: readonly Op[], data: FinalData): Keeping {
  const unique = ops.filter(({ kind }) => kind === 'push' || kind === 'add' || kind === 'set')
  const isThere = presence(data)
  const counts = checkCounters(ops, data)
  return {
    lost: unique.filter((op) => op.outcome === 'ok' && !isThere(op)),
    lostCounts: counts.lost,
    doubled: [...twice(data), ...counts.doubled],
    refusedButDone: unique.filter((op) => op.outcome === 'refused' && isThere(op)),
  }
}

function presence({ lists, sets, strings }: FinalData): (op: Op) => boolean {
  const pushed = new Map([...lists].map(([key, values]) => [key, new Set(values)]))
  return ({ kind, key, value }) => {
    if (kind === 'push') return pushed.get(key)?.has(value) === true
    if (kind === 'add') return sets.get(key)?.has(value) === true
    return strings.has(key)
  }
}

function twice({ lists }: FinalData): readonly string[] {
  return [...lists].flatMap(([key, values]) => {
    const seen = new Set<string>()
    return values.flatMap((value) => {
      if (seen.has(value)) return [`${key} ${value}`]
      seen.add(value)
      return []
    })
  })
}

function checkCounters(ops: readonly Op[], { counters }: FinalData) {
  let lost = 0
  const doubled: string[] = []
  for (const [key, all] of Map.groupBy(
    ops.filter(({ kind }) => kind === 'count'),
    (op) => op.key,
  )) {
    const counted = counters.get(key) ?? 0
    const acknowledged = all.filter(({ outcome }) => outcome === 'ok').length
    const unknown = all.filter(({ outcome }) => outcome === 'unknown').length
    lost += Math.max(0, acknowledged - counted)
    if (counted > acknowledged + unknown) doubled.push(`${key} ${counted}`)
  }
  return { lost, doubled }
}

/** A time in which one process was the primary on record. */
export interface Tenure {
  readonly epoch: number
  readonly runId: string
  /** When it was recorded, wall clock. */
  readonly fromMs: number
}

export interface Overlap {
  readonly earlier: Tenure
  readonly later: Tenure
  readonly ms: number
}

/**
 * How long a process still ran acknowledged writes after a later primary had begun to. By what MONITOR told; writes of
 * which it told nothing, as when the process was killed, are left out.
 */
export function findOverlaps(
  tenures: readonly Tenure[],
  acknowledged: readonly Execution[],
): readonly Overlap[] {
  const spans = new Map<Tenure, { first: number; last: number }>()
  for (const { runId, atMs } of acknowledged) {
    const tenure = tenures.findLast((each) => each.runId === runId && each.fromMs <= atMs)
    if (tenure === undefined) continue
    const span = spans.get(tenure)
    if (span === undefined) spans.set(tenure, { first: atMs, last: atMs })
    else {
      span.first = Math.min(span.first, atMs)
      span.last = Math.max(span.last, atMs)
    }
  }
  const overlaps: Overlap[] = []
  for (const [earlier, { last }] of spans) {
    for (const [later, { first }] of spans) {
      if (later.fromMs <= earlier.fromMs || later.runId === earlier.runId) continue
      if (last > first) overlaps.push({ earlier, later, ms: last - first })
    }
  }
  return overlaps
}

/** Processes that ran acknowledged writes without having been on record as the primary. */
export function findUsurpers(
  tenures: readonly Tenure[],
  acknowledged: readonly Execution[],
): readonly string[] {
  const known = new Set(tenures.map(({ runId }) => runId))
  return [...new Set(acknowledged.map(({ runId }) => runId))].filter((runId) => !known.has(runId))
}

/** The bytes of the old primary’s history that the new one did not have, by what both said of themselves. */
export function lostBytesSeen(
  samples: readonly Sample[],
  change: { readonly from: string; readonly to: string; readonly replId: string },
): number | undefined {
  const old = samples.filter(
    ({ runId, isPrimary, replId }) =>
      runId === change.from && isPrimary && replId === change.replId,
  )
  const began = samples.find(
    ({ runId, isPrimary, replId2 }) =>
      runId === change.to && isPrimary && replId2 === change.replId,
  )
  const last = old.at(-1)
  if (last === undefined || began === undefined) return undefined
  return Math.max(0, last.offset - (began.secondReplOffset - 1))
}

/** What a write takes in the stream of replication. */
export function streamBytes(op: Op): number {
  const words = wordsOf(op)
  const parts = words.map((word) => `$${word.length}\r\n${word}\r\n`)
  return `*${words.length}\r\n${parts.join('')}`.length
}

export interface ClientTrouble {
  readonly errors: number
  readonly errorsByCode: Readonly<Record<string, number>>
  /** Longest time of one client between two answers that were no errors. */
  readonly longestStallMs: number
}

export function troubleOf(ops: readonly Op[]): ClientTrouble {
  const errors = ops.filter(({ error }) => error !== undefined)
  const codes = Object.groupBy(errors, ({ error }) => codeOf(error ?? ''))
  const stalls = [...Map.groupBy(ops, ({ client }) => client).values()].map(longestStall)
  return {
    errors: errors.length,
    errorsByCode: Object.fromEntries(
      Object.entries(codes).map(([code, found]) => [code, found?.length ?? 0]),
    ),
    longestStallMs: Math.round(Math.max(0, ...stalls)),
  }
}

function longestStall(ops: readonly Op[]): number {
  const answers = ops.filter(({ outcome }) => outcome === 'ok').map(({ endMs }) => endMs)
  const ends = [ops[0]?.startMs ?? 0, ...answers, ops.at(-1)?.endMs ?? 0]
  return Math.max(0, ...ends.slice(1).map((end, index) => end - (ends[index] ?? end)))
}

/** `RM_…` where there is one, else the first word. */
function codeOf(error: string): string {
  return /RM_[A-Z_]+/.exec(error)?.[0] ?? error.split(' ', 1)[0] ?? ''
}
