/** How soon the map is right after failovers and while slots move. `RESPMESH_TEST_SIZE=full`: 20 and 1000 of them. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'
import { clusterConfig, reach, startTopology, untilRight } from './rig.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const failoverCount = isFull ? 20 : 2
const slotCount = isFull ? 1000 : 40

let cluster: RedisCluster

before(async () => {
  cluster = await startCluster()
})

after(() => cluster.stop())

const seeds = () => cluster.present.map(({ host, port }) => ({ host, port }))

test('every slot that moves is reached where it went', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const times: number[] = []
  let redirects = 0
  for (const from of [0, 1]) {
    // One target for all of a kind, as tools have it: epochs of nodes that take slots in turn may collide.
    await cluster.agree()
    for (const slot of (await cluster.slotsOf(from)).slice(0, slotCount / 2)) {
      await cluster.moveSlots(from, from + 1, [slot])
      const reached = await reach(rig, slot)
      times.push(reached.ms)
      redirects += reached.redirects
    }
  }
  t.diagnostic(
    `${slotCount} slots moved: reached after ${quantiles(times)}; ${redirects} redirects, ${rig.backend.looks} looks`,
  )
  assert(redirects <= slotCount)
  t.diagnostic(`all right ${(await untilRight(rig, cluster)).toFixed(0)} ms later`)
})

test('every failover by agreement is followed', async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const agreed: number[] = []
  for (let number = 0; number < failoverCount; number += 1) {
    const slots = await cluster.slotsOf(number % 3)
    const [slot = 0] = slots
    const before = rig.ownerOf(slot)
    const asked = cluster.failOver(number % 3)
    const next = await untilMoved(rig, slot, before)
    agreed.push(next)
    await asked
    await untilRight(rig, cluster)
  }
  t.diagnostic(`${failoverCount} failovers: the longest a slot was not served ${quantiles(agreed)}`)
})

const skip = isFull ? false : 'cluster-topology.test.ts has it; here it is measured'

test('the heir of a primary that died is followed', { skip }, async (t) => {
  const rig = startTopology(t, clusterConfig(seeds()))
  await untilRight(rig, cluster)
  const shard = 1
  const [slot = 0] = await cluster.slotsOf(shard)
  const [replica] = await cluster.replicasOf(shard)
  const killed = await cluster.killPrimary(shard)
  const promoted = until('the replica is primary', async () =>
    String(await replica?.ask('ROLE')).startsWith('master'),
  ).then(() => performance.now())
  await reach(rig, slot)
  const reachedAtMs = performance.now()
  const followedMs = reachedAtMs - (await promoted)
  await cluster.primaryIsNot(killed)
  t.diagnostic(
    `the heir of a primary that died was reached ${followedMs.toFixed(0)} ms after it was made one`,
  )
  await untilRight(rig, cluster)
})

/** Asks for the slot all the time until it is served by another; gives the longest it was not served, ms. */
async function untilMoved(
  rig: Parameters<typeof reach>[0],
  slot: number,
  before: number,
): Promise<number> {
  let longestMs = 0
  while (rig.ownerOf(slot) === before) {
    const { ms } = await reach(rig, slot)
    longestMs = Math.max(longestMs, ms)
  }
  return longestMs
}

function quantiles(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms`
}
