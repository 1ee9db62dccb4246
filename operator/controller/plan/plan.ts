/**
 * `plan(snapshot, now)`: everything the controller decides, as a function of values. What it returns is
 * recorded first, then published, then carried out.
 */
import { reconcileIdleMs } from '../../../common/limits.ts'
import { type RedisProxyStatus, isChosenByOperator } from '../../api/redis-proxy.ts'
import { planAdoption } from './adopt.ts'
import { conditionsOf } from './conditions.ts'
import { type Context, continueFailover } from './failover.ts'
import { type Member, membersOf } from './members.ts'
import { observedMembers, planObserved, topologyOf } from './observed.ts'
import { memberStatuses, sidecarSummary } from './report.ts'
import { planSteady } from './steady.ts'
import type { Decision, Now, Plan, Snapshot } from './types.ts'

export function plan(snapshot: Snapshot, now: Now): Plan {
  const members = membersOf(snapshot)
  const decision = decide(snapshot, { members, now })
  const { requeueAfterMs = reconcileIdleMs, marks = [], suspectForMs } = decision
  return {
    status: statusOf(snapshot, decision, { members, now }),
    actions: decision.actions,
    events: decision.events,
    marks,
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
  if (!isChosenByOperator(snapshot.proxy.spec)) return planObserved(snapshot, members)
  const { intent, primary } = status
  if (primary !== undefined) return planSteady(context, primary)
  if (intent !== undefined) {
    const { suspend, failover } = snapshot.proxy.spec
    const decision = continueFailover(context, intent)
    return suspend || failover.policy !== 'Automatic' ? paused(context, decision) : decision
  }
  return planAdoption(snapshot, { members, now })
}

/** Switched off in mid-failover: nothing is sent and nothing recorded until it is switched on again. */
function paused({ status }: Context, decision: Decision): Decision {
  const { epoch, phase, intent, lastFailover } = status
  return {
    record: {
      ...(epoch !== undefined && { epoch }),
      ...(phase !== undefined && { phase }),
      ...(intent && { intent }),
      ...(lastFailover && { lastFailover }),
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

function statusOf(
  snapshot: Snapshot,
  decision: Decision,
  context: { readonly members: readonly Member[]; readonly now: Now },
): RedisProxyStatus {
  const isOurs = isChosenByOperator(snapshot.proxy.spec)
  return {
    observedGeneration: snapshot.proxy.metadata.generation,
    ...decision.record,
    members: isOurs
      ? memberStatuses(context.members, decision.record)
      : observedMembers(context.members),
    topology: topologyOf(snapshot.proxy.spec, context.members, decision.record),
    sidecars: sidecarSummary(snapshot),
    conditions: conditionsOf(snapshot, decision, context),
  }
}
