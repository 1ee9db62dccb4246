/** What is done to servers, and to their model, in the same order. */
import type { Random } from '../../sim/random.ts'

/** Whom a server follows: one of them, or nobody who is there. */
export type Source = number | 'parked'

export type Step =
  /** One write; `isWaited`: until every replica that is there has it. */
  | { readonly kind: 'write'; readonly at: number; readonly isWaited: boolean }
  /** More writes than are kept for partial synchronisation. */
  | { readonly kind: 'flood'; readonly at: number }
  | { readonly kind: 'promote'; readonly at: number }
  | { readonly kind: 'follow'; readonly at: number; readonly source: Source }
  /** A replication user at `at`; those that are named log in as it. */
  | { readonly kind: 'protect'; readonly at: number; readonly replicas: readonly number[] }
  | { readonly kind: 'unprotect'; readonly at: number }
  | { readonly kind: 'minReplicas'; readonly at: number; readonly count: number }
  | { readonly kind: 'save'; readonly at: number }
  | { readonly kind: 'crash'; readonly at: number; readonly keeps: Keeps }
  /** As a primary, if it has no source. */
  | { readonly kind: 'start'; readonly at: number; readonly source?: Source }

/** What a crash leaves on disk: all, what was saved last, nothing. */
export type Keeps = 'all' | 'saved' | 'nothing'

export const serverCount = 3
export const floodWrites = 40
/** Writes that partial synchronisation reaches back; of `valueBytes` each. */
export const backlogWrites = 20
export const valueBytes = 4096

export function nameOf(step: Step): string {
  const { kind, at, ...rest } = step
  const details = Object.entries(rest).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return [`s${at} ${kind}`, ...details].join(', ')
}

/** The next step of a history in which those servers run. */
export function drawStep(random: Random, isUp: readonly boolean[], hasSnapshots: boolean): Step {
  const all = [...isUp.keys()]
  const down = all.filter((index) => isUp[index] === false)
  const at = random.pick(all.filter((index) => !down.includes(index)))
  const others = all.filter((index) => index !== at)
  const source = (): Source => (random.chance(0.2) ? 'parked' : random.pick(others))
  const [gone] = down
  if (gone !== undefined && random.chance(down.length === serverCount - 1 ? 1 : 0.4)) {
    const isPrimary = random.chance(0.5)
    const peers = all.filter((index) => index !== gone)
    if (isPrimary) return { kind: 'start', at: gone }
    return { kind: 'start', at: gone, source: random.chance(0.4) ? 'parked' : random.pick(peers) }
  }
  const dice = random.next()
  if (dice < 0.26) return { kind: 'write', at, isWaited: random.chance(0.4) }
  if (dice < 0.3) return { kind: 'flood', at }
  if (dice < 0.44) return { kind: 'promote', at }
  if (dice < 0.68) return { kind: 'follow', at, source: source() }
  if (dice < 0.74) {
    return { kind: 'protect', at, replicas: others.filter((index) => isUp[index] === true) }
  }
  if (dice < 0.76) return { kind: 'unprotect', at }
  if (dice < 0.8) return { kind: 'minReplicas', at, count: random.below(3) }
  if (dice < 0.83 && hasSnapshots) return { kind: 'save', at }
  const keeps = random.pick<Keeps>(
    hasSnapshots ? ['all', 'all', 'saved', 'nothing'] : ['all', 'nothing'],
  )
  return { kind: 'crash', at, keeps }
}
