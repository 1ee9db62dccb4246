/**
 * What is set up on healthy servers so that a later failure does no harm: the user that replicas log in as,
 * min-replicas-to-write, and grants. A guard counts once it was seen to be in force; it is taken off the record before it
 * is undone. Pure.
 */
import { keptOutMs } from '../../../common/limits.ts'
import { type RedisProxyStatus, durationMs } from '../../api/redis-proxy.ts'
import { type ServerFacts, isReplicationUser, replicationUser } from '../observation.ts'
import { isFollowing } from './attach.ts'
import type { Context } from './failover.ts'
import { type LiveMember, type Member, isAttached } from './members.ts'
import type { Action } from './types.ts'

export type Guards = NonNullable<RedisProxyStatus['guards']>

interface Around {
  readonly primary: Member
  readonly facts: ServerFacts
  /** Listed members that answer, less the primary. */
  readonly others: readonly LiveMember[]
  readonly epoch: number
}

/**
 * What is on record, less what the spec of this turn no longer says: it is published to sidecars after this turn's record,
 * whatever else the turn is about.
 */
export function standingGuards(context: Context): Guards | undefined {
  const { replicationUser: user, minReplicasRunId } = context.status.guards ?? {}
  const guards = {
    ...(user !== undefined && { replicationUser: user }),
    ...(minReplicasRunId !== undefined && { minReplicasRunId }),
    ...(context.status.guards?.grantTtlMs !== undefined && grants(context)),
    ...confirmation(context),
  }
  return Object.keys(guards).length === 0 ? undefined : guards
}

/** Of `Decision.marks`: a replica has been kept out by the primary since then. */
const keptOutMark = 'keptOut'

interface Guarding {
  readonly guards: Guards | undefined
  readonly actions: readonly Action[]
  readonly marks?: readonly string[]
}

/** The user that replicas are to log in as; undefined: none of ours. */
export function wantedUser(
  { snapshot }: Pick<Context, 'snapshot'>,
  facts: ServerFacts,
  epoch: number,
): string | undefined {
  const { guards } = snapshot.proxy.spec.failover
  if (guards.replicationUsers !== 'Auto' || snapshot.servers.length < 2) return undefined
  return facts.guards === undefined || facts.guards.refused !== undefined
    ? undefined
    : replicationUser(epoch)
}

export function guard(context: Context, around: Around): Guarding {
  const { proxy } = context.snapshot
  if (proxy.spec.backend.mode === 'Standalone') return { guards: grants(context), actions: [] }
  const users = protectReplicas(context, around)
  const minimum = adaptMinReplicas(context, around)
  const guards = {
    ...users.guards,
    ...minimum.guards,
    ...grants(context),
    ...confirmation(context),
  }
  return {
    guards: Object.keys(guards).length === 0 ? undefined : guards,
    actions: [...users.actions, ...minimum.actions],
    ...(users.marks && { marks: users.marks }),
  }
}

/**
 * A replica is given the credentials before it is told to follow. One that refuses to say how it logs in is left as it
 * is.
 */
function protectReplicas(context: Context, around: Around): Guarding {
  const { primary, facts, others, epoch } = around
  const user = wantedUser(context, facts, epoch)
  const able = others.filter(({ facts: own }) => {
    return own.guards !== undefined && own.guards.refused === undefined && !own.isLoading
  })
  const process = ({ address, facts: own }: LiveMember) => ({ address, runId: own.runId })
  if (user === undefined) {
    const left = able.filter(({ facts: own }) => isReplicationUser(own.guards?.sourceUser ?? ''))
    const actions = left.map((member): Action => ({ kind: 'unprotect', ...process(member) }))
    return { guards: undefined, actions }
  }
  const untold = able.filter(({ facts: own }) => own.guards?.sourceUser !== user)
  const isMade = facts.guards?.replicationUsers.includes(user) === true
  // One that logs in as the user and is kept out was told a password that is not known any more.
  const keptOut = able.filter((member) => isKeptOut(member, primary, user))
  const sinceMs = context.snapshot.marks?.[keptOutMark]
  const isLong = sinceMs !== undefined && context.now.monotonicMs - sinceMs >= keptOutMs
  const replicas = [...untold, ...(isMade && !isLong ? [] : keptOut)].map(process)
  const actions: readonly Action[] =
    isMade && replicas.length === 0
      ? []
      : [{ kind: 'protect', address: primary.address, runId: facts.runId, user, replicas }]
  const isWhole = isMade && untold.length === 0
  return {
    guards: isWhole ? { replicationUser: user } : undefined,
    actions,
    // Told anew, it has as long again to come in.
    ...(keptOut.length > 0 && !isLong && { marks: [keptOutMark] }),
  }
}

function isKeptOut({ facts }: LiveMember, primary: Member, user: string): boolean {
  const isWaiting = !facts.isLinkUp && !facts.isSyncing
  return facts.guards?.sourceUser === user && isFollowing(facts, primary) && isWaiting
}

/**
 * 1 while the primary has a replica, else 0. Taken off the record first: from then on it is no proof, whether or not
 * the primary got to hear of it.
 */
function adaptMinReplicas({ snapshot, status }: Context, around: Around): Guarding {
  const { primary, facts, others } = around
  const { address } = primary
  const { runId, guards: own } = facts
  const isWanted = snapshot.proxy.spec.failover.guards.minReplicas === 'Adaptive'
  const isOurs = status.guards?.minReplicasRunId === runId
  const isTold = own !== undefined && own.minReplicas >= 0
  if (!isTold || (!isWanted && !isOurs)) return { guards: undefined, actions: [] }
  const attached = others.some((member) => isAttached(member.facts, facts))
  const count = isWanted && (attached || facts.connectedReplicas > 0) ? 1 : 0
  const isSet = count === 0 ? own.minReplicas === 0 : own.minReplicas >= 1
  const actions: readonly Action[] = isSet ? [] : [{ kind: 'minReplicas', address, runId, count }]
  return {
    guards: count === 1 && isSet ? { minReplicasRunId: runId } : undefined,
    actions,
  }
}

/** Once every sidecar is known to obey a configuration with grants, no other one will come: they outlive a restart. */
function grants({ snapshot, status }: Context): Pick<Guards, 'grantTtlMs'> {
  const { operatorAway, grantTtl } = snapshot.proxy.spec.failover
  if (operatorAway !== 'StopWrites') return {}
  const grantTtlMs = durationMs(grantTtl)
  if (status.guards?.grantTtlMs === grantTtlMs) return { grantTtlMs }
  const { published, expectedSidecars, sidecars } = snapshot
  if (published?.grantTtlMs !== grantTtlMs || expectedSidecars === undefined) return {}
  const obedient = new Set(
    sidecars.filter(({ acked }) => (acked?.version ?? -1) >= published.version).map(({ id }) => id),
  )
  const ids = [...expectedSidecars, ...sidecars.map(({ id }) => id)]
  return ids.every((id) => obedient.has(id)) ? { grantTtlMs } : {}
}

/** The fewest replicas that an acknowledged write of this epoch may have had. */
function confirmation({ snapshot, status }: Context): Pick<Guards, 'waitReplicas'> {
  const wanted = snapshot.proxy.spec.proxy.writes?.waitReplicas
  if (wanted === undefined) return {}
  return { waitReplicas: Math.min(wanted, status.guards?.waitReplicas ?? wanted) }
}
