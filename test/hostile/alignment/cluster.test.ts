/**
 * No reply ever reaches another client, or another command, before a cluster whose connections end, whose servers stop
 * and change places, and whose slots move, while clients come and go.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../../integration/sidecar/harness.ts'
import { startRig } from '../../integration/cluster/rig.ts'
import { portOf } from '../../integration/sidecar/harness.ts'
import type { RedisCluster } from '../../support/cluster.ts'
import { encodeCommand, until } from '../../support/servers.ts'
import { Random } from '../fuzz/random.ts'
import { AlignmentClient, keyCount, keyOf, newTally, valueOf } from './client.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const replyCount = isFull ? 2_000_000 : 60_000
const clientCount = isFull ? 60 : 24
const deadlineMs = isFull ? 1_800_000 : 25_000
const shards = [0, 1, 2] as const

test('before a cluster in disorder everyone gets the replies to what he asked', async (t) => {
  const seed = Number(process.env['RESPMESH_SEED'] ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const { cluster, plane } = await startRig(t, { primaries: 3, replicasPerPrimary: 1 })
  const ids = Array.from({ length: clientCount }, (_, at) => `c${String(at).padStart(3, '0')}`)
  const loader = await connect(t, portOf(plane))
  for (const id of ids) {
    const indexes = Array.from({ length: keyCount }, (_, index) => index)
    for (const index of indexes) {
      loader.send(encodeCommand(['SET', keyOf(id, index), valueOf(id, index)]))
    }
    assert.deepEqual(
      await loader.replies(keyCount),
      indexes.map(() => '+OK\r\n'),
    )
  }
  const tally = newTally()
  const deadline = performance.now() + deadlineMs
  const isOver = () => tally.right >= replyCount || performance.now() > deadline
  const clients = ids.map((id, at) => {
    const random = new Random(seed + at)
    return new AlignmentClient({ port: portOf(plane), id, random, tally, isOver, others: ids })
  })
  const disorder = disturb(cluster, new Random(seed), isOver)
  await Promise.all(clients.map((client) => client.work()))
  const done = await disorder
  const { example, ...counts } = tally
  t.diagnostic(JSON.stringify({ ...counts, ...done }))
  assert.equal(tally.foreign, 0, example)
  assert.equal(tally.hangs, 0)
  assert.ok(tally.right > replyCount / 20)
  await until('nothing is owed', () => plane.view().inFlightCommands === 0)
})

async function disturb(cluster: RedisCluster, random: Random, isOver: () => boolean) {
  const done = { kills: 0, stops: 0, moves: 0, failovers: 0 }
  for (let round = 1; !isOver(); round += 1) {
    await pause(300)
    const shard = random.pick(shards)
    const node = await cluster.primaryOf(shard)
    if (round % 9 === 0) {
      done.failovers += 1
      await cluster.failOver(shard)
    } else if (round % 4 === 0) {
      done.moves += 1
      await cluster.moveSlots(shard, (shard + 1) % 3, 20)
    } else if (round % 4 === 1) {
      done.stops += 1
      node.server.signal('SIGSTOP')
      await pause(200)
      node.server.signal('SIGCONT')
    } else {
      done.kills += 1
      await node.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
  }
  return done
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
