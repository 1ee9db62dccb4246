/**
 * A failover in progress, from the recorded intent on: fence, choose, promote, record. Every call looks at the
 * world anew and takes the next step, so that it does not matter who took the last one. Pure.
 *
 * Invariants: no member is promoted unless the record names it and its process as the target; no target is
 * recorded without proof that no sidecar can still write to the lost primary; the record has no primary until
 * the target was seen as one.
 */
import { fastDownMs } from '../../../common/limits.ts'
import { type Intent, type RedisProxyStatus, durationMs } from '../../api/redis-proxy.ts'
import { isParked } from '../observation.ts'
import { type LiveMember, type Member, isLive, mayBeReplaced, offsetIn } from './members.ts'
import { selectCandidate } from './select.ts'
import type { Action, Decision, Now, Snapshot, Verdict } from './types.ts'

export interface Context {
  readonly snapshot: Snapshot
  readonly status: RedisProxyStatus
  readonly members: readonly Member[]
  readonly now: Now
}

export interface Loss {
  readonly kind: 'Failover' | 'Rebless'
  readonly from: string
  readonly fromRunId: string
  readonly fromReplId: string
  readonly reason: string
}

/** Records the intent and withdraws the primary: the first step, and the only one that raises the epoch. */
export function beginFailover(context: Context, loss: Loss): Decision {
  const { status, now } = context
  const intent: Intent = { ...loss, startedAt: new Date(now.wallMs).toISOString() }
  const epoch = (status.epoch ?? 0) + 1
  return {
    record: record(context, { epoch, phase: 'Fencing', intent }),
    actions: parkAll(context, intent),
    verdict: {
      status: 'False',
      reason: 'FailoverInProgress',
      message: `${loss.from} is lost: ${loss.reason}`,
    },
    events: [
      {
        type: 'Warning',
        reason: 'FailoverStarted',
        action: 'Failover',
        message: `${loss.from} is lost: ${loss.reason} (epoch ${epoch})`,
      },
    ],
    requeueAfterMs: 0,
  }
}

export function continueFailover(context: Context, intent: Intent): Decision {
  return intent.target === undefined ? fence(context, intent) : promote(context, intent)
}

function fence(context: Context, intent: Intent): Decision {
  const actions = parkAll(context, intent)
  const stay = (reason: string, message: string): Decision => ({
    record: record(context, { phase: 'Fencing', intent }),
    actions,
    verdict: { status: 'False', reason, message },
    events: [],
    requeueAfterMs: retryMs,
  })
  const proof = fenceProof(context, intent)
  if (proof === undefined) {
    const from = intent.from ?? 'the old primary'
    return stay(
      'WaitingForFencing',
      `${from} may still take writes: it is not known to be gone and not every sidecar has let go of it`,
    )
  }
  if (actions.length > 0) {
    const waiting = actions.map(({ address }) => address).join(', ')
    return stay('FailoverInProgress', `waiting for ${waiting} to be parked`)
  }
  const selection = selectCandidate(intent, context.members)
  if (selection.kind === 'none') return stay('NoEligibleCandidate', selection.why)
  const { address, facts } = selection.member
  const target = { target: address, targetRunId: facts.runId }
  return {
    record: record(context, { phase: 'Promoting', intent: { ...intent, ...target } }),
    actions: [{ kind: 'promote', address, runId: facts.runId }],
    verdict: {
      status: 'False',
      reason: 'FailoverInProgress',
      message: `${address} is being promoted (fence: ${proof})`,
    },
    events: [],
    requeueAfterMs: 0,
  }
}

const retryMs = 250

/**
 * Parks whoever is part of the set and answers, the lost primary too if it does: a parked server keeps its
 * data, takes no writes, and an empty one that comes back cannot overwrite it.
 */
function parkAll({ members }: Context, intent: Intent): readonly Action[] {
  return members
    .filter(isLive)
    .filter(({ facts }) => !isParked(facts) && !facts.isLoading)
    .filter((member) => isPartOfSet(member, intent))
    .map(({ address, facts }) => ({ kind: 'park', address, runId: facts.runId }))
}

function isPartOfSet(member: LiveMember, intent: Intent): boolean {
  if (member.address === intent.from || mayBeReplaced(member, undefined)) return true
  return offsetIn(intent.fromReplId ?? '', member.facts) !== undefined
}

type Proof = 'ProcessDead' | 'ServerDemoted' | 'ProxiesAcked'

/** Why no sidecar can write to the lost primary any more; undefined as long as one might. */
export function fenceProof(context: Context, intent: Intent): Proof | undefined {
  const from = context.members.find(({ address }) => address === intent.from)
  if (from?.facts !== undefined) {
    if (from.facts.runId !== intent.fromRunId) return 'ProcessDead'
    if (from.facts.role === 'replica') return 'ServerDemoted'
  }
  if (from?.failure?.kind === 'refused') return 'ProcessDead'
  return haveAllAcked(context) ? 'ProxiesAcked' : undefined
}

