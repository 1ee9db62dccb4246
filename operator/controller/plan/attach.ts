/** The members around a primary that is well: who is made its replica, who is left alone. Pure. */
import { type ServerFacts, isParked } from '../observation.ts'
import type { Context } from './failover.ts'
import { type Failover, isUncounted, lossBy } from './loss.ts'
import { type LiveMember, type Member, isAttached, mayBeReplaced } from './members.ts'
import type { Action } from './types.ts'

export interface Around {
  readonly primary: Member
  readonly facts: ServerFacts
}

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
  const isFrozen = (member: LiveMember) => !isUncounted(context.status, member)
  return [
    ...parking,
    ...joining.map((member) => (isFrozen(member) ? join(member, around) : park(member))),
  ]
}

function park({ address, facts }: LiveMember): Action {
  return { kind: 'park', address, runId: facts.runId }
}

interface Beside {
  readonly others: readonly LiveMember[]
  readonly lastFailover: Failover | undefined
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
  readonly lastFailover: Failover | undefined
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
  const lost = lossBy(loss.lastFailover, facts)
  return lost.lostUnknown !== undefined || (lost.lostBytes ?? 0) > 0
}

function partition<T>(all: readonly T[], is: (each: T) => boolean): readonly [T[], T[]] {
  return [all.filter(is), all.filter((each) => !is(each))]
}
