/** Commands that the server knows under other names are treated as what they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Rig, encodeCommand, startRig, until } from './harness.ts'

const renames = { BLPOP: 'waitpop', CONFIG: 'opconfig', SUBSCRIBE: 'follow', RESTORE: 'putback' }
const args = Object.entries(renames).flatMap(([name, other]) => ['--rename-command', name, other])
const queuedAtServer = async ({ server }: Rig) => (await server.info('blocked_clients')) === '1'

test('a renamed blocking command delays nobody else', async (t) => {
  const rig = await startRig(t, {}, { args })
  const waiting = await rig.client()
  const other = await rig.client()
  waiting.send(encodeCommand(['WaitPop', 'queue', '0']))
  await until('it waits', () => queuedAtServer(rig))
  assert.equal(await other.ask('PING'), '+PONG\r\n')
  assert.equal(await other.ask('RPUSH', 'queue', 'v'), ':1\r\n')
  assert.equal(await waiting.reply(), '*2\r\n$5\r\nqueue\r\n$1\r\nv\r\n')
  assert.equal(await waiting.ask('PING'), '+PONG\r\n')
})

test('a renamed command that is refused is refused by its own name', async (t) => {
  const rig = await startRig(t, {}, { args })
  const client = await rig.client()
  const all = [
    ['SET', 'a', '1'],
    ['opconfig', 'Set', 'maxmemory', '1mb'],
    ['GET', 'a'],
  ]
  client.send(all.map(encodeCommand).join(''))
  const replies = await client.replies(3)
  assert.match(replies[1] ?? '', /^-NOPERM 'config\|set'/)
  assert.deepEqual([replies[0], replies[2]], ['+OK\r\n', '$1\r\n1\r\n'])
  assert.match(await client.ask('OPCONFIG', 'GET', 'maxmemory'), /\r\nmaxmemory\r\n\$1\r\n0\r\n$/)
  client.send(encodeCommand(['putback', 'k', '0', 'x'.repeat(400_000)]))
  assert.match(await client.rest(), /^-ERR Protocol error: .*RM_COMMAND_REFUSED/)
})

test('a renamed subscription gets its messages', async (t) => {
  const rig = await startRig(t, {}, { args })
  const [subscriber, publisher] = [await rig.client(), await rig.client()]
  assert.match(await subscriber.ask('follow', 'news'), /\r\nnews\r\n:1\r\n$/)
  assert.equal(await publisher.ask('PUBLISH', 'news', 'hello'), ':1\r\n')
  assert.match(await subscriber.reply(), /\r\nhello\r\n$/)
})

test('an unknown command is answered by the server, in its place among others', async (t) => {
  const rig = await startRig(t)
  const client = await rig.client()
  const all = [['INCR', 'n'], ['NO-SUCH', 'x'], ['INCR', 'n'], ['no-such'], ['INCR', 'n']]
  client.send(all.map(encodeCommand).join(''))
  const replies = await client.replies(all.length)
  assert.deepEqual([replies[0], replies[2], replies[4]], [':1\r\n', ':2\r\n', ':3\r\n'])
  assert.match(replies[1] ?? '', /^-ERR unknown command 'NO-SUCH', with args beginning with: 'x'/)
  assert.match(replies[3] ?? '', /^-ERR unknown command 'no-such'/)
  const transaction = [['MULTI'], ['NO-SUCH'], ['EXEC']]
  client.send(transaction.map(encodeCommand).join(''))
  assert.match((await client.replies(3)).join(''), /^\+OK\r\n-ERR unknown[^\r]*\r\n-EXECABORT/)
})
