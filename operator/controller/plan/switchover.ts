/**
 * A planned change of the primary: every sidecar holds its clients and has nothing under way, the old primary is
 * blocked, the target is seen to have all of it, roles change, clients go on. It is called off as long as the old primary
 * still is one and the target is not. Pure.
 */
import {
  fastDownMs,
  sidecarGraceMs,
  switchoverLagBytesMax,
  switchoverPollMs,
} from '../../../common/limits.ts'
import { type Intent, type PrimaryStatus, durationMs } from '../../api/redis-proxy.ts'
import type { ServerFacts } from '../observation.ts'
import { type Context, complete, continueFailover, intentOf, record } from './failover.ts'
import { wantedUser } from './guards.ts'
import {
  type LiveMember,
  type Member,
  addresses,
  isAttached,
  isLive,
  isPromotable,
} from './members.ts'
import { asked, beginOperation, endOperation, refuseOperation } from './operation.ts'
import { haveAllAcked } from './proof.ts'
import type { Action, Decision, Operation } from './types.ts'

/** Of `Decision.marks`. */
const switchingMark = 'switching'

interface Steady {
  readonly primary: PrimaryStatus
  readonly self: Member
  readonly facts: ServerFacts
}

/** What a healthy primary is to be replaced for, if for anything. */
export function planChange(
  context: Context,
  steady: Steady,
):
  | { readonly decision: Decision }
  | { readonly refusal: Decision['record']['operation'] }
  | undefined {
  const operation = asked(context, 'Switchover')
  const choice = chooseTarget(context, steady, operation?.to)
  if (operation !== undefined) {
    const why = 'why' in choice ? choice.why : obstacle(context, choice)
    if (why !== undefined && isNew(context)) return undefined
    if (why !== undefined) return { refusal: refuseOperation(context, operation, why) }
  }
  const { policy } = context.snapshot.proxy.spec.failover
  const isMove = operation === undefined && !steady.self.isListed && policy === 'Automatic'
  if ('why' in choice || (isMove && obstacle(context, choice) !== undefined)) return undefined
  if (operation === undefined && !isMove) return undefined
  return { decision: begin(context, steady, { target: choice.target, operation }) }
}

/** Sidecars and servers of a leader that has just begun are still coming back to it. */
function isNew({ snapshot, now }: Context): boolean {
  return now.monotonicMs - snapshot.watchedSinceMs < sidecarGraceMs
}

function chooseTarget(
  { members }: Context,
  { self, facts }: Steady,
  to: string | undefined,
): { readonly target: LiveMember; readonly lagBytes: number } | { readonly why: string } {
  const others = members.filter((member) => member !== self && member.isListed)
  const named = to === undefined ? others : others.filter(({ address }) => address === to)
  if (named.length === 0) {
    const why = to === self.address ? 'is the primary already' : 'is not among the endpoints'
    return { why: to === undefined ? 'there is no other server' : `${to} ${why}` }
  }
  const [target] = named
    .filter(isLive)
    .filter((member) => isPromotable(member) && isAttached(member.facts, facts))
    .sort((a, b) => b.facts.offset - a.facts.offset || a.facts.priority - b.facts.priority)
  if (target === undefined) {
    return { why: `${addresses(named)} does not follow the primary, or may not be promoted` }
  }
  return { target, lagBytes: Math.max(0, facts.offset - target.facts.offset) }
}

function obstacle(
  context: Context,
  { target, lagBytes }: { readonly target: LiveMember; readonly lagBytes: number },
): string | undefined {
  if (context.snapshot.proxy.spec.suspend) return 'the RedisProxy is suspended'
  if (lagBytes > switchoverLagBytesMax) {
    return `${target.address} is ${lagBytes} bytes behind; it must be within ${switchoverLagBytesMax}`
  }
  return haveAllAcked(context)
    ? undefined
    : 'not every sidecar is connected and up to date, so that not every client could be held'
}

function begin(
  context: Context,
  { primary, facts }: Steady,
  { target, operation }: { readonly target: LiveMember; readonly operation: Operation | undefined },
): Decision {
  const why = operation === undefined ? 'it is no longer among the endpoints' : operation.name
  const intent: Intent = {
    ...intentOf(context, {
      kind: 'Switchover',
      primary,
      fromReplId: facts.replId,
      reason: operation === undefined ? why : `asked for by ${why}`,
    }),
    target: target.address,
    targetRunId: target.facts.runId,
    ...(operation && { operation: operation.name }),
  }
  const message = `${primary.address} hands over to ${target.address}`
  const epoch = (context.status.epoch ?? 0) + 1
  return {
    record: record(context, {
      epoch,
      phase: 'Switching',
      intent,
      ...(operation && { operation: beginOperation(context, operation, message) }),
    }),
    actions: prepare(context, { facts, epoch, from: primary.address, target }),
    verdict: { status: 'False', reason: 'SwitchoverInProgress', message },
    events: [{ type: 'Normal', reason: 'SwitchoverStarted', action: 'Switchover', message }],
    marks: [switchingMark],
    requeueAfterMs: switchoverPollMs,
  }
}

/**
 * While sidecars let go of the old primary: it is given what it will log in with, for else it would be kept out by the
 * target for up to a second; and the target takes writes although nobody follows it yet.
 */
