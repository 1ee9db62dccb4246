/** The members around a primary that is well: who is made its replica, who is left alone, and what was lost on the way. Pure. */
import type { RedisProxyStatus } from '../../api/redis-proxy.ts'
import { type ServerFacts, isParked } from '../observation.ts'
import type { Context } from './failover.ts'
import { type LiveMember, type Member, isAttached, mayBeReplaced } from './members.ts'
import type { Action } from './types.ts'

export interface Around {
  readonly primary: Member
  readonly facts: ServerFacts
}

type LastFailover = NonNullable<RedisProxyStatus['lastFailover']>

/**
 * Makes those its replicas that follow nobody or another, `parallelSyncs` at a time, each once it has the credentials to
 * log in. A former primary whose data went another way is parked where the user wants to keep that.
 */
export function attachAll(
  context: Context,
  others: readonly LiveMember[],
  around: Around,
): readonly Action[] {
  const { parallelSyncs } = context.snapshot.proxy.spec.failover
  const { lastFailover } = context.status
  const [kept, wanted] = partition(others, (member) =>
    isQuarantined(context, member, { lastFailover, facts: around.facts }),
  )
  const parking = kept.filter(({ facts }) => !isParked(facts) && !facts.isLoading).map(park)
  const syncing = wanted.filter(({ facts }) => facts.isSyncing)
  const room = Math.max(0, parallelSyncs - syncing.length)
  const joining = wanted
    .filter((member) => isToJoin(member, { others, lastFailover }, around))
    .slice(0, room)
  const isFrozen = (member: LiveMember) => !isUncounted(lastFailover, member, around.facts)
  return [
    ...parking,
    ...joining.map((member) => (isFrozen(member) ? join(member, around) : park(member))),
  ]
}

/** The old primary before it was seen how much it had: it may still run what it was sent, until it is parked. */
function isUncounted(
  last: LastFailover | undefined,
  { address, facts }: LiveMember,
  primary: ServerFacts,
): boolean {
  if (last === undefined || last.from !== address || facts.role !== 'primary') return false
  if (last.lostBytes !== undefined || last.lostUnknown !== undefined) return false
  return lossBy(last, facts, primary).lostBytes !== undefined
}

function park({ address, facts }: LiveMember): Action {
  return { kind: 'park', address, runId: facts.runId }
}

interface Beside {
  readonly others: readonly LiveMember[]
  readonly lastFailover: LastFailover | undefined
}

function isToJoin(
  member: LiveMember,
  { others, lastFailover }: Beside,
  { primary, facts: own }: Around,
): boolean {
  const { facts } = member
  if (facts.isLoading || isFollowing(facts, primary)) return false
  // Behind another replica it has the data too, but does not count for the primary and is lost with that replica.
  const isChained =
    others.some((other) => isFollowing(facts, other)) || hasStayed(facts, lastFailover?.from)
  if (isAttached(facts, own) && !isChained) return false
  return mayBeReplaced(member, own)
}

/** Whether it follows the former primary still, which may not be among the members any more. */
function hasStayed({ source }: ServerFacts, from: string | undefined): boolean {
  if (source === undefined || from === undefined) return false
  const colon = from.lastIndexOf(':')
  const host = from.slice(0, colon)
  const isHost = source.host === host || source.host.startsWith(`${host}.`)
  return isHost && source.port === Number(from.slice(colon + 1))
}

export function isFollowing(facts: ServerFacts, primary: Member): boolean {
  const { role, source } = facts
  return role === 'replica' && source?.host === primary.host && source.port === primary.port
}

function join({ address, facts }: LiveMember, { primary }: Around): Action {
  const source = { host: primary.host, port: primary.port }
  return { kind: 'replicate', address, runId: facts.runId, source }
}

interface Loss {
  readonly lastFailover: LastFailover | undefined
  readonly facts: ServerFacts
}

/** Whether it is the old primary, has writes that the present one lacks, and is to be kept as it is. */
export function isQuarantined(
  { snapshot }: Pick<Context, 'snapshot'>,
  { address, facts, former }: LiveMember,
  loss: Loss,
): boolean {
  if (snapshot.proxy.spec.failover.divergedPrimary !== 'Quarantine') return false
  if (former?.state === 'Quarantined') return !isAttached(facts, loss.facts)
  if (address !== loss.lastFailover?.from) return false
  const lost = lossBy(loss.lastFailover, facts, loss.facts)
  return lost.lostUnknown !== undefined || (lost.lostBytes ?? 0) > 0
}

/**
 * What the old primary had and the new one has not, once it is back and parked. Exact while the old one still counts in
 * the history that the new one branched off from; a restarted one counts anew.
 */
export function withLoss(
  last: LastFailover | undefined,
  others: readonly LiveMember[],
  primary: ServerFacts,
): LastFailover | undefined {
  if (last === undefined || last.lostBytes !== undefined || last.lostUnknown !== undefined) {
    return last
  }
  const old = others.find(({ address }) => address === last.from)
  if (old === undefined || old.facts.isLoading || last.from === last.to) return last
  if (isUncounted(last, old, primary)) return last
  return { ...last, ...lossBy(last, old.facts, primary) }
}

function lossBy(
  { fromReplId }: LastFailover,
  old: ServerFacts,
  primary: ServerFacts,
): Pick<LastFailover, 'lostBytes' | 'lostUnknown'> {
  const isOfHistory = old.replId === primary.replId2 && old.replId === (fromReplId ?? old.replId)
  // Of a replica that follows again the offset counts in the new history.
  if (isOfHistory && (old.role === 'primary' || isParked(old))) {
    return { lostBytes: Math.max(0, old.offset - (primary.secondReplOffset - 1)) }
  }
  if (old.replId === primary.replId) return {}
  return { lostUnknown: 'the old primary was restarted and counts its history anew' }
}

function partition<T>(all: readonly T[], is: (each: T) => boolean): readonly [T[], T[]] {
  return [all.filter(is), all.filter((each) => !is(each))]
}
