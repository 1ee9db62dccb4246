/** A primary is on record: keep the set around it in order, and see when it is lost. Pure. */
import { assertNever } from '../../../common/errors.ts'
import { suspectMarginMs } from '../../../common/limits.ts'
import {
  type OperationStatus,
  type PrimaryStatus,
  type RedisProxyStatus,
  durationMs,
} from '../../api/redis-proxy.ts'
import type { ServerFacts } from '../observation.ts'
import { attachAll } from './attach.ts'
import { type Context, type Loss, beginFailover } from './failover.ts'
import { guard, standingGuards } from './guards.ts'
import { type Health, judgePrimary } from './judge.ts'
import { historyOf, withLosses } from './loss.ts'
import {
  type LiveMember,
  type Member,
  isLive,
  isPromotable,
  offsetIn,
  primaryHistory,
} from './members.ts'
import { asked, refuseOperation } from './operation.ts'
import { hasMoved } from './proof.ts'
import { candidatesIn, missingAnswers } from './select.ts'
import { planChange } from './switchover.ts'
import type { Action, Decision, DecisionRecord, Verdict } from './types.ts'

export function planSteady(context: Context, primary: PrimaryStatus): Decision {
  const health = judgePrimary(context.snapshot, primary, context)
  switch (health.kind) {
    case 'healthy':
      return keep(context, primary, health.facts)
    case 'demoted':
    case 'restarted':
    case 'down':
      return followOther(context, primary, health) ?? replace(context, primary, health)
    case 'suspect':
      return suspect(context, primary, health)
    case 'isolated':
      return unknown(context, primary, {
        reason: 'OperatorIsolated',
        message: `${primary.address} cannot be reached from here, but ${health.why}; nothing is done`,
      })
    case 'unauthorized':
      return unknown(context, primary, { reason: 'Unauthorized', message: health.why })
    case 'unlisted':
      return unlisted(context, primary)
    case 'unknown':
      return unknown(context, primary, {
        reason: 'NotObserved',
        message: `${primary.address} was not looked at yet`,
      })
    default:
      return assertNever(health)
  }
}

/** The primary is as recorded: hand over where that is wanted, else keep everyone around it in order. */
function keep(context: Context, primary: PrimaryStatus, facts: ServerFacts): Decision {
  const self = context.members.find(({ address }) => address === primary.address)
  if (self === undefined) return unlisted(context, primary)
  const change = planChange(context, { primary, self, facts })
  if (change !== undefined && 'decision' in change) return change.decision
  const others = context.members.filter(isLive).filter((member) => member !== self)
  const epoch = context.status.epoch ?? 0
  const around = { primary: self, facts, others, epoch }
  const { guards, actions, marks } = mayAct(context)
    ? arrange(context, around)
    : { guards: standingGuards(context), actions: [], marks: [] }
  const losses = withLosses(context.status, { others, primary: primary.address })
  const operation = change?.refusal ?? refusePromotion(context) ?? context.status.operation
  const isMoving = !self.isListed
  const isAsked = change === undefined && asked(context, 'Switchover') !== undefined
  return {
    record: {
      ...(context.status.epoch !== undefined && { epoch }),
      phase: 'Steady',
      // The history of a living primary changes when its first replica comes; candidates are judged by it.
      // It cannot move, while its name may lead elsewhere by now.
      primary: { ...primary, replId: facts.replId, host: primary.host ?? self.host },
      ...(guards && { guards }),
      ...losses,
      ...(operation && { operation }),
    },
    actions,
    verdict: isMoving ? moving(context, primary) : available(primary.address),
    events: [],
    ...(context.status.phase === 'Suspect' && { suspectForMs: 0 }),
    ...lookAgain(context, self),
    ...(marks.length > 0 && { marks }),
    ...((actions.length > 0 || isMoving || isAsked) && { requeueAfterMs: attachRetryMs }),
  }
}

const attachRetryMs = 250

function available(address: string): Verdict {
  return { status: 'True', reason: 'Steady', message: `${address} is the primary` }
}

function moving(context: Context, { address }: PrimaryStatus): Verdict {
  const why = mayAct(context)
    ? 'a listed server takes over once it has caught up'
    : 'list it, or let the operator act, so that a listed server takes over'
  return {
    status: mayAct(context) ? 'True' : 'Unknown',
    reason: 'PrimaryNotListed',
    message: `${address} is the primary and no longer among the endpoints; ${why}`,
  }
}

