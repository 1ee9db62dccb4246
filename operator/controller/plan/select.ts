/** Which member is to be promoted, among those whose data can no longer change. Pure. */
import type { Intent } from '../../api/redis-proxy.ts'
import { isParked } from '../observation.ts'
import { type LiveMember, type Member, isLive, isPromotable, offsetIn } from './members.ts'

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
 * Nobody has the history any more. The lost primary, started again, is the natural keeper of the data: if it
 * has some, or if everyone answers and nobody has any.
 */
function selectReturned(
  intent: Intent,
  {
    members,
    parked,
  }: { readonly members: readonly Member[]; readonly parked: readonly LiveMember[] },
): Selection {
  const returned = parked.find(({ address }) => address === intent.from)
  if (returned === undefined || !isPromotable(returned)) {
    return { kind: 'none', why: 'no member that answers has the data of the lost primary' }
  }
  const fullest = Math.max(...parked.map(({ facts }) => facts.keyCount))
  const { keyCount } = returned.facts
  if (keyCount < fullest) {
    return {
      kind: 'none',
      why: `${returned.address} came back with fewer keys than another member`,
    }
  }
  if (keyCount === 0 && members.some((member) => !isLive(member) || member.facts.isLoading)) {
    return { kind: 'none', why: `${returned.address} came back empty and not everyone answers yet` }
  }
  return { kind: 'chosen', member: returned }
}

function rank(intent: Intent, member: Member): number {
  return member.address === intent.from ? -1 : 0
}
