/** Clients that share upstream connections and clients that each have one: all works the same, but for who is who. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import {
  type ConfigChanges,
  configFor,
  connect,
  encodeCommand,
  startRig,
  until,
} from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const lost = /^-PROXY RM_UPSTREAM_LOST /

for (const isolation of ['shared', 'perClient'] as const) {
  const changes: ConfigChanges = { upstream: { isolation } }

  test(`pipelines keep their order while others come and go: ${isolation}`, async (t) => {
    const { client } = await startRig(t, changes)
    const steady = await Promise.all(Array.from({ length: 10 }, client))
    const vanishing = await Promise.all(Array.from({ length: 10 }, client))
    for (const one of vanishing) one.send(encodeCommand(['ECHO', 'x'.repeat(500)]).repeat(200))
    const expected = steady.map((one, id) => {
      const texts = Array.from({ length: 2000 }, (_, index) => `${id}:${index}`)
      one.send(texts.map((text) => encodeCommand(['ECHO', text])).join(''))
      return texts.map(bulk).join('')
    })
    for (const one of vanishing) one.socket.destroy()
    for (const [id, one] of steady.entries()) {
      await until('its replies come', () => one.text().length >= (expected[id]?.length ?? 0))
      assert.equal(one.text(), expected[id])
    }
  })

  test(`transactions, databases, names and RESP versions work: ${isolation}`, async (t) => {
    const { client } = await startRig(t, changes)
    const oracle = await startServer()
    t.after(() => oracle.stop())
    const [one, other, server] = [await client(), await client(), await connect(t, oracle.port)]
    const program = [
      ['SET', 'k', '1'],
      ['WATCH', 'k'],
      ['MULTI'],
      ['INCR', 'k'],
      ['EXEC'],
      ['EXEC'],
      ['SELECT', '2'],
      ['GET', 'k'],
      ['SET', 'k', 'two'],
      ['SELECT', '99'],
      ['CLIENT', 'SETNAME', 'a b'],
      ['CLIENT', 'SETNAME', 'me'],
      ['CLIENT', 'GETNAME'],
      ['EVAL', 'return redis.call("GET", KEYS[1])', '1', 'k'],
      ['SUBSCRIBE'],
      ['RESET'],
      ['GET', 'k'],
      ['CLIENT', 'GETNAME'],
    ]
    for (const words of program) {
      assert.equal(await one.ask(...words), await server.ask(...words), words.join(' '))
    }
    assert.match(await one.ask('HELLO', '3'), /^%/)
    assert.equal(await one.ask('GET', 'nothing'), '_\r\n')
    assert.equal(await other.ask('GET', 'nothing'), '$-1\r\n')
  })

  test(`commands are held without a primary and go to the next: ${isolation}`, async (t) => {
    const { client, server, plane } = await startRig(t, changes)
    const next = await startServer()
    t.after(() => next.stop())
    const one = await client()
    await one.ask('CLIENT', 'SETNAME', 'me')
    await one.ask('SET', 'where', 'old')
    const config = { ...configFor(next, changes), listeners: [{ host: '127.0.0.1', port: 0 }] }
    const { primary: _none, ...upstream } = config.upstream
    await plane.apply({ ...config, epoch: 1, upstream })
    one.send(encodeCommand(['SET', 'where', 'new']) + encodeCommand(['GET', 'where']))
    await until('they are held', () => plane.view().heldCommands === 2)
    await plane.apply({ ...config, epoch: 2 })
    assert.deepEqual(await one.replies(2), ['+OK\r\n', bulk('new')])
    assert.equal(await server.command('GET', 'where'), bulk('old'))
  })

  test(`a command in flight gets one error when the server dies: ${isolation}`, async (t) => {
    const { client, server, plane } = await startRig(t, changes)
    const one = await client()
    await one.ask('PING')
    server.signal('SIGSTOP')
    one.send(encodeCommand(['INCR', 'n']))
    await until('it is in flight', () => plane.view().inFlightCommands === 1)
    await server.kill()
    await server.restart()
    assert.match(await one.reply(), lost)
    assert.equal(await one.ask('INCR', 'n'), ':1\r\n')
  })

  test(`a demoted primary is found out by its READONLY: ${isolation}`, async (t) => {
    const { client, server, plane } = await startRig(t, changes)
    const one = await client()
    assert.equal(await one.ask('SET', 'a', 'b'), '+OK\r\n')
    await server.command('REPLICAOF', '127.0.0.1', '1')
    one.send(encodeCommand(['SET', 'a', 'b']))
    await until('it is found out', () => plane.view().primary === 'failing')
    await server.command('REPLICAOF', 'NO', 'ONE')
    assert.equal(await one.reply(), '+OK\r\n')
  })

  test(`a server that owes replies and gives none is left: ${isolation}`, async (t) => {
    const { client, server } = await startRig(t, { ...changes, timing: { replyTimeoutMs: 200 } })
    const [one, blocked] = [await client(), await client()]
    await one.ask('PING')
    blocked.send(encodeCommand(['BLPOP', 'l', '0']))
    await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
    server.signal('SIGSTOP')
    t.after(() => server.signal('SIGCONT'))
    assert.match(await one.ask('PING'), lost)
    assert.equal(blocked.text(), '')
  })

  test(`logins and what is refused are the same: ${isolation}`, async (t) => {
    process.env.ISOLATION_TEST_PASSWORD = 'pw'
    const clientAuth = { users: [{ password: { env: 'ISOLATION_TEST_PASSWORD' } }] }
    const { client } = await startRig(t, { ...changes, clientAuth })
    const one = await client()
    assert.equal(await one.ask('GET', 'a'), '-NOAUTH Authentication required.\r\n')
    assert.equal(await one.ask('AUTH', 'pw'), '+OK\r\n')
    assert.equal(await one.ask('GET', 'a'), '$-1\r\n')
    assert.match(await one.ask('SHUTDOWN'), /^-/)
    assert.equal(await one.ask('GET', 'a'), '$-1\r\n')
  })
}

test('with perClient two clients have two upstream connections, from first command to end', async (t) => {
  const { client, server, plane } = await startRig(t, { upstream: { isolation: 'perClient' } })
  await until('the sidecar is connected', () => plane.view().upstreamConnections === 2)
  const before = Number(await server.info('connected_clients'))
  const clients = [await client(), await client()]
  for (const [index, one] of clients.entries()) {
    await one.ask('CLIENT', 'SETNAME', `client-${index}`)
    assert.equal(await one.ask('PING'), '+PONG\r\n')
    await one.ask('MULTI')
    await one.ask('EXEC')
  }
  assert.equal(plane.view().pinnedConnections, 2)
  assert.equal(Number(await server.info('connected_clients')), before + 2)
  assert.equal(await clients[0]?.ask('CLIENT', 'NO-EVICT', 'ON'), '+OK\r\n')
  assert.equal(await clients[0]?.ask('SELECT', '5'), '+OK\r\n')
  const list = await server.command('CLIENT', 'LIST')
  assert.match(list, / name=client-0 .* db=5 /)
  assert.match(list, / name=client-1 .* db=0 /)
  assert.match((await clients[1]?.ask('CLIENT', 'INFO')) ?? '', / name=client-1 .* db=0 /)
  clients[0]?.socket.destroy()
  await until('its connection is gone', () => plane.view().pinnedConnections === 1)
  assert.equal(await clients[1]?.ask('PING'), '+PONG\r\n')
})

test('with perClient one client’s slow command delays no other, a pause waits for all', async (t) => {
  const { client, plane } = await startRig(t, {
    upstream: { isolation: 'perClient' },
    timing: { drainTimeoutMs: 5000 },
  })
  const [one, other] = [await client(), await client()]
  await one.ask('PING')
  one.send(encodeCommand(['WAIT', '1', '300']))
  await until('it is in flight', () => plane.view().inFlightCommands === 1)
  assert.equal(await other.ask('PING'), '+PONG\r\n')
  await plane.pause()
  assert.equal(await one.reply(), ':0\r\n')
  plane.resume()
  assert.equal(await other.ask('PING'), '+PONG\r\n')
})
