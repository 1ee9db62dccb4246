/** A data plane before a real cluster, shared by the tests of one file. */
import type { TestContext } from 'node:test'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { type ConfigChanges, connect, configFor, portOf, startPlane } from '../sidecar/harness.ts'
import type { LocalDataPlane } from '../../../sidecar/data-plane.ts'
import { type ClusterOptions, type RedisCluster, startCluster } from '../../support/cluster.ts'
import type { Client } from '../sidecar/harness.ts'

export interface ClusterRig {
  readonly cluster: RedisCluster
  readonly plane: LocalDataPlane
  readonly config: ProxyConfig
  readonly client: () => Promise<Client>
}

/** Before a cluster that others may use too. */
export async function planeBefore(
  t: TestContext,
  cluster: RedisCluster,
  changes: ConfigChanges = {},
): Promise<ClusterRig> {
  const [first] = cluster.nodes
  if (first === undefined) throw new Error('a cluster without nodes')
  const members = cluster.nodes.map(({ host, port }) => ({ host, port, role: 'unknown' as const }))
  const upstream = { mode: 'cluster' as const, members, discovery: 'self' as const }
  const config = configFor(first, { ...changes, upstream: { ...upstream, ...changes.upstream } })
  const { primary: _none, ...rest } = config.upstream
  const clustered = { ...config, upstream: rest }
  const plane = await startPlane(t, clustered)
  return { cluster, plane, config: clustered, client: () => connect(t, portOf(plane)) }
}

export async function startRig(
  t: TestContext,
  options: ClusterOptions = {},
  changes: ConfigChanges = {},
): Promise<ClusterRig> {
  const cluster = await startCluster(options)
  t.after(() => cluster.stop())
  return planeBefore(t, cluster, changes)
}
