/** What is shown of a cluster. */
import { formatHostPort } from '../../../common/redis/url.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { viewReplica } from '../replication/replication-view.ts'
import {
  type MemberView,
  type ShardView,
  type TopologyView,
  type UnfitReason,
  memberState,
} from '../view.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterShard } from './cluster-shard.ts'
import type { MergedNode } from './nodes.ts'
import { replicasOf } from './readers.ts'
import { rangesByOwner } from './slot-map.ts'

export interface Shown {
  readonly map: ClusterMap
  readonly version: number
  readonly splitsReads: boolean
  readonly nowMs: number
}

export function viewCluster(shown: Shown): TopologyView {
  const { map, version, splitsReads } = shown
  const ranges = rangesByOwner(map.slots)
  const shards = map.shards.map(
    (shard): ShardView => ({
      id: shard.id,
      slots: ranges.get(shard) ?? [],
      members: [viewPrimary(shard), ...viewReplicas(shard, shown)],
    }),
  )
  const slotsUncovered = map.slots.filter((shard) => shard === undefined).length
  return { kind: 'cluster', version, splitsReads, shards, slotsUncovered }
}

function viewPrimary({ primary, primaryId, address }: ClusterShard): MemberView {
  const state = memberState(primary)
  const reason = state === 'ready' ? undefined : state
  return {
    address: formatHostPort(address),
    name: primaryId,
    role: 'primary',
    state,
    isFit: reason === undefined,
    ...(reason && { reason }),
    ...use(primary),
  }
}

/** Those that are not read from have no connections. */
function viewReplicas(shard: ClusterShard, { map, nowMs, splitsReads }: Shown): MemberView[] {
  const read = new Map(
    shard.replicas?.replicas.map((one) => [formatHostPort(one.address), one]) ?? [],
  )
  return replicasOf(shard, map.nodes).flatMap((node): MemberView[] => {
    const { id, address } = node
    if (address === undefined) return []
    const replica = read.get(formatHostPort(address))
    if (replica !== undefined && shard.replicas !== undefined) {
      const primary = shard.replicas.primaryState()
      return [{ ...viewReplica(replica, { primary, nowMs }), name: id }]
    }
    return [
      {
        address: formatHostPort(address),
        name: id,
        role: 'replica',
        state: 'connecting',
        isFit: false,
        reason: stateOf(node, splitsReads),
        inFlightCommands: 0,
        connections: 0,
        commandsSent: 0,
      },
    ]
  })
}

function stateOf({ isFailed, health }: MergedNode, splitsReads: boolean): UnfitReason {
  if (isFailed || health === 'failed') return 'failed'
  if (health === 'loading') return 'syncing'
  return splitsReads ? 'connecting' : 'unused'
}

function use(
  server: ServerConnections,
): Pick<MemberView, 'inFlightCommands' | 'connections' | 'commandsSent'> {
  return {
    inFlightCommands: server.inFlightCommands,
    connections: server.connectionCount,
    commandsSent: server.load.commandCount,
  }
}
