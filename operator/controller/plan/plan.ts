/**
 * `plan(snapshot, now)`: everything the controller decides, as a function of values. What it returns is
 * recorded first, then published, then carried out.
 */
import { reconcileIdleMs } from '../../../common/limits.ts'
import { type RedisProxyStatus, isChosenByOperator } from '../../api/redis-proxy.ts'
import { planAdoption } from './adopt.ts'
import { conditionsOf } from './conditions.ts'
import { type Context, continueFailover } from './failover.ts'
import { historyOf } from './loss.ts'
import { type Member, membersOf } from './members.ts'
import { observedMembers, planObserved, topologyOf } from './observed.ts'
import { haveAllAcked } from './proof.ts'
import { memberStatuses, sidecarSummary } from './report.ts'
import { planSteady } from './steady.ts'
import { continueSwitchover } from './switchover.ts'
import type { Decision, Now, Plan, Snapshot } from './types.ts'

export function plan(snapshot: Snapshot, now: Now): Plan {
  const members = membersOf(snapshot)
  const decision = decide(snapshot, { members, now })
  const { requeueAfterMs = reconcileIdleMs, marks = [], look = [], suspectForMs } = decision
  return {
    status: statusOf(snapshot, decision, { members, now }),
    actions: decision.actions,
    events: decision.events,
    marks,
    look,
    ...(suspectForMs !== undefined && { suspectForMs }),
    requeueAfterMs: Math.min(requeueAfterMs, reconcileIdleMs),
  }
}

function decide(
  snapshot: Snapshot,
  { members, now }: { readonly members: readonly Member[]; readonly now: Now },
): Decision {
  const status = snapshot.proxy.status ?? {}
  const context: Context = { snapshot, status, members, now }
  if (!isChosenByOperator(snapshot.proxy.spec)) return planObserved(snapshot, { members, now })
  const { intent, primary } = status
  if (primary !== undefined) return planSteady(context, primary)
  if (intent !== undefined) {
    const { suspend, failover } = snapshot.proxy.spec
    const isChange = intent.kind === 'Switchover'
    const decision = (isChange ? continueSwitchover : continueFailover)(context, intent)
    // One that is asked for goes through whatever the policy; half of it would leave clients held.
    if (isChange) return decision
    return suspend || failover.policy !== 'Automatic' ? paused(context, decision) : decision
  }
  return planAdoption(snapshot, { members, now })
}

/** Switched off in mid-failover: nothing is sent and nothing recorded until it is switched on again. */
function paused({ status }: Context, decision: Decision): Decision {
  const { epoch, phase, intent, operation } = status
  return {
    record: {
      ...(operation && { operation }),
      ...(epoch !== undefined && { epoch }),
      ...(phase !== undefined && { phase }),
      ...(intent && { intent }),
      ...historyOf(status),
    },
    actions: [],
    verdict: {
      status: 'False',
      reason: 'Suspended',
      message: `a failover was begun and then switched off: ${decision.verdict.message}`,
    },
    events: [],
  }
}

/** After a change of the primary the machine is not at rest before everyone knows and follows. */
function shownPhase(
  snapshot: Snapshot,
  { record, actions }: Decision,
  members: readonly Member[],
): Pick<RedisProxyStatus, 'phase'> {
  const { phase, epoch, lastFailover, primary } = record
  if (phase === undefined) return {}
  if (phase !== 'Steady' || primary === undefined || lastFailover?.epoch !== epoch) return { phase }
  if (!haveAllAcked({ snapshot, status: record })) return { phase: 'Publishing' }
  const self = members.find(({ address }) => address === primary.address)?.facts
  const isJoining = actions.some(({ kind }) => kind === 'replicate' || kind === 'protect')
  const isBehind = members.some(
    ({ facts, address }) =>
      address !== primary.address && facts?.isSyncing === true && facts.role === 'replica',
  )
  return { phase: self !== undefined && (isJoining || isBehind) ? 'Rejoining' : phase }
}

function statusOf(
  snapshot: Snapshot,
  decision: Decision,
  context: { readonly members: readonly Member[]; readonly now: Now },
): RedisProxyStatus {
  const isOurs = isChosenByOperator(snapshot.proxy.spec)
  return {
    observedGeneration: snapshot.proxy.metadata.generation,
    ...decision.record,
    ...(isOurs && shownPhase(snapshot, decision, context.members)),
    members: isOurs
      ? memberStatuses(snapshot, context.members, decision.record)
      : observedMembers(context.members),
    topology: topologyOf(snapshot.proxy.spec, context.members, decision.record),
    sidecars: sidecarSummary(snapshot),
    conditions: conditionsOf(snapshot, decision, context),
  }
}
