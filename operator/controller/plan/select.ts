/** Which member is to be promoted, among those whose data can no longer change. Pure. */
import { datasetKeysMin } from '../../../common/limits.ts'
import { type Intent, type RedisProxySpec, durationMs } from '../../api/redis-proxy.ts'
import { quantityBytes } from '../../api/quantity.ts'
import { isParked } from '../observation.ts'
import {
  type LiveMember,
  type Member,
  addresses,
  isLive,
  isPromotable,
  offsetIn,
} from './members.ts'
import type { Operation } from './types.ts'

export type Selection =
  | { readonly kind: 'chosen'; readonly member: LiveMember }
  | { readonly kind: 'none'; readonly why: string }

interface Around {
  readonly members: readonly Member[]
  readonly failover: RedisProxySpec['failover']
  readonly operation?: Operation | undefined
  /** Monotonic, milliseconds. */
  readonly nowMs: number
}

interface Candidate {
  readonly member: LiveMember
  /** Of the history of the lost primary. */
  readonly offset: number
}

/**
 * The furthest in the history of the lost primary; among equals the lost primary itself, which needs the fewest
 * changes, then the lowest replica-priority, then the order of the spec. Every candidate is parked, so that its offset
 * is final.
 */
export function selectCandidate(intent: Intent, around: Around): Selection {
  const parked = around.members.filter(isLive).filter(({ facts }) => isParked(facts))
  const forced = selectForced(around, parked)
  if (forced !== undefined) return forced
  const related = candidatesIn(intent.fromReplId ?? '', parked)
  const missing = missingAnswers(intent, around, related)
  if (missing !== undefined) return selectKeeper(intent, around.members) ?? none(missing)
  const candidates = related.filter(({ member }) => isPromotable(member))
  const [first] = candidates
  if (first === undefined) return selectReturned(intent, { ...around, parked })
  const sound = candidates.filter((candidate) => objection(intent, around, candidate) === undefined)
  const [best] = sound.sort(byMerit(intent, around))
  if (best !== undefined) return { kind: 'chosen', member: best.member }
  return none(objection(intent, around, first) ?? 'no member that answers may be promoted')
}

/** Those that have something of a history. */
export function candidatesIn(history: string, live: readonly LiveMember[]): readonly Candidate[] {
  return live.flatMap((member) => {
    const offset = offsetIn(history, member.facts)
    return offset === undefined ? [] : [{ member, offset }]
  })
}

function byMerit(intent: Intent, { failover }: Around) {
  return (a: Candidate, b: Candidate) => {
    const byOffset = b.offset - a.offset
    const byRank = rank(intent, a.member) - rank(intent, b.member)
    const byPriority = a.member.facts.priority - b.member.facts.priority
    return failover.prefer === 'Priority'
      ? byPriority || byOffset || byRank
      : byOffset || byRank || byPriority
  }
}

/** A person said which, whatever its data. */
function selectForced({ operation }: Around, parked: readonly LiveMember[]): Selection | undefined {
  if (operation?.kind !== 'Promote' || !operation.accept.includes('DataLoss')) return undefined
  const member = parked.find(({ address }) => address === operation.to)
  return member === undefined || member.facts.isLoading || member.facts.isSyncing
    ? none(`${operation.to ?? 'the server'} that is to be promoted does not answer`)
    : { kind: 'chosen', member }
}

/**
 * With W replicas for every acknowledged write, any N − W + 1 of N include one that has it (R + W > N). The lost
 * process itself has them all. Replicas that are not listed may be among those that confirmed.
 */
export function missingAnswers(
  { from, fromRunId, waitReplicas = 0 }: Pick<Intent, 'from' | 'fromRunId' | 'waitReplicas'>,
  { members }: Pick<Around, 'members'>,
  related: readonly Candidate[],
): string | undefined {
  if (waitReplicas === 0) return undefined
  const lost = members.find(({ address }) => address === from)
  if (related.some(({ member }) => member === lost && member.facts.runId === fromRunId)) {
    return undefined
  }
  const others = members.filter((member) => member !== lost)
  const count = Math.max(others.length, lost?.observation.last?.connectedReplicas ?? 0)
  const needed = count - waitReplicas + 1
  // What one that is loading or synchronising will have in the end is not known.
  const answers = related.filter(
    ({ member }) => member !== lost && !member.facts.isLoading && !member.facts.isSyncing,
  ).length
  if (answers >= needed) return undefined
  // More was lost than the guarantee covers; whoever came back is asked for what it has.
  const isEveryoneBack = members.every((member) => isLive(member) && !member.facts.isLoading)
  if (related.length === 0 && isEveryoneBack) return undefined
  return `${answers} of ${count} replicas answer with the lost primary’s history, and ${needed} must, so that no write that ${waitReplicas} of them confirmed is lost`
}

