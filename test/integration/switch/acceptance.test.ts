/** What a client keeps over a switch, and that a pause ends: acceptance cases 10, 11 and 12 of the data plane. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { switchFinishMaxMs } from '../../../common/limits.ts'
import { type RedisServer, startServer } from '../../support/servers.ts'
import {
  type Client,
  type ConfigChanges,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'

async function scene(t: TestContext, changes: ConfigChanges = {}) {
  const [first, second] = await Promise.all([startServer(), startServer()])
  for (const server of [first, second]) t.after(() => server.stop())
  const plane = await startPlane(t, configFor(first, changes))
  await until('the primary is there', () => plane.view().primary === 'ok')
  const configOf = (server: RedisServer) => ({ ...configFor(server, changes), epoch: 1 })
  return {
    plane,
    first,
    second,
    goOver: () => plane.switchTo(configOf(second)),
    client: () => connect(t, portOf(plane)),
  }
}

const blockedAt = (server: RedisServer, count: number) =>
  until(
    'the server has blocked clients',
    async () => Number(await server.info('blocked_clients')) === count,
  )

test('a pause ends with blocking commands in flight, and they go on at the other server', async (t) => {
  const { plane, first, second, goOver, client } = await scene(t)
  await first.command('XADD', 'stream', '1-1', 'n', 'old')
  const commands = [
    ['BLPOP', 'list', '0'],
    ['BLMOVE', 'moving', 'moved', 'LEFT', 'RIGHT', '0'],
    ['BZPOPMIN', 'sorted', '0'],
    ['XREAD', 'BLOCK', '0', 'STREAMS', 'stream', '$'],
    ['XREAD', 'BLOCK', '0', 'STREAMS', 'fresh', 'stream', '$', '$'],
    ['XREAD', 'BLOCK', '60000', 'STREAMS', 'stream', '1-1'],
  ]
  const clients = await Promise.all(commands.map(() => client()))
  for (const [index, words] of commands.entries()) clients[index]?.send(encodeCommand(words))
  await blockedAt(first, commands.length)
  await second.command('XADD', 'stream', '1-1', 'n', 'old')
  await goOver()
  await blockedAt(second, commands.length)
  assert.equal(plane.view().counters.commandsLost, 0)
  await second.command('RPUSH', 'list', 'a')
  await second.command('RPUSH', 'moving', 'b')
  await second.command('ZADD', 'sorted', '1', 'c')
  await second.command('XADD', 'stream', '2-1', 'n', 'new')
  const replies = await Promise.all(clients.map((one) => one.reply()))
  for (const [index, pattern] of [/\r\na\r\n$/, /^\$1\r\nb/, /\r\nc\r\n/].entries()) {
    assert.match(replies[index] ?? '', pattern)
  }
  for (const reply of replies.slice(3)) {
    assert.match(reply, /2-1.*new/s)
    assert.doesNotMatch(reply, /old/)
  }
})

test('an entry that comes between the wait and the switch is not missed', async (t) => {
  const { first, second, goOver, client } = await scene(t)
  const one = await client()
  await first.command('XADD', 'stream', '1-1', 'n', 'old')
  one.send(encodeCommand(['XREAD', 'BLOCK', '0', 'STREAMS', 'stream', '$']))
  await blockedAt(first, 1)
  // What is there already when it comes to the other server was added behind the end at which it began.
  await second.command('XADD', 'stream', '1-1', 'n', 'old')
  await second.command('XADD', 'stream', '1-2', 'n', 'between')
  await goOver()
  assert.match(await one.reply(), /between/)
})

test('who takes longer than the limit is closed, blocked or not, and a pause takes no longer', async (t) => {
  const timing = { readTimeLimitMs: 400, drainTimeoutMs: 20_000 }
  const { plane, first, client } = await scene(t, { timing })
  const [waiting, reading, quick] = await Promise.all([client(), client(), client()])
  waiting.send(encodeCommand(['WAIT', '1', '0']))
  reading.send(encodeCommand(['BLPOP', 'nothing', '0']))
  await blockedAt(first, 2)
  const start = performance.now()
  await plane.pause()
  assert.ok(performance.now() - start < 10_000)
  plane.resume()
  await until('both are closed', () => waiting.isClosed && reading.isClosed)
  assert.equal(plane.view().counters.clientsCutTimeLimit, 2)
  await blockedAt(first, 0)
  assert.equal(await quick.ask('PING'), '+PONG\r\n')
  assert.equal(plane.view().primary, 'ok')
})

test('no other client gets the reply that a closed one was owed', async (t) => {
  const timing = { readTimeLimitMs: 300 }
  const { plane, client } = await scene(t, { timing })
  const [slow, other] = await Promise.all([client(), client()])
  const busy =
    "local t = redis.call('TIME')[1] + 2 while redis.call('TIME')[1] + 0 < t do end return 'slow'"
  slow.send(encodeCommand(['EVAL', busy, '0']))
  await until('it is closed', () => slow.isClosed)
  for (let index = 0; index < 20; index += 1) {
    const again = other.isClosed ? await client() : other
    again.send(encodeCommand(['ECHO', `own ${index}`]))
    await until('an answer or the end', () => again.received.length > 0 || again.isClosed)
    if (!again.isClosed)
      assert.equal(await again.reply(), `$${5 + (index > 9 ? 1 : 0)}\r\nown ${index}\r\n`)
  }
  assert.ok(plane.view().counters.clientsCutTimeLimit >= 1)
})

test('a switch closes the clients whose commands do not end in time, and happens', async (t) => {
  const { plane, first, second, goOver, client } = await scene(t, {
    timing: { drainTimeoutMs: 300 },
  })
  const [one, other] = [await client(), await client()]
  one.send(encodeCommand(['WAIT', '1', '0']))
  await blockedAt(first, 1)
  await goOver()
  assert.equal(await one.rest(), '')
  assert.equal(await other.ask('SET', 'a', '1'), '+OK\r\n')
  assert.equal(await second.command('GET', 'a'), '$1\r\n1\r\n')
  const { isPaused, counters } = plane.view()
  assert.deepEqual([isPaused, counters.clientsCutTimeLimit], [false, 1])
})

test('a pause that cannot have its commands end says so and goes on holding', async (t) => {
  const { plane, first, client } = await scene(t, { timing: { drainTimeoutMs: 300 } })
  const [one, other] = [await client(), await client()]
  one.send(encodeCommand(['WAIT', '1', '0']))
  await blockedAt(first, 1)
  await assert.rejects(plane.pause(), { code: 'RM_UPSTREAM_TIMEOUT' })
  const asked = other.ask('PING')
  await until('it is held', () => plane.view().heldCommands === 1)
  plane.resume()
  assert.equal(await asked, '+PONG\r\n')
})

test('a server that hangs is left without waiting for what it owes', async (t) => {
  const { plane, first, goOver, client } = await scene(t)
  const [one, other] = [await client(), await client()]
  assert.equal(await one.ask('SET', 'a', '1'), '+OK\r\n')
  first.signal('SIGSTOP')
  t.after(() => first.signal('SIGCONT'))
  one.send(encodeCommand(['INCR', 'a']))
  await until('it is seen to hang', () => plane.view().counters.upstreamStalls > 0)
  await goOver()
  assert.match(await one.reply(), /^-PROXY RM_UPSTREAM_LOST/)
  assert.equal(await other.ask('SET', 'b', '1'), '+OK\r\n')
})

test('a transaction that was queued before a switch ends whole: run, or aborted and saying so', async (t) => {
  const { first, second, goOver, client } = await scene(t)
  const [quick, slow, fresh] = [await client(), await client(), await client()]
  await fresh.ask('SELECT', '1')
  for (const one of [quick, slow]) {
    assert.equal(await one.ask('MULTI'), '+OK\r\n')
    assert.equal(await one.ask('INCR', one === quick ? 'quick' : 'slow'), '+QUEUED\r\n')
  }
  const switched = goOver()
  assert.equal(await quick.ask('EXEC'), '*1\r\n:1\r\n')
  fresh.send(encodeCommand(['MULTI']))
  await switched
  assert.match(await slow.ask('EXEC'), /^-EXECABORT/)
  assert.equal(await first.command('GET', 'quick'), '$1\r\n1\r\n')
  assert.equal(await second.command('EXISTS', 'slow', 'quick'), ':0\r\n')
  // One that began while commands were held begins at the other server.
  assert.equal(await fresh.reply(), '+OK\r\n')
  assert.equal(await fresh.ask('INCR', 'fresh'), '+QUEUED\r\n')
  assert.equal(await fresh.ask('EXEC'), '*1\r\n:1\r\n')
})

test('a switch of a paused sidecar waits for no transaction that the pause held', async (t) => {
  const { plane, goOver, client } = await scene(t)
  const one = await client()
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  await plane.pause()
  one.send(encodeCommand(['INCR', 'a']) + encodeCommand(['EXEC']))
  await until('it is held', () => plane.view().heldCommands === 2)
  const start = performance.now()
  await goOver()
  assert.ok(performance.now() - start < switchFinishMaxMs)
  plane.resume()
  assert.match(await one.reply(), /^-PROXY RM_UPSTREAM_LOST/)
  assert.match(await one.reply(), /^-EXECABORT/)
})

test('database, name, RESP3, flags, subscriptions, WATCH and scripts go over', async (t) => {
  const { second, goOver, client } = await scene(t)
  const [one, watching, two, three] = await Promise.all([client(), client(), client(), client()])
  assert.match(await one.ask('HELLO', '3', 'SETNAME', 'app'), /^%/)
  await one.ask('SELECT', '7')
  await one.ask('CLIENT', 'NO-EVICT', 'ON')
  const sha = (await one.ask('SCRIPT', 'LOAD', 'return ARGV[1]')).split('\r\n')[1] ?? ''
  assert.equal(await watching.ask('WATCH', 'key'), '+OK\r\n')
  await subscribe(two, 'news')
  await three.ask('HELLO', '3')
  await subscribe(three, 'news')
  await goOver()
  // They are there before anybody can be let through.
  assert.equal(await second.command('PUBLISH', 'news', 'now'), ':2\r\n')
  assert.match(await two.reply(), /^\*3.*now/s)
  assert.match(await three.reply(), /^>3.*now/s)
  assert.equal(await one.ask('SET', 'seventh', '1'), '+OK\r\n')
  assert.match(await second.info('db7'), /^keys=1/)
  assert.equal(await one.ask('GET', 'missing'), '_\r\n')
  assert.match(await one.ask('CLIENT', 'GETNAME'), /app/)
  assert.match(await second.command('CLIENT', 'LIST'), /name=app[^\n]*flags=[^ ]*e/)
  assert.equal(await one.ask('EVALSHA', sha, '0', 'known'), '$5\r\nknown\r\n')
  await watching.ask('MULTI')
  await watching.ask('SET', 'key', '1')
  assert.equal(await watching.ask('EXEC'), '*-1\r\n')
})

async function subscribe(client: Client, channel: string): Promise<void> {
  assert.match(await client.ask('SUBSCRIBE', channel), new RegExp(`subscribe.*${channel}`, 's'))
}
