/** What belongs to a session stays with it when its connections come and go, and what it lost it is told of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import {
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  startRig,
  until,
} from '../sidecar/harness.ts'

test('a selected database outlives the connection that it was selected on', async (t) => {
  const { client, direct, server } = await startRig(t)
  const one = await client()
  const other = await direct()
  assert.equal(await one.ask('SELECT', '5'), '+OK\r\n')
  assert.equal(await one.ask('SET', 'k', 'five'), '+OK\r\n')
  await server.command('CLIENT', 'KILL', 'TYPE', 'normal')
  await until('the kill is noticed', async () => {
    return (await one.ask('SET', 'later', 'five')) === '+OK\r\n'
  })
  assert.equal(await one.ask('GET', 'k'), '$4\r\nfive\r\n')
  const check = other.isClosed ? await direct() : other
  assert.equal(await check.ask('EXISTS', 'k', 'later'), ':0\r\n', 'nothing is in database 0')
  assert.equal(await check.ask('SELECT', '5'), '+OK\r\n')
  assert.equal(await check.ask('GET', 'later'), '$4\r\nfive\r\n')
})

test('a selected database is the same one at the next primary', async (t) => {
  const [old, next] = await Promise.all([startServer(), startServer()])
  t.after(() => Promise.all([old.stop(), next.stop()]))
  const plane = await startPlane(t, configFor(old))
  const one = await connect(t, portOf(plane))
  assert.equal(await one.ask('SELECT', '3'), '+OK\r\n')
  await plane.apply(configFor(next, { epoch: 2 }))
  assert.equal(await one.ask('SET', 'k', 'three'), '+OK\r\n')
  assert.equal(await one.ask('SET', 'l', 'three'), '+OK\r\n')
  const check = await connect(t, next.port)
  assert.equal(await check.ask('EXISTS', 'k', 'l'), ':0\r\n', 'nothing is in database 0')
  assert.equal(await check.ask('SELECT', '3'), '+OK\r\n')
  assert.equal(await check.ask('EXISTS', 'k', 'l'), ':2\r\n')
})

test('a transaction that was begun at one primary is aborted at the next', async (t) => {
  const [old, next] = await Promise.all([startServer(), startServer()])
  t.after(() => Promise.all([old.stop(), next.stop()]))
  const plane = await startPlane(t, configFor(old))
  const [queued, watched, inFlight] = await Promise.all(
    [1, 2, 3].map(() => connect(t, portOf(plane))),
  )
  assert.ok(queued && watched && inFlight)
  assert.equal(await queued.ask('MULTI'), '+OK\r\n')
  assert.equal(await queued.ask('SET', 'k', 'partial'), '+QUEUED\r\n')
  assert.equal(await watched.ask('WATCH', 'w'), '+OK\r\n')
  await plane.apply(configFor(next, { epoch: 2 }))
  inFlight.send(encodeCommand(['SET', 'x', '1']))
  assert.equal(await inFlight.reply(), '+OK\r\n')
  assert.match(await queued.ask('SET', 'l', 'partial'), /^-PROXY RM_UPSTREAM_LOST/)
  assert.match(await queued.ask('EXEC'), /^-EXECABORT/)
  assert.equal(await queued.ask('GET', 'k'), '$-1\r\n')
  assert.equal(await watched.ask('MULTI'), '+OK\r\n')
  assert.equal(await watched.ask('SET', 'w', 'blind'), '+QUEUED\r\n')
  assert.equal(await watched.ask('EXEC'), '*-1\r\n')
  const check = await connect(t, next.port)
  assert.equal(await check.ask('EXISTS', 'k', 'l', 'w'), ':0\r\n')
  assert.equal(await watched.ask('MULTI'), '+OK\r\n')
  assert.equal(await watched.ask('SET', 'w', 'seen'), '+QUEUED\r\n')
  assert.equal(await watched.ask('EXEC'), '*1\r\n+OK\r\n')
})

test('a client that half-closes after EXEC or a large SET gets its reply', async (t) => {
  const { client, direct } = await startRig(t)
  const one = await client()
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('SET', 'k', 'v'), '+QUEUED\r\n')
  one.socket.end(encodeCommand(['EXEC']))
  assert.equal(await one.rest(), '*1\r\n+OK\r\n')
  const large = await client()
  large.socket.end(encodeCommand(['SET', 'large', 'x'.repeat(8 << 20)]))
  assert.equal(await large.rest(), '+OK\r\n')
  assert.equal(await (await direct()).ask('STRLEN', 'large'), `:${8 << 20}\r\n`)
})

test('an element is not popped for a client that went away with more behind its BLPOP', async (t) => {
  const { client, direct, plane, server } = await startRig(t)
  const one = await client()
  one.send(encodeCommand(['BLPOP', 'q', '0']))
  await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
  // What a library sends behind it: a ping to keep the connection alive, and something that must wait.
  const readBefore = plane.view().counters.clientBytesRead
  one.send(encodeCommand(['PING']) + encodeCommand(['CLIENT', 'ID']))
  await until('it was read', () => plane.view().counters.clientBytesRead > readBefore)
  one.send(encodeCommand(['PING']))
  const bystander = await client()
  for (let round = 0; round < 5; round += 1) await bystander.ask('PING')
  one.socket.destroy()
  await until('it is gone', async () => (await server.info('blocked_clients')) === '0', 3000)
  const other = await direct()
  assert.equal(await other.ask('RPUSH', 'q', 'kept'), ':1\r\n')
  assert.equal(await other.ask('LRANGE', 'q', '0', '-1'), '*1\r\n$4\r\nkept\r\n')
})

test('an ordinary start-up of a library takes no connection of its own', async (t) => {
  const { client, plane } = await startRig(t)
  const one = await client()
  assert.match(await one.ask('HELLO', '3', 'SETNAME', 'app'), /^%/)
  assert.equal(await one.ask('CLIENT', 'SETINFO', 'LIB-NAME', 'lib'), '+OK\r\n')
  const notifications = ['MAINT_NOTIFICATIONS', 'ON', 'moving-endpoint-type', 'internal-ip']
  assert.equal(await one.ask('CLIENT', ...notifications), '+OK\r\n')
  assert.equal(await one.ask('CLIENT', 'GETNAME'), '$3\r\napp\r\n')
  assert.match(await one.ask('CLIENT', 'INFO'), /name=app/)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  await until('nothing is pinned', () => plane.view().pinnedConnections === 0, 3000)
})

test('a client may change its protocol while the server tracks its keys', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const other = await client()
  assert.match(await one.ask('HELLO', '3'), /^%/)
  assert.equal(await one.ask('CLIENT', 'TRACKING', 'on'), '+OK\r\n')
  for (const version of ['2', '3', '2', '3']) {
    assert.match(await one.ask('HELLO', version), version === '2' ? /^\*/ : /^%/)
    assert.equal(await one.ask('SET', 'k', version), '+OK\r\n')
  }
  assert.equal(await one.ask('GET', 'k'), '$1\r\n3\r\n')
  assert.equal(await other.ask('SET', 'k', 'new'), '+OK\r\n')
  assert.equal(await one.reply(), '>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n')
})

