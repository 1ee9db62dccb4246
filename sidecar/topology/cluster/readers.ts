/** Which nodes of a shard may be read from, as far as the cluster knows. Pure but for the connections. */
import type { UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { ReplicaPlace } from '../replication/replica-group.ts'
import type { ClusterShard } from './cluster-shard.ts'
import { type MergedNode, isSame } from './nodes.ts'

/** The replicas of a shard that have not failed, in the order of their ids. */
export function replicasOf(
  { primaryId }: ClusterShard,
  nodes: ReadonlyMap<string, MergedNode>,
): readonly MergedNode[] {
  const replicas = [...nodes.values()].filter((node) => node.primaryId === primaryId)
  return replicas.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** Those that can be connected to; how fresh they are is found out by asking them. */
export function readerPlaces(
  replicas: readonly MergedNode[],
  members: UpstreamConfig['members'],
  connect: (address: ServerAddress) => ServerConnections | undefined,
): readonly ReplicaPlace[] {
  return replicas.flatMap(({ address, aliases, isFailed, health }) => {
    if (address === undefined || isFailed || health === 'failed') return []
    const server = connect(address)
    if (server === undefined) return []
    const zone = members.find((one) => aliases.some((alias) => isSame(alias, one)))?.zone
    return [{ address, server, ...(zone !== undefined && { zone }) }]
  })
}
