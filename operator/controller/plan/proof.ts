/**
 * Why nobody can get a write of the withdrawn epoch acknowledged any more. Each proof is about the recorded process
 * and about every sidecar that may exist, never about what we cannot reach. Pure.
 */
import { grantMarginMs, grantMarginRatio, selfFenceMs } from '../../../common/limits.ts'
import { type Intent, durationMs } from '../../api/redis-proxy.ts'
import { isParked } from '../observation.ts'
import { type Member, isLive } from './members.ts'
import type { Now, Snapshot } from './types.ts'

export type Proof = NonNullable<Intent['proof']>

/**
 * Of `Decision.marks`: this leader has seen the fence, everyone parked, that a sidecar takes long to let go, and that every
 * one has, since then.
 */
export const fencingMark = 'fencing'
export const parkedMark = 'parked'
export const lateMark = 'late'
export const ackedMark = 'acked'

interface Context {
  readonly snapshot: Snapshot
  readonly status: { readonly epoch?: number }
  readonly members: readonly Member[]
  readonly now: Now
}

/** Undefined as long as someone might. */
export function fenceProof(context: Context, intent: Intent): Proof | undefined {
  const from = context.members.find(({ address }) => address === intent.from)
  if (from?.facts !== undefined) {
    const isSame = from.facts.runId === intent.fromRunId
    if (isSame && from.facts.role === 'replica') return 'ServerDemoted'
    if (!isSame && !hasMoved(from, intent.fromHost)) return 'ProcessDead'
  }
  if (from?.fate !== undefined) return 'ProcessDead'
  if (haveAllAcked(context)) return 'ProxiesAcked'
  if (haveGrantsExpired(context, intent)) return 'GrantExpired'
  return hasFencedItself(context, intent) ? 'ServerSelfFenced' : undefined
}

/** Another process in the place of the recorded one means its end; one elsewhere under the same name does not. */
export function hasMoved(
  { host }: Pick<Member, 'host'>,
  recordedHost: string | undefined,
): boolean {
  return recordedHost !== undefined && host !== recordedHost
}

/** Every sidecar that exists or is connected obeys the present epoch, or a later one. */
export function haveAllAcked({ snapshot, status }: Pick<Context, 'snapshot' | 'status'>): boolean {
  const { expectedSidecars, sidecars } = snapshot
  if (expectedSidecars === undefined) return false
  const epoch = status.epoch ?? 0
  const obedient = new Set(
    sidecars.filter(({ acked }) => (acked?.epoch ?? -1) >= epoch).map(({ id }) => id),
  )
  const ids = [...expectedSidecars, ...sidecars.map(({ id }) => id)]
  return ids.every((id) => obedient.has(id))
}

/**
 * The grants of the lost epoch ended when this leader published a later one: it gives them itself, and no other leader
 * did since it began to watch.
 */
function haveGrantsExpired({ snapshot, status, now }: Context, { grantTtlMs }: Intent): boolean {
  const { published, watchedSinceMs } = snapshot
  if (grantTtlMs === undefined || published === undefined) return false
  if (published.epoch < (status.epoch ?? 0)) return false
  const sinceMs = Math.max(published.epochAtMs, watchedSinceMs)
  const ttlMs = grantTtlMs * (1 + grantMarginRatio) + grantMarginMs
  return now.monotonicMs - sinceMs >= ttlMs
}

/**
 * Its replicas are all known to be parked, so that min-replicas-to-write stops it. One that we cannot reach may still
 * be feeding it, and so may one that is not listed.
 */
function hasFencedItself({ snapshot, members, now }: Context, intent: Intent): boolean {
  if (intent.minReplicas !== true) return false
  const from = members.find(({ address }) => address === intent.from)
  const others = members.filter((member) => member !== from)
  if (others.length < (from?.observation.last?.connectedReplicas ?? 0)) return false
  const parkedSinceMs = snapshot.marks?.[parkedMark]
  if (!areParked(others) || parkedSinceMs === undefined) return false
  return now.monotonicMs - parkedSinceMs >= selfFenceMs
}

export function areParked(members: readonly Member[]): boolean {
  return members.length > 0 && members.every((member) => isLive(member) && isParked(member.facts))
}

/** Whether someone said in so many words that no proof is needed. */
export function isUnfencedAllowed({ snapshot, now }: Context): boolean {
  const { failover } = snapshot.proxy.spec
  const { operation, marks } = snapshot
  if (operation?.kind === 'Promote' && operation.accept.includes('NoProof')) return true
  if (failover.unfencedPromotion !== 'AfterFenceTimeout') return false
  const sinceMs = marks?.[fencingMark]
  return sinceMs !== undefined && now.monotonicMs - sinceMs >= durationMs(failover.fenceTimeout)
}
