/** What clients do on ordinary days: pipelines, transactions, blocking, pub/sub, logins, well-known libraries. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { type Client, connect, encodeCommand, startRig, until } from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

test('many pipelining clients get their own replies in order while others vanish', async (t) => {
  const { client, server } = await startRig(t)
  const roundCount = 20
  const depth = 50
  const steady = await Promise.all(Array.from({ length: 40 }, client))
  const runs = steady.map(async (one, id) => {
    for (let round = 0; round < roundCount; round += 1) {
      const texts = Array.from({ length: depth }, (_, index) => `${id}:${round}:${index}`)
      one.send(texts.map((text) => encodeCommand(['ECHO', text])).join(''))
      await until('the replies come', () => one.text().length >= texts.map(bulk).join('').length)
      assert.equal(one.text(), texts.map(bulk).join(''))
      one.received = Buffer.alloc(0)
    }
  })
  const vanish = async () => {
    for (let index = 0; index < 60; index += 1) {
      const one = await client()
      one.send(encodeCommand(['ECHO', 'x'.repeat(index * 50)]).repeat(40))
      if (index % 2 === 0) one.socket.resetAndDestroy()
      else one.socket.destroy()
    }
  }
  await Promise.all([...runs, vanish(), vanish()])
  assert.ok(Number(await server.info('connected_clients')) <= 4, 'upstream connections are shared')
})

test('a frame may come one byte at a time, and a pipeline may be very deep', async (t) => {
  const { client } = await startRig(t)
  const slow = await client()
  for (const byte of encodeCommand(['ECHO', 'slowly'])) slow.send(byte)
  assert.equal(await slow.reply(), bulk('slowly'))
  const deep = await client()
  const count = 100_000
  deep.send('PING\r\n'.repeat(1000) + encodeCommand(['PING']).repeat(count - 1000))
  await until('all replies come', () => deep.received.length === 7 * count, 20_000)
  assert.equal(deep.text(), '+PONG\r\n'.repeat(count))
})

test('after a half-close all replies are delivered and then the connection ends', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  one.socket.end(encodeCommand(['PING']).repeat(1000))
  assert.equal(await one.rest(), '+PONG\r\n'.repeat(1000))
})

test('binary keys and values pass unchanged', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const frame = (words: Buffer[]) =>
    Buffer.concat([
      Buffer.from(`*${words.length}\r\n`),
      ...words.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n')]),
    ])
  one.send(frame([Buffer.from('SET'), all, all]))
  one.send(frame([Buffer.from('GET'), all]))
  assert.deepEqual(await one.replies(2), ['+OK\r\n', bulk(all.toString('latin1'))])
})

test('a transaction with WATCH fails when another client wrote, and leaves no trace', async (t) => {
  const { client, plane } = await startRig(t)
  const one = await client()
  const other = await client()
  await one.ask('SET', 'k', '1')
  assert.equal(await one.ask('WATCH', 'k'), '+OK\r\n')
  assert.equal(await other.ask('SET', 'k', '2'), '+OK\r\n')
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('SET', 'k', '3'), '+QUEUED\r\n')
  assert.equal(await one.ask('EXEC'), '*-1\r\n')
  assert.equal(await one.ask('GET', 'k'), bulk('2'))
  one.send(
    ['MULTI', 'INCR', 'EXEC', 'PING']
      .map((name) => encodeCommand(name === 'INCR' ? ['INCR', 'n'] : [name]))
      .join(''),
  )
  assert.deepEqual(await one.replies(4), ['+OK\r\n', '+QUEUED\r\n', '*1\r\n:1\r\n', '+PONG\r\n'])
  await until('the connection is given back', () => plane.view().pinnedConnections === 0)
  assert.equal(await one.ask('DISCARD'), '-ERR DISCARD without MULTI\r\n')
})

test('wrong numbers of arguments within a transaction are the server’s to judge', async (t) => {
  const { client, direct } = await startRig(t)
  const one = await client()
  const server = await direct()
  const program = ['MULTI', 'DISCARD x', 'MULTI x', 'EXEC x', 'EXEC', 'DISCARD', 'MULTI x', 'PING']
  for (const words of program.map((line) => line.split(' '))) {
    assert.equal(await one.ask(...words), await server.ask(...words))
  }
})

test('a transaction that is dropped is not applied', async (t) => {
  const { client, direct, plane } = await startRig(t)
  const one = await client()
  await one.ask('MULTI')
  await one.ask('SET', 'half', '1')
  one.socket.destroy()
  await until('it is gone', () => plane.view().clients === 0)
  assert.equal(await (await direct()).ask('EXISTS', 'half'), ':0\r\n')
})

test('blocking commands delay nobody and their order is kept', async (t) => {
  const { client, plane } = await startRig(t)
  const blocked = await client()
  const other = await client()
  blocked.send(
    encodeCommand(['ECHO', 'before']) +
      encodeCommand(['BLPOP', 'list', '0']) +
      encodeCommand(['ECHO', 'after']),
  )
  const reading = await client()
  reading.send(encodeCommand(['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$']))
  await until('both block', () => plane.view().pinnedConnections === 2)
  assert.equal(await other.ask('PING'), '+PONG\r\n')
  assert.equal(await other.ask('RPUSH', 'list', 'v'), ':1\r\n')
  const expected = [bulk('before'), `*2\r\n${bulk('list')}${bulk('v')}`, bulk('after')]
  assert.deepEqual(await blocked.replies(3), expected)
  await other.ask('XADD', 's', '1-1', 'f', 'v')
  assert.match(await reading.reply(), /^\*1\r\n\*2\r\n\$1\r\ns\r\n/)
  await until('both are given back', () => plane.view().pinnedConnections === 0)
})

test('a client that goes away while it blocks takes its connection with it', async (t) => {
  const { client, plane, direct } = await startRig(t)
  const one = await client()
  one.send(encodeCommand(['BLPOP', 'gone', '0']))
  await until('it blocks', () => plane.view().pinnedConnections === 1)
  one.socket.end()
  await until('its connection is gone', () => plane.view().pinnedConnections === 0)
  const server = await direct()
  await server.ask('RPUSH', 'gone', 'kept')
  assert.equal(await server.ask('LLEN', 'gone'), ':1\r\n')
})

for (const protocol of ['2', '3'] as const) {
  test(`messages reach subscribers in RESP${protocol}`, async (t) => {
    const { client } = await startRig(t)
    const subscriber = await client()
    const publisher = await client()
    await subscriber.ask('HELLO', protocol)
    const type = protocol === '3' ? '>' : '*'
    subscriber.send(encodeCommand(['SUBSCRIBE', 'a', 'b']) + encodeCommand(['PSUBSCRIBE', 'p*']))
    const confirmations = [
      `${type}3\r\n${bulk('subscribe')}${bulk('a')}:1\r\n`,
      `${type}3\r\n${bulk('subscribe')}${bulk('b')}:2\r\n`,
      `${type}3\r\n${bulk('psubscribe')}${bulk('p*')}:3\r\n`,
    ].join('')
    await until('the confirmations come', () => subscriber.text() === confirmations)
    subscriber.received = Buffer.alloc(0)
    assert.equal(await publisher.ask('PUBLISH', 'b', 'hello'), ':1\r\n')
    const message = `${type}3\r\n${bulk('message')}${bulk('b')}${bulk('hello')}`
    await until('the message comes', () => subscriber.text() === message)
    subscriber.received = Buffer.alloc(0)
    subscriber.send(encodeCommand(['RESET']) + encodeCommand(['ECHO', 'back']))
    await until('it is reset', () => subscriber.text() === `+RESET\r\n${bulk('back')}`)
  })
}

test('a database is remembered for the connection and for nobody else', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const other = await client()
  assert.equal(await one.ask('SELECT', '3'), '+OK\r\n')
  await one.ask('SET', 'where', 'three')
  assert.equal(await other.ask('EXISTS', 'where'), ':0\r\n')
  assert.equal(await one.ask('GET', 'where'), bulk('three'))
  assert.equal(await one.ask('SELECT', '0'), '+OK\r\n')
  assert.equal(await one.ask('EXISTS', 'where'), ':0\r\n')
})

test('names, libraries and RESP versions are answered without a connection of their own', async (t) => {
  const { client, plane } = await startRig(t)
  const one = await client()
  assert.equal(await one.ask('CLIENT', 'SETINFO', 'LIB-NAME', 'x'), '+OK\r\n')
  assert.equal(await one.ask('CLIENT', 'SETNAME', 'me'), '+OK\r\n')
  assert.equal(await one.ask('CLIENT', 'GETNAME'), bulk('me'))
  const hello = await one.ask('HELLO', '3')
  assert.match(hello, /^%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n/)
  assert.match(hello, /\$5\r\nproto\r\n:3\r\n/)
  assert.equal(await one.ask('GET', 'nothing'), '_\r\n')
  assert.equal(plane.view().pinnedConnections, 0)
  assert.equal(await one.ask('CLIENT', 'NO-EVICT', 'ON'), '+OK\r\n')
  assert.equal(plane.view().pinnedConnections, 1)
  assert.match(await one.ask('CLIENT', 'INFO'), / name=me /)
})

test('MONITOR shows what other clients do', async (t) => {
  const { client } = await startRig(t, { commands: { allow: ['monitor'] } })
  const monitor = await client()
  assert.equal(await monitor.ask('MONITOR'), '+OK\r\n')
  await (await client()).ask('SET', 'seen', '1')
  await until('it is shown', () => monitor.text().includes('"SET" "seen" "1"'))
})

test('logins are checked here and slowed when they fail', async (t) => {
  process.env.SIDECAR_TEST_PASSWORD = 'correct horse'
  process.env.SIDECAR_TEST_USER = 'anna'
  const { client, server, plane } = await startRig(
    t,
    {
      clientAuth: {
        users: [
          { password: { env: 'SIDECAR_TEST_PASSWORD' } },
          { username: { env: 'SIDECAR_TEST_USER' }, password: { env: 'SIDECAR_TEST_PASSWORD' } },
        ],
      },
    },
    {},
  )
  const one = await client()
  assert.equal(await one.ask('GET', 'a'), '-NOAUTH Authentication required.\r\n')
  const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n'
  assert.equal(await one.ask('AUTH', 'wrong'), wrong)
  assert.equal(await one.ask('AUTH', 'bert', 'correct horse'), wrong)
  assert.match(await one.ask('HELLO', '3'), /^-NOAUTH HELLO must be called/)
  assert.equal(await one.ask('HELLO', '3', 'AUTH', 'anna', 'nope'), wrong)
  assert.match(await one.ask('HELLO', '3', 'AUTH', 'anna', 'correct horse'), /^%7/)
  assert.equal(await one.ask('GET', 'a'), '_\r\n')
  assert.equal(await one.ask('RESET'), '+RESET\r\n')
  assert.match(await one.ask('GET', 'a'), /^-NOAUTH/)
  assert.equal(await one.ask('AUTH', 'correct horse'), '+OK\r\n')
  assert.equal(await one.ask('GET', 'a'), '$-1\r\n')
  const small = await client()
  small.send('*11\r\n')
  assert.match(await small.rest(), /unauthenticated multibulk length/)
  const long = await client()
  long.send('*2\r\n$4\r\nAUTH\r\n$16385\r\n')
  assert.match(await long.rest(), /unauthenticated bulk length/)
  const guesser = await client()
  const start = performance.now()
  guesser.send(encodeCommand(['AUTH', 'guess']).repeat(40))
  assert.equal(await guesser.rest(), wrong.repeat(32))
  assert.ok(performance.now() - start > 1500, 'guesses are slowed')
  assert.equal(plane.view().counters.authFailures, 35)
  assert.equal(await server.command('PING'), '+PONG\r\n')
})

test('without passwords AUTH answers what a server without one answers', async (t) => {
  const { client, direct } = await startRig(t)
  const [one, server] = [await client(), await direct()]
  for (const words of [['AUTH', 'x'], ['AUTH'], ['AUTH', 'a', 'b'], ['AUTH', 'default', 'b']]) {
    assert.equal(await one.ask(...words), await server.ask(...words))
  }
})

test('the sidecar logs in upstream and clients never see that password', async (t) => {
  process.env.SIDECAR_TEST_UPSTREAM = 'upstream secret'
  const { client } = await startRig(
    t,
    { upstream: { credentials: { password: { env: 'SIDECAR_TEST_UPSTREAM' } } } },
    { password: 'upstream secret' },
  )
  assert.equal(await (await client()).ask('SET', 'a', 'b'), '+OK\r\n')
})

test('a unix socket is served like a port', async (t) => {
  const { server } = await startRig(t)
  const unixPath = join(server.directory, 'proxy.sock')
  const rig = await startRig(t, { listeners: [{ unixPath }] })
  assert.deepEqual(rig.plane.addresses(), [unixPath])
  const one = await connect(t, unixPath)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
})

test('one client more than the limit is told so and closed', async (t) => {
  const { client, plane } = await startRig(t, { limits: { clientsMax: 2 } })
  const clients = [await client(), await client()]
  for (const one of clients) assert.equal(await one.ask('PING'), '+PONG\r\n')
  assert.equal(await (await client()).rest(), '-ERR max number of clients reached\r\n')
  assert.equal(plane.view().counters.clientsRefused, 1)
  clients[0]?.socket.destroy()
  await until('there is room', () => plane.view().clients === 1)
  assert.equal(await (await client()).ask('PING'), '+PONG\r\n')
})

test('ioredis works as it does against a server', async (t) => {
  const { port, plane } = await startRig(t)
  const redis = new Redis({ port, connectionName: 'tester' })
  t.after(() => redis.disconnect())
  const value = randomBytes(1000).toString('hex')
  assert.equal(await redis.set('a', value), 'OK')
  assert.equal(await redis.get('a'), value)
  assert.equal(plane.view().pinnedConnections, 0)
  const replies = await redis.multi().incr('n').incr('n').exec()
  assert.deepEqual(replies, [
    [null, 1],
    [null, 2],
  ])
  const subscriber = redis.duplicate()
  t.after(() => subscriber.disconnect())
  const messages: string[] = []
  subscriber.on('message', (_channel, message) => messages.push(message))
  await subscriber.subscribe('c')
  await redis.publish('c', 'hi')
  await until('the message comes', () => messages.length === 1)
})

test('node-redis works as it does against a server, in RESP2 and RESP3', async (t) => {
  const { port } = await startRig(t)
  for (const RESP of [2, 3] as const) {
    const redis = createClient({ url: `redis://127.0.0.1:${port}`, RESP })
    await redis.connect()
    await redis.hSet('h', { a: '1', b: '2' })
    assert.deepEqual({ ...(await redis.hGetAll('h')) }, { a: '1', b: '2' })
    assert.deepEqual(await redis.multi().set('x', '1').get('x').exec(), ['OK', '1'])
    const subscriber = redis.duplicate()
    await subscriber.connect()
    const messages: string[] = []
    await subscriber.subscribe('news', (message) => messages.push(message))
    await redis.publish('news', 'hi')
    await until('the message comes', () => messages[0] === 'hi')
    subscriber.destroy()
    redis.destroy()
  }
})

test('WAIT counts the replicas of the client’s own writes', async (t) => {
  const { client } = await startRig(t)
  const one: Client = await client()
  await one.ask('SET', 'a', 'b')
  assert.equal(await one.ask('WAIT', '0', '100'), ':0\r\n')
})

test('a WAIT within a pipeline is sent as it came', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  // From now on there is a connection that need not be opened.
  assert.equal(await one.ask('WAIT', '0', '10'), ':0\r\n')
  const commands = [
    ['CLIENT', 'GETNAME'],
    ['WAIT', '0', '10'],
    ['SET', 'key', 'a'],
    ['GET', 'key'],
  ]
  one.send(commands.map(encodeCommand).join(''))
  assert.deepEqual(await one.replies(4), ['$-1\r\n', ':0\r\n', '+OK\r\n', '$1\r\na\r\n'])
})
