/** One action of a plan, sent to the server it is for. */
import { assertNever } from '../../common/errors.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { Backend } from '../backend/index.ts'
import { type Observation, factsOf, isReplicationUser, parkSource } from './observation.ts'
import type { Action } from './plan/index.ts'

export interface CarryOutModules {
  readonly backend: Backend
  readonly isLeader: () => boolean
  readonly log: Log
}

/**
 * Never throws: a failed command is no failed turn, the next look shows what came of it, and the plan repeats it.
 * Sends nothing unless this process is the leader at that moment.
 */
export async function carryOut(
  key: ProxyKey,
  action: Action,
  { backend, isLeader, log }: CarryOutModules,
): Promise<void> {
  if (!isLeader()) return
  const { kind, address, runId } = action
  try {
    await send(key, action, backend)
    log.info({ proxy: key, action: kind, address, runId }, 'server obeyed')
  } catch (err) {
    log.warn({ err, proxy: key, action: kind, address, runId }, 'server did not obey')
  }
}

/**
 * What is undone on servers that are no longer ours to look after. `minReplicasRunId`: the process that we made refuse
 * writes without a replica, which nobody would take back once its last replica is gone.
 */
export function releaseOf(
  observations: readonly Observation[],
  minReplicasRunId?: string,
): readonly Action[] {
  return observations.flatMap((observation): readonly Action[] => {
    const facts = factsOf(observation)
    if (facts === undefined) return []
    const process = { address: observation.address, runId: facts.runId }
    const isOurs = isReplicationUser(facts.guards?.sourceUser ?? '')
    return [
      ...(isOurs ? [{ kind: 'unprotect', ...process } as const] : []),
      ...(facts.runId === minReplicasRunId
        ? [{ kind: 'minReplicas', ...process, count: 0 } as const]
        : []),
    ]
  })
}

/** Whom to look at after an action. */
export function addressesOf(action: Action): readonly string[] {
  const { kind, address } = action
  if (kind === 'handOver') return [address, action.to.address]
  if (kind !== 'protect') return [address]
  return [address, ...action.replicas.map((replica) => replica.address)]
}

function send(key: ProxyKey, action: Action, backend: Backend): Promise<void> {
  const server = { address: action.address, runId: action.runId }
  switch (action.kind) {
    case 'park':
      return backend.replicate(key, server, parkSource)
    case 'replicate':
      return backend.replicate(key, server, action.source)
    case 'promote':
      return backend.promote(key, server.address, server.runId)
    case 'handOver':
      return backend.handOver(key, server, { to: action.to, timeoutMs: action.timeoutMs })
    case 'unpause':
      return backend.unpause(key, server)
    case 'protect':
      return backend.protect(key, server, { user: action.user, replicas: action.replicas })
    case 'unprotect':
      return backend.unprotect(key, server)
    case 'minReplicas':
      return backend.setMinReplicas(key, server, action.count)
    case 'clusterFailover':
      return backend.clusterFailover(key, server)
    default:
      return assertNever(action)
  }
}
