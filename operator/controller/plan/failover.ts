/**
 * A failover in progress, from the recorded intent on: fence, choose, promote, record. Every call looks at the
 * world anew and takes the next step, so that it does not matter who took the last one. Pure.
 *
 * Invariants: no member is promoted unless the record names it and its process as the target; no target is
 * recorded without proof that no sidecar can still write to the lost primary; the record has no primary until
 * the target was seen as one.
 */
import { fastDownMs, oldPrimaryGraceMs } from '../../../common/limits.ts'
import {
  type Intent,
  type PrimaryStatus,
  type RedisProxyStatus,
  durationMs,
} from '../../api/redis-proxy.ts'
import { isParked } from '../observation.ts'
import { isDraining } from './drain.ts'
import { standingGuards } from './guards.ts'
import { type Failover, historyOf, remember } from './loss.ts'
import { type LiveMember, type Member, isLive, mayBeReplaced, offsetIn } from './members.ts'
import { endOperation } from './operation.ts'
import {
  ackedMark,
  areParked,
  fenceProof,
  fencingMark,
  haveAllAcked,
  isUnfencedAllowed,
  lateMark,
  parkedMark,
} from './proof.ts'
import { selectCandidate } from './select.ts'
import type { Action, Decision, Now, Snapshot, Verdict } from './types.ts'

export interface Context {
  readonly snapshot: Snapshot
  readonly status: RedisProxyStatus
  readonly members: readonly Member[]
  readonly now: Now
}

export interface Loss {
  readonly kind: 'Failover' | 'Rebless' | 'Switchover'
  readonly primary: PrimaryStatus
  /** Its history as it was last seen. */
  readonly fromReplId: string
  readonly reason: string
}

/** What the record keeps of a primary that is withdrawn: all that fence, choice and count of losses need later. */
export function intentOf(context: Context, loss: Loss): Intent {
  const { members, now } = context
  const { kind, primary, fromReplId, reason } = loss
  const { address, runId, since, host } = primary
  const last = members.find((member) => member.address === address)?.observation.last
  const seen = last?.runId === runId ? last : undefined
  const { grantTtlMs, minReplicasRunId, waitReplicas } = standingGuards(context) ?? {}
  return {
    kind,
    from: address,
    fromRunId: runId,
    ...(host !== undefined && { fromHost: host }),
    fromSince: since,
    fromReplId,
    ...(seen && { fromOffset: seen.offset, fromKeys: seen.keyCount }),
    ...(waitReplicas !== undefined && { waitReplicas }),
    ...(grantTtlMs !== undefined && { grantTtlMs }),
    ...(minReplicasRunId === runId && { minReplicas: true }),
    reason,
    startedAt: new Date(now.wallMs).toISOString(),
  }
}

/** Records the intent and withdraws the primary: the first step, and the only one that raises the epoch. */
export function beginFailover(context: Context, loss: Loss): Decision {
  const intent = intentOf(context, loss)
  const epoch = (context.status.epoch ?? 0) + 1
  const message = `${loss.primary.address} is lost: ${loss.reason}`
  return {
    record: record(context, { epoch, phase: 'Fencing', intent }),
    ...parkAll(context, intent),
    verdict: { status: 'False', reason: 'FailoverInProgress', message },
    events: [
      {
        type: 'Warning',
        reason: 'FailoverStarted',
        action: 'Failover',
        message: `${message} (epoch ${epoch})`,
      },
    ],
    marks: [fencingMark],
    requeueAfterMs: 0,
  }
}

export function continueFailover(context: Context, intent: Intent): Decision {
  return intent.target === undefined ? fence(context, intent) : promote(context, intent)
}

