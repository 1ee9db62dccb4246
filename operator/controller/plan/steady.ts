/** A primary is on record: keep the set around it in order, and see when it is lost. Pure. */
import { assertNever } from '../../../common/errors.ts'
import { type PrimaryStatus, durationMs } from '../../api/redis-proxy.ts'
import type { ServerFacts } from '../observation.ts'
import { type Context, type Loss, beginFailover } from './failover.ts'
import { type Health, judgePrimary } from './judge.ts'
import {
  type LiveMember,
  type Member,
  isAttached,
  isLive,
  isPromotable,
  mayBeReplaced,
  offsetIn,
  primaryHistory,
} from './members.ts'
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
      return report(context, primary, {
        verdict: {
          status: 'Unknown',
          reason: 'Suspect',
          message: `${primary.address} may be down: ${health.why}`,
        },
        requeueAfterMs: Math.max(1, health.againMs),
      })
    case 'isolated':
      return unknown(context, primary, {
        reason: 'OperatorIsolated',
        message: `${primary.address} cannot be reached from here, but ${health.why}; nothing is done`,
      })
    case 'unauthorized':
      return unknown(context, primary, { reason: 'Unauthorized', message: health.why })
    case 'unlisted':
      return unknown(context, primary, {
        reason: 'PrimaryNotListed',
        message: `${primary.address} is no longer among the endpoints; list it, or make a listed server the primary`,
      })
    case 'unknown':
      return unknown(context, primary, {
        reason: 'NotObserved',
        message: `${primary.address} was not looked at yet`,
      })
    default:
      return assertNever(health)
  }
}

/** The primary is as recorded: demote others who think they are one, attach those that follow nobody. */
function keep(context: Context, primary: PrimaryStatus, facts: ServerFacts): Decision {
  const self = context.members.find(({ address }) => address === primary.address)
  const others = context.members.filter(isLive).filter((member) => member !== self)
  const actions =
    self === undefined || !mayAct(context)
      ? []
      : others.flatMap((member) => attach(member, { primary: self, facts }))
  const { lastFailover } = context.status
  const lostBytes = lastFailover && countLost(lastFailover.from, others, facts)
  return {
    record: {
      ...(context.status.epoch !== undefined && { epoch: context.status.epoch }),
      phase: 'Steady',
      // The history of a living primary changes when its first replica comes; candidates are judged by it.
      primary: { ...primary, replId: facts.replId },
      ...(lastFailover && {
        lastFailover: { ...lastFailover, ...(lostBytes !== undefined && { lostBytes }) },
      }),
    },
    actions,
    verdict: { status: 'True', reason: 'Steady', message: `${primary.address} is the primary` },
    events: [],
    ...(actions.length > 0 && { requeueAfterMs: 1000 }),
  }
}

function attach(
  member: LiveMember,
  { primary, facts }: { readonly primary: Member; readonly facts: ServerFacts },
): readonly Action[] {
  const own = member.facts
  if (own.isLoading || isAttached(own, facts)) return []
  const isFollowing =
    own.role === 'replica' && own.source?.host === primary.host && own.source.port === primary.port
  if (isFollowing || !mayBeReplaced(member, facts)) return []
  const source = { host: primary.host, port: primary.port }
  return [{ kind: 'replicate', address: member.address, runId: own.runId, source }]
}

/** Bytes that the lost primary had and the new one has not: exact while it still has the history. */
function countLost(
  from: string | undefined,
  others: readonly LiveMember[],
  primary: ServerFacts,
): number | undefined {
  const old = others.find(({ address }) => address === from)?.facts
  if (old === undefined || old.role !== 'primary' || old.replId !== primary.replId2)
    return undefined
  return Math.max(0, old.offset - (primary.secondReplOffset - 1))
}

type Lost = Extract<Health, { kind: 'demoted' | 'restarted' | 'down' }>

/** Someone else made another member of the same history the primary: obey, once the old one is out. */
function followOther(context: Context, primary: PrimaryStatus, health: Lost): Decision | undefined {
  const history = primaryHistory(primary, context.members)
  const found = context.members
    .filter(isLive)
    .filter(({ address, facts }) => address !== primary.address && facts.role === 'primary')
  const [other] = found
  const isHeir = other !== undefined && found.length === 1 && other.facts.replId2 === history
  const self = context.members.find(({ address }) => address === primary.address)
  const mayStillWrite = health.kind === 'down' && self?.failure?.kind !== 'refused'
  if (!isHeir || mayStillWrite) return undefined
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
    from: primary.address,
    fromRunId: primary.runId,
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

/** A new epoch for a primary that is one already: no command is needed, only the record. */
function bless(
  context: Context,
  { address, facts }: LiveMember,
  event: { readonly reason: string; readonly message: string },
): Decision {
  const { lastFailover } = context.status
  return {
    record: {
      epoch: (context.status.epoch ?? 0) + 1,
      phase: 'Steady',
      primary: {
        address,
        runId: facts.runId,
        replId: facts.replId,
        since: new Date(context.now.wallMs).toISOString(),
      },
      ...(lastFailover && { lastFailover }),
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
  { status, snapshot }: Context,
  primary: PrimaryStatus,
  { verdict, requeueAfterMs }: { readonly verdict: Verdict; readonly requeueAfterMs?: number },
): Decision {
  const record: DecisionRecord = {
    ...(status.epoch !== undefined && { epoch: status.epoch }),
    phase: 'Steady',
    primary,
    ...(status.lastFailover && { lastFailover: status.lastFailover }),
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
