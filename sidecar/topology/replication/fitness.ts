/**
 * Whether a replica may be read from, and until when without looking again. Pure.
 *
 * There is one notion of freshness: the latest time of which a replica surely has everything (`freshAsOfMs`). How far it
 * is behind in seconds is the age of that time; a client finds its write there if it was told of it before.
 */
import { replicaSilentMs } from '../../../common/limits.ts'
import type { UnfitReason } from '../view.ts'

/** What was last learnt of a replica. */
export interface Learnt {
  readonly role: 'primary' | 'replica'
  readonly lineage: string
  readonly offset: number
  readonly isLinkUp: boolean
  readonly isSyncing: boolean
}

export interface ReplicaState {
  /** Undefined: nothing since it was connected. */
  readonly learnt: Learnt | undefined
  readonly freshAsOfMs: number
  /** Since when it owes an answer about its state. */
  readonly askedAtMs: number | undefined
}

export interface PrimaryState {
  /** Whether it can be reached: then a replica that cannot reach it is at fault. */
  readonly isUp: boolean
  readonly last: { readonly lineage: string; readonly offset: number } | undefined
}

export interface LagBounds {
  readonly lagMsMax: number
  readonly lagBytesMax: number
}

export interface Verdict {
  /** It may be read from before this time; negative infinity: not at all. */
  readonly untilMs: number
  /** Why not at all, or why not after that. */
  readonly reason: UnfitReason
}

const unfit = (reason: UnfitReason): Verdict => ({ untilMs: Number.NEGATIVE_INFINITY, reason })

/** What a connected replica is good for. */
export function judge(replica: ReplicaState, primary: PrimaryState, bounds: LagBounds): Verdict {
  const { learnt, freshAsOfMs, askedAtMs } = replica
  if (learnt === undefined) return unfit('unknown')
  if (learnt.role !== 'replica') return unfit('promoted')
  if (learnt.isSyncing) return unfit('syncing')
  if (!learnt.isLinkUp && primary.isUp) return unfit('linkDown')
  if (primary.last !== undefined && primary.last.lineage !== learnt.lineage) return unfit('lineage')
  if (freshAsOfMs === Number.NEGATIVE_INFINITY) return unfit('unknown')
  if (lagBytes(replica, primary) > bounds.lagBytesMax) return unfit('lagBytes')
  const staleMs = freshAsOfMs + bounds.lagMsMax
  const silentMs = askedAtMs === undefined ? Number.POSITIVE_INFINITY : askedAtMs + replicaSilentMs
  return silentMs < staleMs
    ? { untilMs: silentMs, reason: 'silent' }
    : { untilMs: staleMs, reason: 'lagSeconds' }
}

/** As of the last answers of both. */
export function lagBytes({ learnt }: ReplicaState, { last }: PrimaryState): number {
  return learnt === undefined || last === undefined ? 0 : Math.max(0, last.offset - learnt.offset)
}
