/** What can be said of one member, alone and beside the others. Pure. */
import type { EndpointSpec, MemberStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import {
  type Observation,
  type ProbeFailure,
  type ServerFacts,
  factsOf,
  failureOf,
} from '../observation.ts'
import type { Snapshot } from './types.ts'

export interface Member {
  readonly address: string
  readonly host: string
  readonly port: number
  readonly endpoint: EndpointSpec
  readonly observation: Observation
  /** Present while it answers. */
  readonly facts?: ServerFacts
  readonly failure?: ProbeFailure
  /** False: the recorded primary, which is no longer among the endpoints. */
  readonly isListed: boolean
  /** Why the recorded process is known to have ended. */
  readonly fate?: string
  /** What the status said of it last. */
  readonly former?: MemberStatus
}

/** A member that answers. */
export type LiveMember = Member & { readonly facts: ServerFacts }

export function membersOf(snapshot: Snapshot): readonly Member[] {
  const former = new Map(snapshot.proxy.status?.members?.map((member) => [member.address, member]))
  return snapshot.servers.map(({ address, host, endpoint, observation, isListed, fate }) => {
    const facts = factsOf(observation)
    const failure = failureOf(observation)
    const known = former.get(address)
    return {
      address,
      host,
      port: endpoint.port,
      endpoint,
      observation,
      isListed,
      ...(fate !== undefined && { fate }),
      ...(facts && { facts }),
      ...(failure && { failure }),
      ...(known && { former: known }),
    }
  })
}

export function isLive(member: Member): member is LiveMember {
  return member.facts !== undefined
}

const noHistory = /^0*$/

/**
 * How far a server has come in the history `replId`, or undefined if it has another one. A server that was
 * promoted since shares the history up to where it branched off.
 */
export function offsetIn(replId: string, facts: ServerFacts): number | undefined {
  if (noHistory.test(replId)) return undefined
  if (facts.replId === replId) return facts.offset
  if (facts.replId2 === replId) return Math.min(facts.offset, facts.secondReplOffset - 1)
  return undefined
}

/** Whether both have some history in common, the present or the one before. */
export function isRelated(a: ServerFacts, b: ServerFacts): boolean {
  const histories = [b.replId, b.replId2].filter((id) => !noHistory.test(id))
  return histories.includes(a.replId) || histories.includes(a.replId2)
}

/** Whether it follows the primary and has all that the primary sent so far, less what is under way. */
export function isAttached(facts: ServerFacts, primary: ServerFacts): boolean {
  return (
    facts.role === 'replica' &&
    facts.isLinkUp &&
    !facts.isSyncing &&
    facts.replId === primary.replId
  )
}

/**
 * Whether the data of a member may be replaced by the primary's: it is empty, or has the same history, or has
 * been part of this set. Anything else may be data that someone wants, behind an address that was a mistake.
 */
export function mayBeReplaced(member: LiveMember, primary: ServerFacts | undefined): boolean {
  if (member.former?.joined === true || member.facts.keyCount === 0) return true
  return primary !== undefined && isRelated(member.facts, primary)
}

/** Whether it may hold the primary's role at all, whatever its data. */
export function isPromotable(member: LiveMember): boolean {
  const { facts, endpoint } = member
  return endpoint.promotable && facts.priority !== 0 && !facts.isLoading && !facts.isSyncing
}

/** The history of the recorded primary as it was last seen, which may be newer than the record. */
export function primaryHistory(
  primary: NonNullable<RedisProxyStatus['primary']>,
  members: readonly Member[],
): string {
  const last = members.find(({ address }) => address === primary.address)?.observation.last
  return last?.runId === primary.runId && last.role === 'primary' ? last.replId : primary.replId
}

export function addresses(members: readonly Member[]): string {
  return members.map(({ address }) => address).join(', ')
}