function unlisted(context: Context, primary: PrimaryStatus): Decision {
  return unknown(context, primary, {
    reason: 'PrimaryNotListed',
    message: `${primary.address} is no longer among the endpoints; list it, or make a listed server the primary`,
  })
}

function arrange(
  context: Context,
  around: Parameters<typeof guard>[1],
): {
  readonly guards: RedisProxyStatus['guards']
  readonly actions: readonly Action[]
  readonly marks: readonly string[]
} {
  const { guards, actions, marks = [] } = guard(context, around)
  // Those that are being told how to log in follow at the next turn.
  const told = new Set(actions.flatMap(toldBy))
  const ready = around.others.filter(({ address }) => !told.has(address))
  return { guards, actions: [...actions, ...attachAll(context, ready, around)], marks }
}

function toldBy(action: Action): readonly string[] {
  if (action.kind === 'unprotect') return [action.address]
  return action.kind === 'protect' ? action.replicas.map(({ address }) => address) : []
}

/** A sidecar lost the primary that answered us a moment ago: whose word is newer is seen by looking. */
function lookAgain(
  { snapshot, status, now }: Context,
  { address, observation }: Member,
): Pick<Decision, 'look'> {
  const epoch = status.epoch ?? 0
  const isLost = snapshot.sidecars.some(
    ({ primary, acked }) => primary === 'failing' && (acked?.epoch ?? -1) >= epoch,
  )
  const isOld = now.monotonicMs - observation.atMs >= lookAgainMs
  return isLost && isOld ? { look: [address] } : {}
}

const lookAgainMs = 100

function refusePromotion(context: Context): OperationStatus | undefined {
  const operation = asked(context, 'Promote')
  return operation === undefined
    ? undefined
    : refuseOperation(context, operation, 'the primary is well; ask for a Switchover')
}

type Lost = Extract<Health, { kind: 'demoted' | 'restarted' | 'down' }>

/** Someone else made another member of the same history the primary, and the old one is known to be out: obey. */
function followOther(context: Context, primary: PrimaryStatus, health: Lost): Decision | undefined {
  const history = primaryHistory(primary, context.members)
  const found = context.members
    .filter(isLive)
    .filter(({ address, facts }) => address !== primary.address && facts.role === 'primary')
  const [other] = found
  const isHeir = other !== undefined && found.length === 1 && other.facts.replId2 === history
  const self = context.members.find(({ address }) => address === primary.address)
  const isElsewhere =
    health.kind === 'restarted' && self !== undefined && hasMoved(self, primary.host)
  const mayStillWrite = (health.kind === 'down' || isElsewhere) && self?.fate === undefined
  if (!isHeir || mayStillWrite) return undefined
  // One that was restarted looks the same; nobody made it the primary who would have passed over another with more.
  const related = candidatesIn(history, context.members.filter(isLive))
  const reached = related.find(({ member }) => member === other)?.offset ?? -1
  if (related.some(({ offset }) => offset > reached)) return undefined
  const { waitReplicas = 0 } = standingGuards(context) ?? {}
  const lost = { from: primary.address, fromRunId: primary.runId, waitReplicas }
  if (missingAnswers(lost, context, related) !== undefined) return undefined
  return bless(context, other, {
    reason: 'PrimaryFollowed',
    message: `${other.address} was made the primary by someone else; followed`,
  })
}

function replace(context: Context, primary: PrimaryStatus, health: Lost): Decision {
  const { members, snapshot } = context
  const others = members.filter((member) => member.address !== primary.address)
  const self = members.find((member) => member.address === primary.address)
  const isAlone = others.length === 0
  if (health.kind === 'restarted' && self !== undefined && isLive(self)) {
    // The process that was the primary may live on at its address, with sidecars that write to it.
    const isElsewhere = hasMoved(self, primary.host) && self.fate === undefined
    if (isElsewhere && mayAct(context)) {
      return failOver(context, primary, { health, why: describeLoss(primary, health) })
    }
    if ((isAlone || !mayAct(context)) && self.facts.role === 'primary' && !self.facts.isLoading) {
      return bless(context, self, {
        reason: 'PrimaryReblessed',
        message: `${self.address} was restarted and is the primary again`,
      })
    }
  }
  if (health.kind === 'demoted' && health.facts.isLinkUp) {
    const { host = '', port = 0 } = health.facts.source ?? {}
    return unavailable(context, primary, {
      reason: 'PrimaryNotListed',
      message: `${primary.address} was made a replica of ${host}:${port}, which is not among the endpoints`,
    })
  }
  const why = describeLoss(primary, health)
  if (!mayAct(context) || snapshot.proxy.spec.backend.mode === 'Standalone') {
    return unavailable(context, primary, { reason: 'PrimaryDown', message: why })
  }
  return failOver(context, primary, { health, why })
}