function haveAllAcked({ snapshot, status }: Context): boolean {
  const { expectedSidecars, sidecars } = snapshot
  if (expectedSidecars === undefined) return false
  const epoch = status.epoch ?? 0
  const obedient = new Set(
    sidecars.filter(({ acked }) => (acked?.epoch ?? -1) >= epoch).map(({ id }) => id),
  )
  const ids = [...expectedSidecars, ...sidecars.map(({ id }) => id)]
  return ids.every((id) => obedient.has(id))
}

function promote(context: Context, intent: Intent): Decision {
  const target = context.members.find(({ address }) => address === intent.target)
  const lost = whyLost(context, intent, target)
  if (lost !== undefined || target?.facts === undefined) {
    return lost === undefined ? expectTarget(context, intent) : dropTarget(context, intent, lost)
  }
  if (target.facts.role === 'primary')
    return complete(context, intent, { ...target, facts: target.facts })
  return expectTarget(context, intent, {
    kind: 'promote',
    address: target.address,
    runId: target.facts.runId,
  })
}

/** The target was never published, so nobody wrote to it: another may be chosen if it is lost. */
function whyLost(
  { snapshot, now }: Context,
  intent: Intent,
  target: Member | undefined,
): string | undefined {
  if (target === undefined) return 'it is no longer among the endpoints'
  const { facts, failure } = target
  if (facts !== undefined && facts.runId !== intent.targetRunId) return 'it was restarted'
  if (failure === undefined) return undefined
  const refusedMs = now.monotonicMs - (failure.refusedSinceMs ?? now.monotonicMs)
  if (refusedMs >= fastDownMs) return 'it refuses connections'
  const failingMs = now.monotonicMs - failure.sinceMs
  const downAfterMs = durationMs(snapshot.proxy.spec.failover.downAfter)
  return failingMs >= downAfterMs ? 'it does not answer' : undefined
}

function expectTarget(context: Context, intent: Intent, action?: Action): Decision {
  return {
    record: record(context, { phase: 'Promoting', intent }),
    actions: action === undefined ? [] : [action],
    verdict: {
      status: 'False',
      reason: intent.kind === 'Bootstrap' ? 'Bootstrap' : 'FailoverInProgress',
      message: `${intent.target ?? ''} is being promoted`,
    },
    events: [],
    requeueAfterMs: action === undefined ? fastDownMs : retryMs,
  }
}

function dropTarget(context: Context, intent: Intent, why: string): Decision {
  const { target = '', targetRunId: _dropped, ...open } = intent
  const event = {
    type: 'Warning',
    reason: 'TargetLost',
    action: 'Failover',
    message: `${target} was to be promoted and is lost: ${why}`,
  } as const
  const verdict: Verdict = {
    status: 'False',
    reason: 'FailoverInProgress',
    message: `${event.message}; another is chosen`,
  }
  const isBootstrap = intent.kind === 'Bootstrap'
  return {
    record: record(
      context,
      isBootstrap ? { phase: 'Waiting' } : { phase: 'Fencing', intent: open },
    ),
    actions: [],
    verdict,
    events: [event],
    requeueAfterMs: 0,
  }
}

function complete(context: Context, intent: Intent, { address, facts }: LiveMember): Decision {
  const { now, status } = context
  const completedAt = new Date(now.wallMs).toISOString()
  const epoch = status.epoch ?? 0
  const durationMs = Math.max(0, now.wallMs - Date.parse(intent.startedAt))
  const primary = { address, runId: facts.runId, replId: facts.replId, since: completedAt }
  const failover = {
    reason: intent.reason,
    ...(intent.from !== undefined && { from: intent.from }),
    to: address,
    epoch,
    detectedAt: intent.startedAt,
    completedAt,
    durationMs,
  }
  const lastFailover = intent.kind === 'Bootstrap' ? status.lastFailover : failover
  const isSame = address === intent.from
  const what = isSame ? 'is the primary again' : 'was promoted'
  return {
    record: { epoch, phase: 'Steady', primary, ...(lastFailover && { lastFailover }) },
    actions: [],
    verdict: { status: 'True', reason: 'Steady', message: `${address} is the primary` },
    events: [
      {
        type: 'Normal',
        reason: isSame ? 'PrimaryReblessed' : 'Promoted',
        action: 'Failover',
        message: `${address} ${what} within ${durationMs} ms (epoch ${epoch})`,
      },
    ],
    requeueAfterMs: 0,
  }
}

function record(context: Context, next: Decision['record']): Decision['record'] {
  const { epoch, lastFailover } = context.status
  return {
    ...(epoch !== undefined && { epoch }),
    ...(lastFailover && { lastFailover }),
    ...next,
  }
}
