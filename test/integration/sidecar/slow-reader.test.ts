/** Replies larger than a client may leave unread, over the connection that all share. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientOutputCutBytes, repliesOfNewcomers, retiredWaitMs } from '../../../common/limits.ts'
import { type Client, encodeCommand, startRig, until } from './harness.ts'

const size = clientOutputCutBytes * 2
const rssMb = () => process.memoryUsage.rss() / 2 ** 20

async function countBytes(client: Client, total: number): Promise<void> {
  let byteCount = 0
  client.socket.removeAllListeners('data')
  client.socket.on('data', (piece: Buffer) => {
    byteCount += piece.length
  })
  client.socket.resume()
  await until('the whole reply comes', () => byteCount >= total, 60_000)
  assert.equal(byteCount, total)
}

test('a slow client gets the whole of a huge reply, and nobody waits or pays for it', async (t) => {
  const { client, server, plane } = await startRig(t)
  await server.command('SETRANGE', 'huge', String(size - 1), 'x')
  const bystander = await client()
  await bystander.ask('PING')
  const slow = await client()
  assert.equal(await slow.ask('PING'), '+PONG\r\n')
  const before = rssMb()
  slow.socket.pause()
  slow.send(encodeCommand(['GET', 'huge']))
  await until('the connection retires', () => plane.view().upstreamConnections > 3)
  for (let round = 0; round < 100; round += 1) {
    const start = performance.now()
    assert.equal(
      await bystander.ask('ECHO', String(round)),
      `$${String(round).length}\r\n${round}\r\n`,
    )
    assert.ok(performance.now() - start < 1000, 'the bystander is served meanwhile')
  }
  assert.ok(rssMb() - before < 48, `grew by ${(rssMb() - before).toFixed()} MB`)
  await countBytes(slow, `$${size}\r\n`.length + size + 2)
  await until('nothing is owed any more', () => plane.view().inFlightCommands === 0)
})

test('who waits behind a reply that is not read waits for a bounded time, then its client is cut', async (t) => {
  const { client, server, plane } = await startRig(t)
  await server.command('SETRANGE', 'huge', String(size - 1), 'x')
  const [slow, mate] = [await client(), await client()]
  for (const one of [slow, mate]) assert.equal(await one.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  slow.socket.pause()
  slow.send(encodeCommand(['GET', 'huge']))
  await until('the first is in flight', () => plane.view().inFlightCommands === 1)
  mate.send(encodeCommand(['ECHO', 'behind']) + encodeCommand(['ECHO', 'later']))
  await until('both are in flight', () => plane.view().inFlightCommands >= 2)
  server.signal('SIGCONT')
  const start = performance.now()
  assert.deepEqual(await mate.replies(2), ['$6\r\nbehind\r\n', '$5\r\nlater\r\n'])
  const waitedMs = performance.now() - start
  assert.ok(waitedMs < 2 * retiredWaitMs, `waited ${waitedMs.toFixed()} ms`)
  await until('the client that does not read is cut', () => plane.view().clients === 1)
  assert.equal(await mate.ask('PING'), '+PONG\r\n')
})

test('a reply to a newcomer is never in front of one to a client that was served before', async (t) => {
  const { client, server, plane } = await startRig(t)
  await server.command('SETRANGE', 'huge', String(size - 1), 'x')
  const known = await client()
  for (let round = 0; round < repliesOfNewcomers; round += 1) await known.ask('PING')
  const slow = await client()
  // The connection of newcomers is there.
  assert.equal(await slow.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  slow.socket.pause()
  slow.send(encodeCommand(['GET', 'huge']))
  await until('the newcomer is in flight', () => plane.view().inFlightCommands === 1)
  known.send(encodeCommand(['ECHO', 'beside']))
  await until('both are in flight', () => plane.view().inFlightCommands === 2)
  server.signal('SIGCONT')
  assert.equal(await known.reply(), '$6\r\nbeside\r\n')
  assert.equal(plane.view().clients, 2, 'nobody had to be cut for it')
})