function failOver(
  context: Context,
  primary: PrimaryStatus,
  { health, why }: { readonly health: Lost; readonly why: string },
): Decision {
  const fromReplId = primaryHistory(primary, context.members)
  const candidates = context.members.filter(isLive).filter((member) => {
    return isPromotable(member) && offsetIn(fromReplId, member.facts) !== undefined
  })
  if (candidates.length === 0 && health.kind === 'down') {
    return unavailable(context, primary, {
      reason: 'NoEligibleCandidate',
      message: `${why}, and no other member has its data`,
    })
  }
  const loss: Loss = {
    kind: health.kind === 'down' ? 'Failover' : 'Rebless',
    primary,
    fromReplId,
    reason: health.kind === 'down' ? health.why : lossReasons[health.kind],
  }
  return beginFailover(context, loss)
}

const lossReasons = {
  restarted: 'it was restarted',
  demoted: 'it was made a replica',
} as const

function describeLoss(primary: PrimaryStatus, health: Lost): string {
  const why = health.kind === 'down' ? health.why : lossReasons[health.kind]
  return `${primary.address} is down: ${why}`
}

/** Clients are held rather than sent into the dark; who else can tell is asked meanwhile. */
function suspect(
  context: Context,
  primary: PrimaryStatus,
  { why, againMs }: Extract<Health, { kind: 'suspect' }>,
): Decision {
  const downAfterMs = durationMs(context.snapshot.proxy.spec.failover.downAfter)
  const decision = report(context, primary, {
    verdict: {
      status: 'Unknown',
      reason: 'Suspect',
      message: `${primary.address} may be down: ${why}`,
    },
    requeueAfterMs: Math.max(1, Math.min(againMs, suspectLookMs)),
  })
  const isNews = context.status.phase !== 'Suspect'
  return {
    ...decision,
    record: { ...decision.record, phase: 'Suspect' },
    ...(isNews && mayAct(context) && { suspectForMs: downAfterMs + suspectMarginMs }),
  }
}

const suspectLookMs = 250

/** A new epoch for a primary that is one already: no command is needed, only the record. */
function bless(
  context: Context,
  { address, host, facts }: LiveMember,
  event: { readonly reason: string; readonly message: string },
): Decision {
  const { operation } = context.status
  return {
    record: {
      epoch: (context.status.epoch ?? 0) + 1,
      phase: 'Steady',
      ...(operation && { operation }),
      primary: {
        address,
        runId: facts.runId,
        replId: facts.replId,
        host,
        since: new Date(context.now.wallMs).toISOString(),
      },
      ...historyOf(context.status),
    },
    actions: [],
    verdict: { status: 'True', reason: 'Steady', message: `${address} is the primary` },
    events: [{ type: 'Normal', action: 'Adopt', ...event }],
    requeueAfterMs: 0,
  }
}

function unknown(
  context: Context,
  primary: PrimaryStatus,
  verdict: Omit<Verdict, 'status'>,
): Decision {
  return report(context, primary, { verdict: { status: 'Unknown', ...verdict } })
}

function unavailable(
  context: Context,
  primary: PrimaryStatus,
  verdict: Omit<Verdict, 'status'>,
): Decision {
  return report(context, primary, { verdict: { status: 'False', ...verdict } })
}

function report(
  context: Context,
  primary: PrimaryStatus,
  { verdict, requeueAfterMs }: { readonly verdict: Verdict; readonly requeueAfterMs?: number },
): Decision {
  const { status, snapshot } = context
  const guards = standingGuards(context)
  const record: DecisionRecord = {
    ...(status.epoch !== undefined && { epoch: status.epoch }),
    phase: 'Steady',
    primary,
    ...(guards && { guards }),
    ...historyOf(status),
    ...(status.operation && { operation: status.operation }),
  }
  return {
    record,
    actions: [],
    verdict,
    events: [],
    requeueAfterMs: requeueAfterMs ?? durationMs(snapshot.proxy.spec.failover.downAfter),
  }
}

function mayAct({ snapshot }: Context): boolean {
  const { spec } = snapshot.proxy
  return !spec.suspend && spec.failover.policy === 'Automatic'
}
