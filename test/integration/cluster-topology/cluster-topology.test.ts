/** The slot map follows a real cluster through what becomes of it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { SlotMove } from '../../support/slot-move.ts'
import { until } from '../../support/servers.ts'
import { clusterConfig, reach, startTopology, untilQuiet, untilRight } from './rig.ts'

let cluster: RedisCluster

before(async () => {
  cluster = await startCluster()
})

after(() => cluster.stop())

const seeds = () => cluster.present.map(({ host, port }) => ({ host, port }))

test('a replica as the only seed is enough to know and reach all', async (t) => {
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

test('seeds that are not there any more do no harm', async (t) => {
  const gone = { host: '127.0.0.1', port: 1 }
  const unknown = { host: 'nowhere.invalid', port: 6379 }
  const rig = startTopology(t, clusterConfig([gone, unknown, ...seeds().slice(3, 4)]))
  await untilRight(rig, cluster)
})

test('a redirect is followed at once, its slot only, and the look after it finds the rest', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilQuiet(rig, cluster)
  const { version, looks } = rig.backend
  const moved = await cluster.moveSlots(0, 1, 3)
  const [first = 0, second = 0] = moved
  const wasOwner = rig.ownerOf(second)
  const { redirects } = await reach(rig, first)
  assert.equal(redirects, 1)
  assert.equal(rig.ownerOf(first), (await cluster.primaryOf(1)).port)
  assert.equal(rig.ownerOf(second), wasOwner)
  assert.equal(rig.backend.version, version + 1)
  assert.equal(rig.backend.looks, looks)
  await untilRight(rig, cluster)
})

test('a redirect to an address outside of the cluster is not followed', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const { version } = rig.backend
  const outside = { host: '10.255.255.1', port: 6379 }
  assert.equal(rig.backend.onMoved(5, outside), undefined)
  assert.equal(rig.backend.onAsk(outside), undefined)
  assert.equal(rig.backend.onMoved(-1, { host: '127.0.0.1', port: rig.ownerOf(0) }), undefined)
  assert.equal(rig.backend.onMoved(1e9, { host: '127.0.0.1', port: rig.ownerOf(0) }), undefined)
  assert.equal(rig.backend.version, version)
})

test('servers that contradict each other change the map once, and a look puts it right', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const { version } = rig.backend
  const places = rig.backend.shards.map(({ address }) => address)
  for (let round = 0; round < 1000; round += 1) {
    for (const place of places) assert(rig.backend.onMoved(7, place))
  }
  assert(rig.backend.version <= version + 1)
  await untilRight(rig, cluster)
})

test('a storm of redirects is followed by few looks', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const { looks } = rig.backend
  const startedMs = performance.now()
  while (performance.now() - startedMs < 800) {
    for (let slot = 0; slot < 100; slot += 1) {
      rig.backend.onMoved(slot, { host: '10.255.255.1', port: slot })
      rig.backend.lookAgain()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert(rig.backend.looks - looks < 30, `${rig.backend.looks - looks} looks`)
})

test('slots that move to a node which has just joined are found there', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const from = await cluster.primaryOf(2)
  const to = await cluster.startNode(9)
  await to.ask('CLUSTER', 'MEET', from.host, String(from.announcedPort), String(from.busPort))
  await cluster.agree()
  const slots = (await cluster.slotsOf(2)).slice(0, 5)
  for (const slot of slots) {
    await new SlotMove(cluster, slot, { from, to }).run()
    await reach(rig, slot)
    assert.equal(rig.ownerOf(slot), to.port)
  }
  await untilRight(rig, cluster)
  assert.equal(rig.backend.shards.length, 4)
})

test('a shard keeps its name through a failover, and its primary is another', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
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

test('what is shown names nodes, slots and who is not there', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  await until('all are connected', () =>
    rig.backend.topologyView().shards.every(({ members }) => members[0]?.isFit === true),
  )
  const { kind, shards, slotsUncovered } = rig.backend.topologyView()
  assert.equal(kind, 'cluster')
  assert.equal(slotsUncovered, 0)
  const covered = shards.flatMap(({ slots = [] }) => slots.map(([first, last]) => last - first + 1))
  assert.equal(
    covered.reduce((sum, count) => sum + count, 0),
    16_384,
  )
  const views = await cluster.view()
  for (const { members } of shards) {
    for (const { name, role, address } of members) {
      const view = views.find(({ id }) => id === name)
      assert.equal(address, `127.0.0.1:${view?.port}`)
      assert.equal(view?.flags.includes(role === 'primary' ? 'master' : 'slave'), true)
    }
  }
})
