/** The slot map follows a real cluster through what becomes of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'
import { clusterConfig, startTopology, untilRight } from './rig.ts'

test('a replica as the only seed is enough to know and reach all', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const [seed] = await cluster.replicasOf(2)
  assert(seed)
  const rig = startTopology(t, clusterConfig([{ host: seed.host, port: seed.port }]))
  await untilRight(rig, cluster)
  assert.equal(rig.backend.shards.length, 3)
  assert.equal(rig.changes(), 1)
  await until('every primary is connected', () =>
    rig.backend.shards.every(({ primary }) => primary.view === 'ok'),
  )
})

test('a shard keeps its name through a failover, and its primary is another', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const seeds = cluster.nodes.map(({ host, port }) => ({ host, port }))
  const rig = startTopology(t, clusterConfig(seeds))
  await untilRight(rig, cluster)
  const ids = rig.backend.shards.map(({ id }) => id)
  const { version } = rig.backend
  const killed = await cluster.killPrimary(1)
  await cluster.primaryIsNot(killed)
  await untilRight(rig, cluster)
  assert.deepEqual(
    rig.backend.shards.map(({ id }) => id),
    ids,
  )
  assert(rig.backend.version > version)
})
