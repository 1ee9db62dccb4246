/**
 * No reply ever reaches another client, or another command, before a cluster whose connections end, whose servers stop
 * and change places, and whose slots move, while clients come and go.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRig } from '../../integration/cluster/rig.ts'
import { connect, portOf } from '../../integration/sidecar/harness.ts'
import { encodeCommand, until } from '../../support/servers.ts'
import { Random } from '../fuzz/random.ts'
import { AlignmentClient, keyCount, keyOf, newTally, valueOf } from './client.ts'
import { disturb } from './disorder.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const replyCount = isFull ? 2_000_000 : 40_000
const clientCount = isFull ? 60 : 24
const deadlineMs = isFull ? 1_800_000 : 15_000

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