/**
 * More was restarted than the guarantee covers, and everyone is back: the lost primary had every confirmed write, and if it
 * came back with no fewer keys than anyone, it has them still, as far as its disk does.
 */
function selectKeeper({ from }: Intent, members: readonly Member[]): Selection | undefined {
  const back = members.filter(isLive).filter(({ facts }) => isParked(facts) && !facts.isLoading)
  const keeper = back.filter(isPromotable).find(({ address }) => address === from)
  if (keeper === undefined || back.length < members.length) return undefined
  const fullest = Math.max(...back.map(({ facts }) => facts.keyCount))
  const { keyCount } = keeper.facts
  return keyCount > 0 && keyCount >= fullest ? { kind: 'chosen', member: keeper } : undefined
}

function objection(
  { fromOffset, fromKeys }: Intent,
  { failover }: Around,
  { member, offset }: Candidate,
): string | undefined {
  const lacks = Math.max(0, (fromOffset ?? 0) - offset)
  const { maxLoss, minDatasetPercent } = failover
  if (maxLoss !== undefined && lacks > quantityBytes(maxLoss.bytes)) {
    return `${member.address} lacks ${lacks} bytes of the lost primary’s history, more than maxLoss allows`
  }
  const keys = fromKeys ?? 0
  const isThin = member.facts.keyCount * 100 < keys * minDatasetPercent
  // One that has processed all that the primary was seen to have has rightly lost those keys.
  return lacks > 0 && keys >= datasetKeysMin && isThin
    ? `${member.address} has ${member.facts.keyCount} keys where the lost primary had ${keys}, fewer than minDatasetPercent allows`
    : undefined
}

/**
 * Nobody has the history any more: everyone was restarted. The lost primary is the natural keeper of the data
 * if it came back with a fair part of what there is. If not (only its replicas saved to disk, say), the member
 * with most data is, once everyone was asked.
 */
function selectReturned(
  intent: Intent,
  { members, parked, failover, nowMs }: Around & { readonly parked: readonly LiveMember[] },
): Selection {
  const missing = members.filter((member) => !isLive(member) || member.facts.isLoading)
  const fullest = Math.max(0, ...parked.map(({ facts }) => facts.keyCount))
  const returned = parked.filter(isPromotable).find(({ address }) => address === intent.from)
  const keyCount = returned?.facts.keyCount ?? 0
  // Whoever did not answer once may have the history, and is given as long as a primary is.
  const downAfterMs = durationMs(failover.downAfter)
  const isAway = missing.some(({ failure }) => nowMs - (failure?.sinceMs ?? 0) < downAfterMs)
  // Of what replicas confirmed nothing may be missing that another one has.
  const share = (intent.waitReplicas ?? 0) > 0 ? 1 : fairShare
  if (returned !== undefined && keyCount > 0 && keyCount >= fullest * share && !isAway) {
    return { kind: 'chosen', member: returned }
  }
  if (missing.length > 0) {
    return none(
      `no member that answers has the history of the lost primary; waiting for ${addresses(missing)}`,
    )
  }
  const [best] = parked
    .filter(isPromotable)
    .sort((a, b) => b.facts.keyCount - a.facts.keyCount || rank(intent, a) - rank(intent, b))
  if (best === undefined || intent.fromReplId === undefined) {
    return none('no member that answers may be promoted')
  }
  const holder = parked.find(({ facts }) => best.facts.keyCount < facts.keyCount * share)
  if (holder !== undefined) {
    return none(
      `${holder.address} has ${holder.facts.keyCount} keys, ${best.address} ${best.facts.keyCount}; list the former and let it be promotable, or ask for the latter`,
    )
  }
  return { kind: 'chosen', member: best }
}

/** Expired keys are counted or not as it pleases a server; an older snapshot shows as less than this. */
const fairShare = 0.5

function rank(intent: Intent, member: Member): number {
  return member.address === intent.from ? -1 : 0
}

const none = (why: string): Selection => ({ kind: 'none', why })
