/** What was lost in failovers: told when the old primary is back, of each, however many came after it. Pure. */
import { failoversKeptMax } from '../../../common/limits.ts'
import type { RedisProxyStatus } from '../../api/redis-proxy.ts'
import { type ServerFacts, isParked } from '../observation.ts'
import type { LiveMember } from './members.ts'

export type Failover = NonNullable<RedisProxyStatus['lastFailover']>
type Loss = Pick<Failover, 'lostBytes' | 'lostUnknown'>
type History = Pick<RedisProxyStatus, 'lastFailover' | 'failovers'>

/** The last failovers with `next` as the newest. */
export function remember({ lastFailover, failovers = [] }: History, next: Failover): History {
  const former = lastFailover === undefined ? failovers : [lastFailover, ...failovers]
  const kept = former.slice(0, failoversKeptMax)
  return { lastFailover: next, ...(kept.length > 0 && { failovers: kept }) }
}

/** The history as far as it goes on unchanged. */
export function historyOf({ lastFailover, failovers }: History): History {
  return { ...(lastFailover && { lastFailover }), ...(failovers && { failovers }) }
}

interface Around {
  readonly others: readonly LiveMember[]
  /** Address of the present primary. */
  readonly primary: string
}

/** The history with whatever can be told by now. */
export function withLosses(history: History, around: Around): History {
  const { lastFailover, failovers } = history
  return {
    ...(lastFailover && { lastFailover: withLoss(lastFailover, around) }),
    ...(failovers && { failovers: failovers.map((each) => withLoss(each, around)) }),
  }
}

function withLoss(failover: Failover, { others, primary }: Around): Failover {
  if (isTold(failover)) return failover
  if (failover.from === primary) return { ...failover, lostUnknown: again }
  const old = others.find(({ address }) => address === failover.from)
  if (old === undefined || old.facts.isLoading) return failover
  if (isStillWriting(failover, old)) return failover
  return { ...failover, ...lossBy(failover, old.facts) }
}

function isTold({ from, to, lostBytes, lostUnknown }: Failover): boolean {
  return from === undefined || from === to || lostBytes !== undefined || lostUnknown !== undefined
}

/** Whether it is the old primary of a failover whose loss can be counted, and has not been parked for that. */
export function isUncounted(history: History, member: LiveMember): boolean {
  const { lastFailover, failovers = [] } = history
  const all = lastFailover === undefined ? failovers : [lastFailover, ...failovers]
  return all.some(
    (failover) =>
      failover.from === member.address && !isTold(failover) && isStillWriting(failover, member),
  )
}

/** One that has just come back may still run what it had been sent, until it is parked. */
function isStillWriting(failover: Failover, { facts }: LiveMember): boolean {
  return facts.role === 'primary' && isCountable(failover, facts)
}

/** A restarted server may tell the same history, from what it had stored of it, and count from there. */
function isCountable({ fromRunId, fromReplId, branchOffset }: Failover, old: ServerFacts): boolean {
  const isSame = fromRunId === undefined || old.runId === fromRunId
  return isSame && branchOffset !== undefined && old.replId === fromReplId
}

/**
 * Exact while the old one still counts in the history that the new one branched off from: a restarted one counts anew,
 * and of a replica that follows again the offset counts in the new history.
 */
export function lossBy(failover: Failover, old: ServerFacts): Loss {
  const isFinal = old.role === 'primary' || isParked(old)
  if (isFinal && isCountable(failover, old)) {
    return { lostBytes: Math.max(0, old.offset - (failover.branchOffset ?? 0)) }
  }
  return { lostUnknown: old.role === 'replica' && old.isLinkUp ? followed : restarted }
}

const restarted = 'the old primary was restarted and counts its history anew'
const followed = 'the old primary followed the new one before it was counted'
const again = 'the old primary became the primary again before it was counted'
