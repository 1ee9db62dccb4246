import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scanShardsMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { CommandFrame } from './command-frame.ts'
import { planScan, scanReply } from './scan.ts'

const frame = new CommandFrame()

function placeOf(cursor: string, shardCount: number) {
  const bytes = encodeCommand(['SCAN', cursor, 'MATCH', '*', 'COUNT', '7'])
  frame.read(bytes, 0, bytes.length)
  return planScan(frame, shardCount)
}

function replyOf(cursor: string, keys: string, shard: number, shardCount: number) {
  const reply = Buffer.from(`*2\r\n$${cursor.length}\r\n${cursor}\r\n${keys}`)
  return scanReply(reply, shard, shardCount)?.toString()
}

test('a scan visits every shard with its own cursors, and ends with the last', () => {
  const servers = [['17', '0'], ['0'], [String(2n ** 54n - 1n), '3', '0']]
  const visits: string[] = []
  let cursor = '0'
  for (let step = 0; step < 20; step += 1) {
    const place = placeOf(cursor, servers.length)
    assert.ok(place)
    const sent = /^\*6\r\n\$4\r\nSCAN\r\n\$\d+\r\n(\d+)\r\n\$5\r\nMATCH/.exec(`${place.bytes}`)?.[1]
    visits.push(`${place.shard}:${sent}`)
    const next = servers[place.shard]?.shift() ?? ''
    const reply = replyOf(next, '*1\r\n$1\r\nk\r\n', place.shard, 3)
    cursor = /^\*2\r\n\$\d+\r\n(\d+)\r\n\*1\r\n\$1\r\nk\r\n$/.exec(reply ?? '')?.[1] ?? ''
    assert.ok(BigInt(cursor) < 2n ** 64n)
    if (cursor === '0') break
  }
  assert.deepEqual(visits, ['0:0', '0:17', '1:0', '2:0', `2:${2n ** 54n - 1n}`, '2:3'])
})

test('a cursor that was not told is refused', () => {
  for (const cursor of ['', '-1', '1x', '+5', '3', String(2n ** 64n), '9'.repeat(21), '1.0']) {
    assert.equal(placeOf(cursor, 3), undefined, cursor)
  }
  assert.equal(placeOf('0', scanShardsMax + 1), undefined)
  assert.equal(placeOf(String(scanShardsMax - 1), scanShardsMax)?.shard, scanShardsMax - 1)
})

test('a cursor that cannot be told is no reply, and errors are', () => {
  assert.equal(replyOf(String(2n ** 54n), '*0\r\n', 0, 3), undefined)
  assert.equal(replyOf('x', '*0\r\n', 0, 3), undefined)
  assert.equal(scanReply(Buffer.from('-ERR x\r\n'), 0, 3)?.toString(), '-ERR x\r\n')
  assert.equal(scanReply(Buffer.from('+OK\r\n'), 0, 3), undefined)
  assert.equal(scanReply(Buffer.from('*2\r\n$1\r\n'), 0, 3), undefined)
})