function prepare(
  context: Context,
  change: {
    readonly facts: ServerFacts
    readonly epoch: number
    readonly from: string
    readonly target: LiveMember
  },
): readonly Action[] {
  const { facts, epoch, from, target } = change
  const { address, facts: own } = target
  const user = wantedUser(context, own, epoch)
  const mayTell = facts.guards !== undefined && facts.guards.refused === undefined
  const replicas = [{ address: from, runId: facts.runId }]
  const isBlocked = own.guards !== undefined && own.guards.minReplicas > 0
  const isOurs = context.snapshot.proxy.spec.failover.guards.minReplicas === 'Adaptive'
  return [
    ...(user !== undefined && mayTell
      ? [{ kind: 'protect', address, runId: own.runId, user, replicas } as const]
      : []),
    ...(isBlocked && isOurs
      ? [{ kind: 'minReplicas', address, runId: own.runId, count: 0 } as const]
      : []),
  ]
}

export function continueSwitchover(context: Context, intent: Intent): Decision {
  const from = context.members.find(({ address }) => address === intent.from)
  const target = context.members.find(({ address }) => address === intent.target)
  if (target !== undefined && isLive(target) && target.facts.runId === intent.targetRunId) {
    if (target.facts.role === 'primary') {
      return complete(context, { ...intent, proof: 'HandedOver' }, target)
    }
  }
  const isThere = from !== undefined && isLive(from) && from.facts.runId === intent.fromRunId
  if (!isThere || from.facts.role !== 'primary') return lose(context, intent, from)
  const callOff = reasonToCallOff(context, intent, target)
  if (callOff !== undefined || target === undefined) {
    return abort(context, intent, { from, why: callOff ?? 'the target is gone' })
  }
  return {
    ...wait(context, intent),
    actions: haveAllAcked(context) ? handOver(context, intent, { from, target }) : [],
  }
}

function handOver(
  context: Context,
  { targetRunId = '' }: Intent,
  { from, target }: { readonly from: LiveMember; readonly target: Member },
): Decision['actions'] {
  const { address, host, port } = target
  return [
    {
      kind: 'handOver',
      address: from.address,
      runId: from.facts.runId,
      to: { address, runId: targetRunId, host, port },
      timeoutMs: Math.max(100, Math.floor(timeoutMs(context) / 2)),
    },
  ]
}

function timeoutMs({ snapshot }: Context): number {
  return durationMs(snapshot.proxy.spec.failover.switchoverTimeout)
}

function reasonToCallOff(
  context: Context,
  intent: Intent,
  target: Member | undefined,
): string | undefined {
  if (target?.facts !== undefined && target.facts.runId !== intent.targetRunId) {
    return `${target.address} was restarted`
  }
  const sinceMs = context.snapshot.marks?.[switchingMark]
  const isLate = sinceMs !== undefined && context.now.monotonicMs - sinceMs >= timeoutMs(context)
  if (!isLate) return undefined
  return haveAllAcked(context)
    ? `${intent.target ?? 'the target'} did not catch up in time`
    : 'not every sidecar held its clients in time'
}

/** The old primary is published again under the new epoch; whoever held clients for it lets them go on. */
function abort(
  context: Context,
  intent: Intent,
  { from, why }: { readonly from: LiveMember; readonly why: string },
): Decision {
  const { address, host, facts } = from
  const operation = endOperation(context, intent, { phase: 'Failed', message: why })
  const since = intent.fromSince ?? new Date(context.now.wallMs).toISOString()
  return {
    record: record(context, {
      phase: 'Steady',
      primary: { address, runId: facts.runId, replId: facts.replId, host, since },
      ...(operation && { operation }),
    }),
    actions: [{ kind: 'unpause', address, runId: facts.runId }],
    verdict: { status: 'True', reason: 'Steady', message: `${address} is the primary` },
    events: [
      {
        type: 'Warning',
        reason: 'SwitchoverCalledOff',
        action: 'Switchover',
        message: `${address} stays the primary: ${why}`,
      },
    ],
    requeueAfterMs: 0,
  }
}

/** The old primary went away in the middle: from here on it is a failover, with all its proofs. */
function lose(context: Context, intent: Intent, from: Member | undefined): Decision {
  const { failure, facts, fate } = from ?? {}
  const nowMs = context.now.monotonicMs
  const downAfterMs = durationMs(context.snapshot.proxy.spec.failover.downAfter)
  const isOther = facts !== undefined && facts.runId !== intent.fromRunId
  const isRefused = nowMs - (failure?.refusedSinceMs ?? nowMs) >= fastDownMs
  const isSilent = nowMs - (failure?.sinceMs ?? nowMs) >= downAfterMs
  const isLost = from === undefined || isOther || fate !== undefined || isRefused || isSilent
  // A demoted one without a promoted target: the target has what it needs, or another will do.
  if (!isLost && facts === undefined) return wait(context, intent)
  const { target: _target, targetRunId: _runId, operation: _operation, ...open } = intent
  const why = 'the old primary was lost meanwhile; a failover takes over'
  const operation = endOperation(context, intent, { phase: 'Failed', message: why })
  const failover: Intent = {
    ...open,
    kind: 'Failover',
    reason: `${intent.reason}, and it was lost`,
  }
  const status = { ...context.status, ...(operation && { operation }) }
  return continueFailover({ ...context, status }, failover)
}

function wait(context: Context, intent: Intent): Decision {
  const message = `${intent.from ?? ''} hands over to ${intent.target ?? ''}`
  return {
    record: record(context, { phase: 'Switching', intent }),
    actions: [],
    verdict: { status: 'False', reason: 'SwitchoverInProgress', message },
    events: [],
    marks: [switchingMark],
    requeueAfterMs: switchoverPollMs,
  }
}
