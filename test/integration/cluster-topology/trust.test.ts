/** Whom the map believes, and that nobody who is away, cut off or hostile holds it up. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'
import { bulk, startDoor, startMadeNode } from './made-node.ts'
import { clusterConfig, reach, startTopology, untilRight } from './rig.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'

let cluster: RedisCluster

before(async () => {
  cluster = await startCluster()
})

after(() => cluster.stop())

const seeds = () => cluster.present.map(({ host, port }) => ({ host, port }))

/** What a primary says that took all slots for itself: one that exists, or one that nobody else knows. */
async function usurpation(number: number, isCutOff: boolean): Promise<string> {
  const primary = await cluster.primaryOf(0)
  const lines = String(await primary.ask('CLUSTER', 'NODES'))
    .trim()
    .split('\n')
  const taken = lines.map((line) => {
    const fields = line.split(' ')
    if (fields[2]?.startsWith('myself')) {
      fields[6] = '999'
      return [...fields.slice(0, 8), '0-16383'].join(' ')
    }
    if (isCutOff) fields[2] = `${fields[2]},fail?`
    return fields.slice(0, 8).join(' ')
  })
  const text = `${taken.join('\n')}\n`
  return number === 0 ? text : text.replaceAll(primary.id, number.toString(16).padStart(40, '0'))
}

test('a node that is cut off, or that lies, does not win over the others, whatever its epoch', async (t) => {
  const lies = [
    [0, true],
    [7, false],
    [0, false],
    [7, true],
  ] as const
  for (const [number, isCutOff] of isFull ? lies : lies.slice(0, 2)) {
    const list = await usurpation(number, isCutOff)
    const liar = await startMadeNode(t, (words) => (words[1] === 'NODES' ? bulk(list) : undefined))
    const rig = startTopology(t, clusterConfig([liar, ...seeds().slice(0, 1)]))
    await untilRight(rig, cluster)
    for (let look = rig.backend.looks; look < 3; look = rig.backend.looks) {
      rig.backend.lookAgain()
      await until('the next look has begun', () => rig.backend.looks > look)
    }
    await untilRight(rig, cluster)
    assert(liar.asked.includes('CLUSTER NODES'))
  }
})

test('a primary that claims all is not believed alone, though it was asked first', async (t) => {
  const list = await usurpation(0, false)
  const primary = await cluster.primaryOf(0)
  let isLying = false
  const door = await startDoor(t, () => (isLying ? liar : primary))
  const liar = await startMadeNode(t, (words) => (words[1] === 'NODES' ? bulk(list) : undefined))
  const rig = startTopology(t, clusterConfig([door]))
  await untilRight(rig, cluster)
  isLying = true
  for (let look = rig.backend.looks; look < 3; look = rig.backend.looks) {
    rig.backend.lookAgain()
    await until('the next look has begun', () => rig.backend.looks > look)
  }
  await untilRight(rig, cluster)
})

test('one node alone that is cut off is not believed', async (t) => {
  const list = await usurpation(0, true)
  const node = await startMadeNode(t, (words) => (words[1] === 'NODES' ? bulk(list) : undefined))
  const rig = startTopology(t, clusterConfig([node], {}, { connectTimeoutMs: 200 }))
  await until('the others, whom it names, have been asked', () => rig.isComplete())
  await untilRight(rig, cluster)
})

const nonsense: Readonly<Record<string, (words: readonly string[]) => string | undefined>> = {
  'no RESP': () => 'HTTP/1.1 400 Bad Request\r\n\r\n',
  nothing: () => '',
  errors: () => '-ERR This instance has cluster support disabled\r\n',
  'another type': ([, what]) => (what === 'NODES' ? '*1\r\n:5\r\n' : undefined),
  'a reply without an end': ([, what]) =>
    what === 'NODES' ? `$999999999\r\n${'x'.repeat(1e6)}` : undefined,
  'more than was asked': ([, what]) => (what === 'NODES' ? bulk('').repeat(9) : undefined),
  'deep nesting': ([, what]) => (what === 'SHARDS' ? `${'*1\r\n'.repeat(1e5)}:1\r\n` : undefined),
  'an empty list': ([, what]) => (what === 'NODES' ? bulk('\n') : undefined),
}

test('nonsense in place of answers does no harm, and the next configuration works', async (t) => {
  for (const [what, answer] of Object.entries(nonsense).slice(isFull ? 0 : 4)) {
    const node = await startMadeNode(t, answer)
    const timing = { connectTimeoutMs: 200 }
    const rig = startTopology(t, clusterConfig([node], {}, timing))
    await until(`${what}: it was asked`, () => rig.backend.looksFailed > 1)
    assert.equal(rig.backend.shards.length, 0, what)
    rig.use(clusterConfig([node, ...seeds()], {}, timing))
    await untilRight(rig, cluster)
  }
})

test('a backend whose addresses have all changed is found again through its name', async (t) => {
  const small = { primaries: 1, replicasPerPrimary: 0 }
  let present = await startCluster(small)
  t.after(() => present.stop())
  const door = await startDoor(t, () => ({ host: '127.0.0.1', port: present.nodes[0]?.port ?? 0 }))
  const rig = startTopology(t, clusterConfig([door]))
  await untilRight(rig, present)
  const gone = present
  const next = await startCluster(small)
  await gone.stop()
  present = next
  door.hangUp()
  await untilRight(rig, next)
  await reach(rig, 5)
})

test('another cluster at another place is another backend: nothing of the old one stays', async (t) => {
  const other = await startCluster({ primaries: 1, replicasPerPrimary: 0 })
  t.after(() => other.stop())
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  rig.use(clusterConfig([{ host: '127.0.0.1', port: other.nodes[0]?.port ?? 0 }]))
  assert.equal(rig.backend.shardOf(0), undefined)
  assert.equal(rig.pool.connectionCount, 0)
  await untilRight(rig, other)
})

test('a primary that is stopped holds up neither the others nor the map', async (t) => {
  const cluster = await startCluster({ args: ['--cluster-require-full-coverage', 'no'] })
  t.after(() => cluster.stop())
  const seeds = () => cluster.present.map(({ host, port }) => ({ host, port }))
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const [slotOfOther = 0] = await cluster.slotsOf(1)
  const [slot = 0] = await cluster.slotsOf(0)
  const stopped = await cluster.primaryOf(0)
  cluster.pause(stopped)
  t.after(() => cluster.resume(stopped))
  let longestMs = 0
  const before = rig.ownerOf(slot)
  await until('the stopped one is followed by its replica', async () => {
    rig.backend.lookAgain()
    longestMs = Math.max(longestMs, (await reach(rig, slotOfOther)).ms)
    return rig.ownerOf(slot) !== before
  })
  assert(longestMs < 500, `${longestMs} ms for another shard`)
  await reach(rig, slot)
})