function fence(context: Context, intent: Intent): Decision {
  const { actions, look } = parkAll(context, intent)
  const others = context.members.filter(({ address }) => address !== intent.from)
  const marks = [
    fencingMark,
    ...(areParked(others) ? [parkedMark] : []),
    ...(isLate(context) ? [lateMark] : []),
    ...(haveAllAcked(context) ? [ackedMark] : []),
  ]
  const stay = (phase: 'Fencing' | 'Selecting', reason: string, message: string): Decision => ({
    record: record(context, { phase, intent }),
    actions,
    look,
    verdict: { status: 'False', reason, message },
    events: [],
    marks,
    requeueAfterMs: look.length > 0 ? drainLookMs : retryMs,
  })
  const known = fenceProof(context, intent)
  const proof = known ?? (isUnfencedAllowed(context) ? 'Unfenced' : undefined)
  if (proof === undefined) {
    const from = intent.from ?? 'the old primary'
    return stay(
      'Fencing',
      isYoung(context) ? 'FailoverInProgress' : 'WaitingForFencing',
      `${from} may still take writes: it is not known to be gone and not every sidecar has let go of it`,
    )
  }
  if (isWorthWaiting(context, intent, proof)) {
    const from = intent.from ?? 'the old primary'
    const message = `a sidecar that was away may have written to ${from}; waiting a moment for it to answer`
    return { ...stay('Fencing', 'FailoverInProgress', message), look: [from, ...look] }
  }
  if (actions.length + look.length > 0) {
    const waiting = [...actions.map(({ address }) => address), ...look].join(', ')
    return stay('Fencing', 'FailoverInProgress', `waiting for ${waiting} to be parked`)
  }
  const { proxy, operation } = context.snapshot
  const { failover } = proxy.spec
  const { members, now } = context
  const around = { members, failover, operation, nowMs: now.monotonicMs }
  const selection = selectCandidate(intent, around)
  if (selection.kind === 'none') return stay('Selecting', 'NoEligibleCandidate', selection.why)
  return choose(context, { ...intent, proof }, selection.member)
}

/**
 * The last sidecar acknowledged late: it was cut off, and so maybe was the old primary with it, where writes went on. What
 * brought the one back mostly brings the other, which is then the furthest of all.
 */
function isWorthWaiting(
  { snapshot, members, now }: Context,
  intent: Intent,
  proof: string,
): boolean {
  const from = members.find(({ address }) => address === intent.from)
  const isSilent = from !== undefined && from.facts === undefined && from.fate === undefined
  // Its host can be reached, and has no such process.
  if (from?.failure?.kind === 'refused') return false
  const { [lateMark]: lateMs, [ackedMark]: ackedMs = now.monotonicMs } = snapshot.marks ?? {}
  if (proof !== 'ProxiesAcked' || !isSilent || lateMs === undefined) return false
  return ackedMs - lateMs > lateSureMs && now.monotonicMs - ackedMs < oldPrimaryGraceMs
}

/** Once it was. */
function isLate(context: Context): boolean {
  const { snapshot, now } = context
  const { [fencingMark]: fencedMs = now.monotonicMs, [lateMark]: lateMs } = snapshot.marks ?? {}
  if (lateMs !== undefined) return true
  return now.monotonicMs - fencedMs >= proofUsualMs && !haveAllAcked(context)
}

/** Proofs mostly come within a moment, and waiting for them is worth telling after that only. */
function isYoung({ snapshot, now }: Context): boolean {
  const sinceMs = snapshot.marks?.[fencingMark]
  return sinceMs !== undefined && now.monotonicMs - sinceMs < proofUsualMs
}

const proofUsualMs = 1000
/** What came while this process was suspended is not late: it is read within this time. */
const lateSureMs = 250

/** Records the target; it is touched once the record stands. */
function choose(context: Context, intent: Intent, { address, facts }: LiveMember): Decision {
  const target = { target: address, targetRunId: facts.runId }
  const isUnfenced = intent.proof === 'Unfenced'
  return {
    record: record(context, { phase: 'Promoting', intent: { ...intent, ...target } }),
    actions: [{ kind: 'promote', address, runId: facts.runId }],
    verdict: {
      status: 'False',
      reason: 'FailoverInProgress',
      message: `${address} is being promoted (fence: ${intent.proof ?? ''})`,
    },
    events: isUnfenced
      ? [
          {
            type: 'Warning',
            reason: 'UnfencedPromotion',
            action: 'Failover',
            message: `${address} is promoted without proof that nobody writes to ${intent.from ?? 'the old primary'}`,
          },
        ]
      : [],
    requeueAfterMs: 0,
  }
}

