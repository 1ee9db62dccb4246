/** Replicas of the shards of a cluster are read from while they are known to be fresh. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'
import { clusterConfig, keyOfSlot, reach, startTopology, untilRight } from './rig.ts'

const ever = Number.NEGATIVE_INFINITY

test('each shard has its replica read from, until it is gone or primary', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const seeds = cluster.nodes.map(({ host, port }) => ({ host, port }))
  const reads = { policy: 'readsToReplicas' } as const
  const rig = startTopology(t, clusterConfig(seeds, { reads }))
  await untilRight(rig, cluster)
  const { backend } = rig
  await until('every shard has a reader', () =>
    backend.shards.every((shard) => shard.reader(ever) !== undefined),
  )
  assert.equal(backend.splitsReads, true)
  const [slot = 0] = await cluster.slotsOf(0)
  const key = keyOfSlot[slot] ?? ''
  const primary = await cluster.primaryOf(0)
  await primary.ask('SET', key, 'value')
  const writtenAtMs = performance.now()
  assert.equal(backend.shardOf(slot)?.reader(Number.POSITIVE_INFINITY), undefined)
  await until('the reader has what was written', () => {
    return backend.shardOf(slot)?.reader(writtenAtMs) !== undefined
  })
  const reader = backend.shardOf(slot)?.reader(writtenAtMs)
  const asked = reader?.askAside(Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`))
  assert.deepEqual(await asked, [{ kind: 'text', text: 'value' }])
  assert.notEqual(reader?.address, backend.shardOf(slot)?.primary.address)

  const [replica] = await cluster.replicasOf(0)
  assert(replica)
  await cluster.kill(replica)
  await until('one that is gone is not read from', () => {
    return backend.shardOf(slot)?.reader(ever) === undefined
  })
  await cluster.restart(replica)
  await until('it is read from again', () => backend.shardOf(slot)?.reader(ever) !== undefined)

  await cluster.agree()
  const [other = 0] = await cluster.slotsOf(1)
  const heir = await cluster.failOver(1)
  await reach(rig, other)
  await untilRight(rig, cluster)
  await until('the former primary is the reader', () => {
    const address = backend.shardOf(other)?.reader(ever)?.address
    return address !== undefined && address !== `127.0.0.1:${heir.port}`
  })
  const shown = backend.topologyView().shards.flatMap(({ members }) => members)
  assert.equal(shown.filter(({ role }) => role === 'replica').length, 3)
})
