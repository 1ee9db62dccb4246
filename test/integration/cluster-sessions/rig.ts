/** A sidecar before a real cluster, and clients that know no cluster. */
import type { TestContext } from 'node:test'
import type { DataPlane } from '../../../sidecar/data-plane.ts'
import { serverProgramOf } from '../../support/server-versions.ts'
import { type ClusterOptions, type RedisCluster, startCluster } from '../../support/cluster.ts'
import {
  type Client,
  type ConfigChanges,
  configFor,
  connect,
  portOf,
  startPlane,
} from '../sidecar/harness.ts'

export interface ClusterRig {
  readonly cluster: RedisCluster
  readonly plane: DataPlane
  readonly port: number
  readonly client: () => Promise<Client>
  /** A key of the shard with this number, as the slots were first. */
  readonly keyOf: (shard: number, name?: string) => Promise<string>
}

export async function startClusterRig(
  t: TestContext,
  options: ClusterOptions = {},
  changes: ConfigChanges = {},
): Promise<ClusterRig> {
  const program = await wantedProgram()
  const cluster = await startCluster({ replicasPerPrimary: 0, ...program, ...options })
  t.after(() => cluster.stop())
  return rigBefore(t, cluster, changes)
}

/** `RESPMESH_TEST_SERVER=valkey:9` has other servers than those of this machine tried. */
export async function wantedProgram(): Promise<Pick<ClusterOptions, 'program'>> {
  const [name, series] = (process.env['RESPMESH_TEST_SERVER'] ?? '').split(':')
  if (series === undefined || (name !== 'redis' && name !== 'valkey')) return {}
  return { program: await serverProgramOf(name, series) }
}

/** One more sidecar before a cluster. */
export async function rigBefore(
  t: TestContext,
  cluster: RedisCluster,
  changes: ConfigChanges = {},
): Promise<ClusterRig> {
  const [first] = cluster.nodes
  if (first === undefined) throw new Error('no node')
  const members = cluster.nodes.map(({ host, port }) => ({ host, port, role: 'unknown' as const }))
  const config = configFor(first, {
    ...changes,
    upstream: { mode: 'cluster', discovery: 'self', members, ...changes.upstream },
  })
  const plane = await startPlane(t, config)
  const port = portOf(plane)
  return {
    cluster,
    plane,
    port,
    client: () => connect(t, port),
    keyOf: (shard, name) => cluster.keyOf(shard, name),
  }
}
