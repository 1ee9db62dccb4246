/** What becomes of replies and commands of one client whose ways are held up by one another. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { clientOutputCutBytes } from '../../../common/limits.ts'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { encodeCommand, until } from '../../support/servers.ts'
import type { Client } from '../sidecar/harness.ts'
import { planeBefore } from './rig.ts'

let cluster: RedisCluster
let keys: readonly string[]
before(async () => {
  cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 60_000 })
  keys = await Promise.all([0, 1, 2].map((shard) => cluster.keyOf(shard)))
})
after(() => cluster.stop())

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

/** Has the sidecar know that the client's replies are small. */
async function practise(client: Client): Promise<void> {
  const round = keys.map((key) => encodeCommand(['EXISTS', key])).join('')
  for (let left = 10; left > 0; left -= 1) {
    client.send(round.repeat(8))
    await client.replies(24)
  }
}

test('a large reply behind a command that is sent again comes', async (t) => {
  const limits = { clientOutputBytesMax: 64 * 1024 }
  const { client, plane } = await planeBefore(t, cluster, { limits })
  const one = await client()
  const [moved = '', other = ''] = keys
  const large = 'x'.repeat(3_000_000)
  await one.ask('SET', moved, 'here')
  const writer = await cluster.nodeOf(other)
  await writer.ask('SET', `{${other}}large`, large)
  await practise(one)
  await cluster.moveSlots(0, 2, [await cluster.slotOf(moved)])
  const { refusedMoved } = plane.view().counters
  one.send(encodeCommand(['GET', moved]) + encodeCommand(['GET', `{${other}}large`]))
  assert.equal(await one.reply(), bulk('here'))
  assert.equal(await one.reply(), bulk(large))
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  assert.ok(plane.view().counters.refusedMoved > refusedMoved, 'it was sent twice')
})

test('replies of one shard that wait for those of another are bounded together', async (t) => {
  const { client, plane } = await planeBefore(t, cluster)
  const one = await client()
  const [, there = '', stopped = ''] = keys
  const node = await cluster.nodeOf(there)
  const valueBytes = 4_000_000
  await node.ask('SET', `{${there}}large`, 'x'.repeat(valueBytes))
  await practise(one)
  const { server } = await cluster.nodeOf(stopped)
  server.signal('SIGSTOP')
  t.after(() => server.signal('SIGCONT'))
  const count = 20
  one.send(encodeCommand(['MGET', `{${there}}large`, `{${stopped}}none`]).repeat(count))
  one.send(encodeCommand(['DEL', `{${there}}none`, `{${stopped}}none`]))
  await until('all came', () => plane.view().counters.upstreamBytesRead > count * valueBytes)
  let byteCount = 0
  let refusedCount = 0
  let tail = ''
  one.socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
    byteCount += chunk.length
    const text = chunk.toString('latin1')
    refusedCount += text.split('-PROXY RM_OVERLOADED').length - 1
    tail = text.slice(-4)
  })
  server.signal('SIGCONT')
  await until('all is answered', () => tail === ':0\r\n')
  const wholeCount = count - refusedCount
  assert.ok(refusedCount > 0 && wholeCount > 4, `${refusedCount} were refused`)
  assert.ok(wholeCount * valueBytes <= clientOutputCutBytes)
  assert.ok(byteCount > wholeCount * valueBytes)
})

test('a command that is not to be answered is not, although it is sent again', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const [one, other] = [await client(), await client()]
  const list = `{${keys[1]}}list`
  assert.equal(await other.ask('RPUSH', list, 'a', 'b', 'c'), ':3\r\n')
  const skipped = [[['BLPOP', list, '1']], [['LLEN', list]], [['BLPOP', list, '1']]]
  const slot = await cluster.slotOf(list)
  for (const [at, commands] of skipped.entries()) {
    await cluster.moveSlots(at === 1 ? 2 : 1, at === 1 ? 1 : 2, [slot])
    const frames = [['CLIENT', 'REPLY', 'SKIP'], ...commands, ['ECHO', 'next']]
    one.send(frames.map((words) => encodeCommand(words)).join(''))
    assert.equal(await one.reply(), '$4\r\nnext\r\n')
  }
  assert.equal(await one.ask('LRANGE', list, '0', '-1'), '*1\r\n$1\r\nc\r\n')
})
