/** Which member is to be promoted, among those whose data can no longer change. Pure. */
import type { Intent } from '../../api/redis-proxy.ts'
import { isParked } from '../observation.ts'
import {
  type LiveMember,
  type Member,
  addresses,
  isLive,
  isPromotable,
  offsetIn,
} from './members.ts'

export type Selection =
  | { readonly kind: 'chosen'; readonly member: LiveMember }
  | { readonly kind: 'none'; readonly why: string }

/**
 * The furthest in the history of the lost primary; among equals the lost primary itself, which needs the
 * fewest changes, then the order of the spec. Every candidate is parked, so that its offset is final.
 */
export function selectCandidate(intent: Intent, members: readonly Member[]): Selection {
  const parked = members.filter(isLive).filter(({ facts }) => isParked(facts))
  const eligible = parked
    .filter(isPromotable)
    .flatMap((member) => {
      const offset = offsetIn(intent.fromReplId ?? '', member.facts)
      return offset === undefined ? [] : [{ member, offset }]
    })
    .sort((a, b) => b.offset - a.offset || rank(intent, a.member) - rank(intent, b.member))
  const [best] = eligible
  if (best !== undefined) return { kind: 'chosen', member: best.member }
  return selectReturned(intent, { members, parked })
}

/**
 * Nobody has the history any more: everyone was restarted. The lost primary is the natural keeper of the data
 * if it came back with a fair part of what there is. If not (only its replicas saved to disk, say), the member
 * with most data is, once everyone was asked.
 */
function selectReturned(
  intent: Intent,
  {
    members,
    parked,
  }: { readonly members: readonly Member[]; readonly parked: readonly LiveMember[] },
): Selection {
  const missing = members.filter((member) => !isLive(member) || member.facts.isLoading)
  const fullest = Math.max(0, ...parked.map(({ facts }) => facts.keyCount))
  const returned = parked.filter(isPromotable).find(({ address }) => address === intent.from)
  const keyCount = returned?.facts.keyCount ?? 0
  if (returned !== undefined && keyCount > 0 && keyCount >= fullest * fairShare) {
    return { kind: 'chosen', member: returned }
  }
  if (missing.length > 0) {
    const why = `no member that answers has the history of the lost primary; waiting for ${addresses(missing)}`
    return { kind: 'none', why }
  }
  const [best] = parked
    .filter(isPromotable)
    .sort((a, b) => b.facts.keyCount - a.facts.keyCount || rank(intent, a) - rank(intent, b))
  if (best === undefined || intent.fromReplId === undefined) {
    return { kind: 'none', why: 'no member that answers may be promoted' }
  }
  return { kind: 'chosen', member: best }
}

/** Expired keys are counted or not as it pleases a server; an older snapshot shows as less than this. */
const fairShare = 0.5

function rank(intent: Intent, member: Member): number {
  return member.address === intent.from ? -1 : 0
}
