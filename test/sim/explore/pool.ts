/** Histories in several threads at once. */
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { noCounts, play } from './history.ts'
import type { Counts } from './types.ts'

export interface Range {
  readonly from: number
  readonly count: number
  readonly mutations?: readonly string[]
  readonly profile?: string
  /** Ends at the first violation. */
  readonly isBrief?: boolean
}

export interface Failure {
  readonly seed: number
  readonly profile: string
  readonly invariant: string
  readonly message: string
}

export interface Summary {
  readonly histories: number
  readonly counts: Counts
  readonly failures: readonly Failure[]
}

const failuresMax = 20
const batch = 50

/** In this thread. */
export function explore(range: Range, onProgress?: (histories: number) => void): Summary {
  const { from, count, mutations = [], profile, isBrief = false } = range
  const counts = noCounts()
  const failures: Failure[] = []
  let histories = 0
  for (let seed = from; seed < from + count; seed += 1) {
    const outcome = play(seed, { mutations, ...(profile !== undefined && { profile }) })
    histories += 1
    add(counts, outcome.counts)
    if (outcome.violation !== undefined) {
      failures.push({ seed, profile: outcome.profile, ...outcome.violation })
      if (isBrief || failures.length >= failuresMax) break
    }
    if (histories % batch === 0) onProgress?.(batch)
  }
  return { histories, counts, failures }
}

export function add(sum: Counts, more: Counts): void {
  sum.steps += more.steps
  sum.failovers += more.failovers
  sum.switchovers += more.switchovers
  sum.acknowledged += more.acknowledged
  sum.waiting += more.waiting
  for (const [proof, count] of Object.entries(more.proofs)) {
    sum.proofs[proof] = (sum.proofs[proof] ?? 0) + count
  }
}

/** In `threads` threads, a share of the seeds each. */
export async function exploreInThreads(
  range: Range,
  { threads, onProgress }: { threads: number; onProgress?: (histories: number) => void },
): Promise<Summary> {
  const share = Math.ceil(range.count / threads)
  const shares = Array.from({ length: threads }, (_, index) => ({
    ...range,
    from: range.from + index * share,
    count: Math.min(share, range.count - index * share),
  })).filter(({ count }) => count > 0)
  const summaries = await Promise.all(shares.map((each) => inThread(each, onProgress)))
  const counts = noCounts()
  for (const summary of summaries) add(counts, summary.counts)
  return {
    histories: summaries.reduce((sum, { histories }) => sum + histories, 0),
    counts,
    failures: summaries.flatMap(({ failures }) => failures),
  }
}

type Message =
  | { readonly kind: 'progress'; readonly histories: number }
  | { readonly kind: 'done'; readonly summary: Summary }

function inThread(range: Range, onProgress?: (histories: number) => void): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: range })
    worker.on('message', (message: Message) => {
      if (message.kind === 'progress') onProgress?.(message.histories)
      else resolve(message.summary)
    })
    worker.on('error', reject)
  })
}

const port = parentPort
if (!isMainThread && port !== null) {
  const summary = explore(workerData as Range, (histories) => {
    port.postMessage({ kind: 'progress', histories } satisfies Message)
  })
  port.postMessage({ kind: 'done', summary } satisfies Message)
}