test('a subscriber that publishes to itself in a transaction gets what the server gives', async (t) => {
  const { client, direct } = await startRig(t)
  const run = async (open: typeof client, channel: string) => {
    const one = await open()
    assert.match(await one.ask('HELLO', '3'), /^%/)
    assert.match(await one.ask('SUBSCRIBE', channel), /^>3/)
    const commands = [['MULTI'], ['PUBLISH', channel, 'x'], ['ECHO', 'a'], ['EXEC'], ['ECHO', 'b']]
    one.send(commands.map(encodeCommand).join(''))
    await until('all came', () => one.text().endsWith('$1\r\nb\r\n'))
    return one.text().replaceAll(channel, 'channel')
  }
  assert.equal(await run(client, 'one'), await run(direct, 'two'))
})

test('CLIENT REPLY that changes nothing leaves the order of replies as it is', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const commands = [
    ['CLIENT', 'REPLY', 'ON'],
    ['CLIENT', 'REPLY', 'NOSUCH'],
    ['ECHO', 'a'],
  ]
  one.send([...commands, ['AUTH', 'x'], ['ECHO', 'b']].map(encodeCommand).join(''))
  const replies = await one.replies(5)
  assert.deepEqual([replies[0], replies[2], replies[4]], ['+OK\r\n', '$1\r\na\r\n', '$1\r\nb\r\n'])
  assert.match(replies[1] ?? '', /^-ERR syntax/)
  assert.match(replies[3] ?? '', /^-ERR AUTH/)
})

test('a name that HELLO gives is known on a connection that the client has already', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  assert.equal(await one.ask('WATCH', 'k'), '+OK\r\n')
  assert.match(await one.ask('HELLO', '3', 'SETNAME', 'me'), /^%/)
  assert.match(await one.ask('HELLO', '3', 'SETNAME', 'you'), /^%/)
  one.send([['MULTI'], ['CLIENT', 'GETNAME'], ['EXEC']].map(encodeCommand).join(''))
  assert.deepEqual(await one.replies(3), ['+OK\r\n', '+QUEUED\r\n', '*1\r\n$3\r\nyou\r\n'])
})

test('a subscriber in RESP2 is refused a login in the words of the server', async (t) => {
  const { client, direct } = await startRig(t)
  for (const words of [['AUTH'], ['AUTH', 'x'], ['HELLO'], ['HELLO', '3'], ['HELLO', 'x']]) {
    const replies: string[] = []
    for (const open of [client, direct]) {
      const one = await open()
      assert.match(await one.ask('SSUBSCRIBE', 'c'), /ssubscribe/)
      replies.push(await one.ask(...words))
    }
    assert.equal(replies[0], replies[1])
  }
})

test('a subscription without a channel in a transaction is only an error', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  one.send(['MULTI', 'SUBSCRIBE', 'PING'].map((word) => encodeCommand([word])).join(''))
  one.send('*x\r\n')
  const replies = await one.replies(4)
  assert.deepEqual([replies[0], replies[2]], ['+OK\r\n', '+QUEUED\r\n'])
  assert.match(replies[1] ?? '', /^-ERR wrong number/)
  assert.match(replies[3] ?? '', /^-ERR Protocol error/)
})

test('an EXEC with arguments ends the transaction: what blocks behind it ends with its client', async (t) => {
  const { client, server } = await startRig(t)
  const one = await client()
  one.send([['MULTI'], ['EXEC', 'x'], ['BLPOP', 'q', '0']].map(encodeCommand).join(''))
  const replies = await one.replies(2)
  assert.match(replies[1] ?? '', /^-EXECABORT/)
  await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
  one.socket.destroy()
  await until('it is gone', async () => (await server.info('blocked_clients')) === '0', 3000)
})
