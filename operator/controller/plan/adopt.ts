/** No primary is on record: find the one that is there, or make one where nobody is. Pure. */
import { adoptWaitMs } from '../../../common/limits.ts'
import type { RedisProxyStatus } from '../../api/redis-proxy.ts'
import {
  type LiveMember,
  type Member,
  addresses,
  isAttached,
  isLive,
  isPromotable,
} from './members.ts'
import { historyOf } from './loss.ts'
import type { Decision, Now, Snapshot } from './types.ts'

interface Context {
  readonly snapshot: Snapshot
  readonly members: readonly Member[]
  readonly now: Now
  readonly status: RedisProxyStatus
  readonly live: readonly LiveMember[]
  readonly isComplete: boolean
  /** Waited long enough for those that do not answer. */
  readonly hasWaited: boolean
}

export function planAdoption(
  snapshot: Snapshot,
  { members, now }: { readonly members: readonly Member[]; readonly now: Now },
): Decision {
  const live = members.filter(isLive)
  const context: Context = {
    snapshot,
    members,
    now,
    status: snapshot.proxy.status ?? {},
    live,
    isComplete: live.length === members.length,
    hasWaited: now.monotonicMs - snapshot.watchedSinceMs >= adoptWaitMs,
  }
  if (live.length === 0) {
    return wait(context, 'NoServerReachable', `none of ${addresses(members)} answers`)
  }
  const loading = live.filter(({ facts }) => facts.isLoading)
  if (loading.length > 0) {
    return wait(context, 'Loading', `${addresses(loading)} is loading its data`)
  }
  const primaries = live.filter(({ facts }) => facts.role === 'primary')
  if (primaries.length === 0) return planBootstrap(context)
  return planFound(context, primaries)
}

function planFound(context: Context, primaries: readonly LiveMember[]): Decision {
  const used = primaries.filter(
    ({ facts }) => facts.keyCount > 0 || facts.connectedReplicas > 0 || hasReplica(context, facts),
  )
  if (used.length > 1) {
    const message = `${addresses(used)} each say that they are the primary and hold data; make all but one a replica, or list only those that belong together`
    return stall(context, 'MultiplePrimaries', message)
  }
  const [only] = used.length === 1 ? used : primaries
  if (only === undefined) return wait(context, 'NoPrimary', 'no member is a primary')
  if (context.isComplete || context.hasWaited || hasReplica(context, only.facts)) {
    return adopt(context, only)
  }
  const missing = context.members.filter((member) => !isLive(member))
  return wait(context, 'WaitingForMembers', `waiting for ${addresses(missing)} to answer`)
}

function hasReplica({ live }: Context, primary: LiveMember['facts']): boolean {
  return live.some(({ facts }) => isAttached(facts, primary))
}

/** Replicas only. With everyone there and no primary elsewhere, the one with most data becomes it. */
function planBootstrap(context: Context): Decision {
  const { snapshot, live, members } = context
  const { spec } = snapshot.proxy
  const isFollowed = live.some(({ facts }) => facts.connectedReplicas > 0)
  const led = live.find(({ facts }) => facts.isLinkUp)
  if (led !== undefined && !isFollowed) {
    const { host = '', port = 0 } = led.facts.source ?? {}
    const message = `${led.address} is a replica of ${host}:${port}, which is not among the endpoints; list it`
    return stall(context, 'PrimaryNotListed', message)
  }
  if (spec.backend.mode === 'Standalone') {
    return wait(context, 'PrimaryIsReplica', `${addresses(members)} is a replica of nobody listed`)
  }
  if (spec.suspend || spec.failover.policy !== 'Automatic') {
    return wait(context, 'NoPrimary', 'no member is a primary, and promoting one is switched off')
  }
  if (!context.isComplete) {
    const missing = members.filter((member) => !isLive(member))
    const message = `there are only replicas; waiting for ${addresses(missing)} before one is promoted`
    return wait(context, 'WaitingForMembers', message)
  }
  const [best] = live.filter(isPromotable).sort(byData)
  if (best === undefined) {
    return wait(context, 'NoEligibleCandidate', 'there are only replicas and none is promotable')
  }
  return bootstrap(context, best)
}

function byData(a: LiveMember, b: LiveMember): number {
  const isFilled = (member: LiveMember) => Number(member.facts.keyCount > 0)
  return (
    isFilled(b) - isFilled(a) ||
    b.facts.offset - a.facts.offset ||
    b.facts.keyCount - a.facts.keyCount
  )
}

function bootstrap(context: Context, best: LiveMember): Decision {
  return {
    record: {
      epoch: (context.status.epoch ?? 0) + 1,
      phase: 'Promoting',
      intent: {
        kind: 'Bootstrap',
        target: best.address,
        targetRunId: best.facts.runId,
        reason: 'only replicas were found',
        startedAt: new Date(context.now.wallMs).toISOString(),
      },
      ...historyOf(context.status),
    },
    actions: [{ kind: 'promote', address: best.address, runId: best.facts.runId }],
    verdict: {
      status: 'False',
      reason: 'Bootstrap',
      message: `${best.address} becomes the primary`,
    },
    events: [
      {
        type: 'Normal',
        reason: 'Bootstrap',
        action: 'Promote',
        message: `only replicas were found; ${best.address} is promoted`,
      },
    ],
    requeueAfterMs: 0,
  }
}

function adopt(context: Context, { address, host, facts }: LiveMember): Decision {
  const epoch = (context.status.epoch ?? 0) + 1
  return {
    record: {
      epoch,
      phase: 'Steady',
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
    events: [
      {
        type: 'Normal',
        reason: 'PrimaryAdopted',
        action: 'Adopt',
        message: `${address} was found as the primary (epoch ${epoch})`,
      },
    ],
    requeueAfterMs: 0,
  }
}

function wait(context: Context, reason: string, message: string): Decision {
  return hold(context, { phase: 'Waiting', reason, message })
}

function stall(context: Context, reason: string, message: string): Decision {
  return hold(context, { phase: 'Stalled', reason, message })
}

function hold(
  { status, snapshot, now }: Context,
  { phase, reason, message }: { phase: 'Waiting' | 'Stalled'; reason: string; message: string },
): Decision {
  const { epoch } = status
  const waitedMs = now.monotonicMs - snapshot.watchedSinceMs
  return {
    record: {
      ...(epoch !== undefined && { epoch }),
      phase,
      ...historyOf(status),
    },
    actions: [],
    verdict: { status: 'False', reason, message },
    events: [],
    requeueAfterMs: waitedMs < adoptWaitMs ? adoptWaitMs - waitedMs : adoptWaitMs,
  }
}