const retryMs = 250
/** Until a member is looked at again whose link ends at any moment. */
const drainLookMs = 10

/**
 * Parks whoever is part of the set and answers, the lost primary too if it does: a parked server keeps its
 * data, takes no writes, and an empty one that comes back cannot overwrite it.
 */
function parkAll(
  context: Context,
  intent: Intent,
): { readonly actions: readonly Action[]; readonly look: readonly string[] } {
  const all = context.members
    .filter(isLive)
    .filter(({ facts }) => !isParked(facts) && !facts.isLoading)
    .filter((member) => isPartOfSet(member, intent))
  const draining = new Set(all.filter((member) => isDraining(context, intent, member)))
  return {
    actions: all
      .filter((member) => !draining.has(member))
      .map(({ address, facts }) => ({ kind: 'park', address, runId: facts.runId })),
    look: [...draining].map(({ address }) => address),
  }
}

function isPartOfSet(member: LiveMember, intent: Intent): boolean {
  if (member.address === intent.from || mayBeReplaced(member, undefined)) return true
  return offsetIn(intent.fromReplId ?? '', member.facts) !== undefined
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

/** The target was seen as a primary: it is the primary from now on. */
export function complete(
  context: Context,
  intent: Intent,
  { address, host, facts }: LiveMember,
): Decision {
  const { now, status } = context
  const completedAt = new Date(now.wallMs).toISOString()
  const epoch = status.epoch ?? 0
  const done =
    intent.kind === 'Bootstrap' ? undefined : summary(context, intent, { address, facts })
  const isSame = address === intent.from
  const what = isSame ? 'is the primary again' : 'was promoted'
  const tookMs = Math.max(0, now.wallMs - Date.parse(intent.startedAt))
  const operation = endOperation(context, intent, {
    phase: 'Succeeded',
    message: `${intent.from ?? ''} → ${address} within ${tookMs} ms`,
  })
  return {
    record: {
      epoch,
      phase: 'Steady',
      primary: { address, runId: facts.runId, replId: facts.replId, host, since: completedAt },
      ...(done === undefined ? historyOf(status) : remember(status, done)),
      ...(operation && { operation }),
    },
    actions: [],
    verdict: { status: 'True', reason: 'Steady', message: `${address} is the primary` },
    events: [
      {
        type: 'Normal',
        reason: isSame ? 'PrimaryReblessed' : 'Promoted',
        action: 'Failover',
        message: `${address} ${what} within ${tookMs} ms (epoch ${epoch})`,
      },
    ],
    requeueAfterMs: 0,
  }
}

function summary(
  { now, status, members }: Context,
  intent: Intent,
  { address: to, facts }: Pick<LiveMember, 'address' | 'facts'>,
): Failover {
  const { kind, from, fromRunId, fromReplId, proof, reason, startedAt } = intent
  const old = members.find(({ address }) => address === from)?.facts
  // The old primary was blocked when the target had all of it, and cannot have taken anything since.
  const isWhole = proof === 'HandedOver' && old?.role === 'replica'
  return {
    ...(kind !== 'Bootstrap' && { kind }),
    reason,
    ...(from !== undefined && { from }),
    ...(fromRunId !== undefined && { fromRunId }),
    ...(fromReplId !== undefined && { fromReplId }),
    to,
    epoch: status.epoch ?? 0,
    ...(proof && { proof }),
    detectedAt: startedAt,
    completedAt: new Date(now.wallMs).toISOString(),
    durationMs: Math.max(0, now.wallMs - Date.parse(startedAt)),
    ...(facts.replId2 === fromReplId && { branchOffset: Math.max(0, facts.secondReplOffset - 1) }),
    ...(isWhole && { lostBytes: 0 }),
  }
}

/** Guards are of a primary, and end with it. */
export function record(context: Context, next: Decision['record']): Decision['record'] {
  const { epoch, operation } = context.status
  return {
    ...(epoch !== undefined && { epoch }),
    ...historyOf(context.status),
    ...(operation && { operation }),
    ...next,
  }
}
