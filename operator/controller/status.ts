/** When a status is worth writing, and what a change of it is worth telling. Pure. */
import { statusOffsetIntervalMs, statusReportDelayMs } from '../../common/limits.ts'
import type { RedisProxy, RedisProxyStatus } from '../api/redis-proxy.ts'
import type { ProxyEvent } from './provider.ts'

/** Steps of a change that clients wait for: each write in between is time in which they are held. */
const hurriedPhases: ReadonlySet<string> = new Set([
  'Switching',
  'Fencing',
  'Selecting',
  'Promoting',
])

/**
 * Differences that are only the progress of replication wait, and in the midst of a change those that only report;
 * everything else is written at once.
 */
export function needsWrite(
  former: RedisProxyStatus | undefined,
  next: RedisProxyStatus,
  sinceLastWriteMs: number,
): boolean {
  if (former === undefined) return true
  const isHurried = hurriedPhases.has(next.phase ?? '') && sinceLastWriteMs < statusReportDelayMs
  if (isHurried && canonical(decided(former)) === canonical(decided(next))) return false
  if (canonical(withoutProgress(former)) !== canonical(withoutProgress(next))) return true
  return sinceLastWriteMs >= statusOffsetIntervalMs && canonical(former) !== canonical(next)
}

/** The status of a resource that cannot be worked on at all: what was known stays, and Ready says why. */
export function failedStatus(
  proxy: RedisProxy,
  { reason, message, wallMs }: { reason: string; message: string; wallMs: number },
): RedisProxyStatus {
  const former = proxy.status?.conditions ?? []
  const before = former.find(({ type }) => type === 'Ready')
  const ready = {
    type: 'Ready',
    status: 'False',
    reason,
    message,
    lastTransitionTime:
      before?.status === 'False'
        ? before.lastTransitionTime
        : new Date(wallMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    observedGeneration: proxy.metadata.generation,
  } as const
  return {
    ...proxy.status,
    observedGeneration: proxy.metadata.generation,
    conditions: [ready, ...former.filter(({ type }) => type !== 'Ready')],
  }
}

/** What another leader goes on from; the rest is for people. */
function decided(status: RedisProxyStatus): object {
  const { epoch, phase, primary, intent, guards, lastFailover, failovers, operation } = status
  return { epoch, phase, primary, intent, guards, lastFailover, failovers, operation }
}

function withoutProgress(status: RedisProxyStatus): RedisProxyStatus {
  const members = status.members?.map(({ offset: _offset, lagBytes: _lag, ...member }) => member)
  return { ...status, ...(members && { members }) }
}

/** JSON with sorted keys and without undefined: an API server may order fields as it likes. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, child: unknown) => {
    if (typeof child !== 'object' || child === null || Array.isArray(child)) return child
    return Object.fromEntries(Object.entries(child).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** Events that follow from what changed, beside those of the decision itself. */
export function changeEvents(
  former: RedisProxyStatus | undefined,
  next: RedisProxyStatus,
): readonly ProxyEvent[] {
  return [
    ...conditionEvents(former, next),
    ...memberEvents(former, next),
    ...lossEvents(former, next),
  ]
}

const watchedConditions = [
  { type: 'PrimaryAvailable', good: 'True' },
  { type: 'Stalled', good: 'False' },
] as const

function conditionEvents(
  former: RedisProxyStatus | undefined,
  next: RedisProxyStatus,
): readonly ProxyEvent[] {
  return watchedConditions.flatMap(({ type, good }) => {
    const before = former?.conditions?.find((condition) => condition.type === type)
    const after = next.conditions?.find((condition) => condition.type === type)
    if (after === undefined || after.status === 'Unknown') return []
    if (before?.status === after.status && before.reason === after.reason) return []
    const isGood = after.status === good
    if (isGood && (before === undefined || type === 'Stalled')) return []
    // A failover tells its own story.
    if (
      !isGood &&
      ['FailoverInProgress', 'SwitchoverInProgress', 'Bootstrap'].includes(after.reason)
    )
      return []
    return [
      {
        type: isGood ? 'Normal' : 'Warning',
        reason: isGood ? 'PrimaryAvailable' : after.reason,
        action: 'Observe',
        message: after.message,
      },
    ]
  })
}

function memberEvents(
  former: RedisProxyStatus | undefined,
  next: RedisProxyStatus,
): readonly ProxyEvent[] {
  const hasPrimary = next.conditions?.some(
    ({ type, status }) => type === 'PrimaryAvailable' && status === 'True',
  )
  return (next.members ?? []).flatMap((member): readonly ProxyEvent[] => {
    const before = former?.members?.find(({ address }) => address === member.address)
    if (before === undefined || before.state === member.state) return []
    const { address, message = '' } = member
    if (member.state === 'Unreachable') {
      return [observed('Warning', 'MemberUnreachable', `${address}: ${message}`)]
    }
    if (member.state === 'Stray') {
      return [observed('Warning', 'StrayPrimary', `${address} came back as a primary: ${message}`)]
    }
    if (member.state === 'Online' && member.role === 'replica' && hasPrimary === true) {
      return [observed('Normal', 'ReplicaAttached', `${address} follows the primary`)]
    }
    return []
  })
}

function observed(type: ProxyEvent['type'], reason: string, message: string): ProxyEvent {
  return { type, reason, action: 'Observe', message }
}

/** Each failover's loss is told once, however many came after it. */
function lossEvents(
  former: RedisProxyStatus | undefined,
  next: RedisProxyStatus,
): readonly ProxyEvent[] {
  const before = new Map(failoversOf(former).map((each) => [each.epoch, each]))
  return failoversOf(next).flatMap((each) => lossEvent(before.get(each.epoch), each))
}

type Failover = NonNullable<RedisProxyStatus['lastFailover']>

function failoversOf(status: RedisProxyStatus | undefined): readonly Failover[] {
  const { lastFailover, failovers = [] } = status ?? {}
  return lastFailover === undefined ? failovers : [lastFailover, ...failovers]
}

function lossEvent(before: Failover | undefined, failover: Failover): readonly ProxyEvent[] {
  const { lostBytes, lostUnknown, kind } = failover
  const from = failover.from ?? 'the old primary'
  if (lostUnknown !== undefined) {
    if (before?.lostUnknown !== undefined) return []
    return [observed('Warning', 'LossUnknown', `${from} came back: ${lostUnknown}`)]
  }
  if (lostBytes === undefined || before?.lostBytes === lostBytes) return []
  if (lostBytes > 0) {
    const message = `${from} came back: ${lostBytes} bytes of its history had not reached the new primary`
    return [observed('Warning', 'WritesLost', message)]
  }
  // A planned change loses nothing, and says so itself.
  if (kind === 'Switchover') return []
  return [observed('Normal', 'NothingLost', `${from} came back: nothing was lost in the failover`)]
}
