/** The reporting half of the status: members and sidecars. Pure. */
import type { MemberStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import type { ServerFacts } from '../observation.ts'
import { isQuarantined } from './attach.ts'
import { describe } from './judge.ts'
import {
  type LiveMember,
  type Member,
  isAttached,
  isLive,
  mayBeReplaced,
  offsetIn,
} from './members.ts'
import type { DecisionRecord, Snapshot } from './types.ts'

export function memberStatuses(
  snapshot: Snapshot,
  members: readonly Member[],
  record: DecisionRecord,
): readonly MemberStatus[] {
  const self = members.find(({ address }) => address === record.primary?.address)
  const primary = self?.facts?.role === 'primary' ? self.facts : undefined
  return members.map((member) => {
    const joined = hasJoined(member, { record, primary })
    const status = isLive(member)
      ? liveStatus(member, { snapshot, record, primary })
      : unreachableStatus(member)
    return { ...status, ...(joined && { joined }) }
  })
}

interface Around {
  readonly snapshot: Snapshot
  readonly record: DecisionRecord
  readonly primary: ServerFacts | undefined
}

function hasJoined(
  member: Member,
  { record, primary }: Pick<Around, 'record' | 'primary'>,
): boolean {
  if (member.former?.joined === true || member.address === record.primary?.address) return true
  const { facts } = member
  if (facts === undefined) return false
  // Whoever shares the recorded history is of this set, whether or not there is a primary just now.
  const history = record.primary?.replId ?? record.intent?.fromReplId
  if (history !== undefined && offsetIn(history, facts) !== undefined) return true
  return primary !== undefined && isAttached(facts, primary)
}

function liveStatus(member: LiveMember, around: Around): MemberStatus {
  const { primary } = around
  const { address, facts } = member
  const state = stateOf(member, around)
  const isFollower = primary !== undefined && facts.replId === primary.replId
  const message = messageOf(member, state, primary)
  return {
    address,
    role: facts.role,
    state,
    runId: facts.runId,
    offset: facts.offset,
    ...(isFollower && { lagBytes: Math.max(0, primary.offset - facts.offset) }),
    ...(message !== undefined && { message }),
  }
}

function stateOf(member: LiveMember, { snapshot, record, primary }: Around): MemberStatus['state'] {
  const { address, facts } = member
  if (facts.isLoading) return 'Loading'
  const { lastFailover } = record
  if (
    primary !== undefined &&
    isQuarantined({ snapshot }, member, { lastFailover, facts: primary })
  ) {
    return 'Quarantined'
  }
  if (facts.role === 'primary') return isExpected(address, record) ? 'Online' : 'Stray'
  if (primary === undefined) return facts.isSyncing ? 'Syncing' : 'Online'
  return isAttached(facts, primary) ? 'Online' : 'Syncing'
}

/** In a change that is under way its two sides may both be primaries for a moment. */
function isExpected(address: string, { primary, intent }: DecisionRecord): boolean {
  if (primary !== undefined) return address === primary.address
  return address === intent?.target || (intent?.kind === 'Switchover' && address === intent.from)
}

function messageOf(
  member: LiveMember,
  state: MemberStatus['state'],
  primary: ServerFacts | undefined,
): string | undefined {
  if (primary === undefined || state === 'Online' || state === 'Loading') return undefined
  if (state === 'Quarantined') {
    return 'a former primary with writes that the present one lacks; kept as it is. Set failover.divergedPrimary: Rejoin to give them up'
  }
  if (!mayBeReplaced(member, primary)) {
    return 'holds data that is not of this set; it is left alone. Empty it, or take it out of the endpoints'
  }
  return state === 'Stray'
    ? 'a primary that is not the recorded one'
    : 'does not follow the primary yet'
}

function unreachableStatus({ address, former, failure }: Member): MemberStatus {
  return {
    address,
    role: former?.role ?? 'unknown',
    state: 'Unreachable',
    ...(former?.runId !== undefined && { runId: former.runId }),
    ...(former?.offset !== undefined && { offset: former.offset }),
    message: failure === undefined ? 'was not looked at yet' : describe(failure),
  }
}

export function sidecarSummary(snapshot: Snapshot): NonNullable<RedisProxyStatus['sidecars']> {
  const { sidecars, published } = snapshot
  const connected = sidecars.length
  const current = sidecars.filter(
    ({ acked, error }) =>
      error === undefined && (acked?.version ?? -1) >= (published?.version ?? 0),
  ).length
  return { connected, current, summary: `${current}/${connected}` }
}
