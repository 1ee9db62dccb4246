/**
 * A planned change where the operator does not choose the primary: in a cluster a replica is told to take over, by
 * agreement with its primary (`CLUSTER FAILOVER`); where Sentinels choose, they are to be asked. Pure.
 */
import { clusterFailoverMs } from '../../../common/limits.ts'
import type { BackendSpec, OperationStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import { type Member, isLive } from './members.ts'
import { beginOperation, endNamed, refuseOperation } from './operation.ts'
import type { Action, Now, Operation, Snapshot } from './types.ts'

interface Context {
  readonly snapshot: Snapshot
  readonly status: RedisProxyStatus
  readonly members: readonly Member[]
  readonly now: Now
}

interface Change {
  readonly operation: OperationStatus | undefined
  readonly actions: readonly Action[]
  readonly marks: readonly string[]
}

const takingOverMark = 'takingOver'

export function planClusterChange(context: Context): Change {
  const { snapshot, status, members, now } = context
  const { operation: asked, proxy, marks } = snapshot
  const still = (operation: OperationStatus | undefined): Change => ({
    operation,
    actions: [],
    marks: [],
  })
  if (asked === undefined) return still(status.operation)
  const why = whyImpossible(asked, proxy.spec.backend)
  if (why !== undefined) return still(refuseOperation(context, asked, why))
  const target = members.find(({ address }) => address === asked.to)
  if (target === undefined || !isLive(target)) {
    return still(
      refuseOperation(context, asked, `${asked.to ?? 'to'} must be a listed node that answers`),
    )
  }
  const isRunning = status.operation?.name === asked.name
  if (target.facts.role === 'primary') {
    return still(
      isRunning
        ? endNamed(context, asked.name, `${target.address} took over`)
        : refuseOperation(context, asked, `${target.address} is a primary already`),
    )
  }
  if (!target.facts.isLinkUp) {
    return still(refuseOperation(context, asked, `${target.address} does not follow its primary`))
  }
  const sinceMs = marks?.[takingOverMark]
  if (sinceMs !== undefined && now.monotonicMs - sinceMs >= clusterFailoverMs) {
    return still(refuseOperation(context, asked, `${target.address} did not take over in time`))
  }
  const { address, facts } = target
  return {
    operation: beginOperation(context, asked, `${address} is taking over`),
    actions: isRunning ? [] : [{ kind: 'clusterFailover', address, runId: facts.runId }],
    marks: [takingOverMark],
  }
}

function whyImpossible({ kind }: Operation, { mode, sentinel }: BackendSpec): string | undefined {
  if (sentinel !== undefined)
    return 'Sentinels choose the primary; ask one of them (SENTINEL FAILOVER)'
  if (mode !== 'Cluster') return 'the servers of a ring have no replicas'
  return kind === 'Switchover' ? undefined : 'a cluster promotes by itself; ask for a Switchover'
}
