/** Raw listeners: bytes pass unread, logins are the client’s own, and none outlives the primary. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type RedisServer, freePort, startServer } from '../../support/servers.ts'
import {
  type Client,
  type ConfigChanges,
  configFor,
  connect,
  encodeCommand,
  startPlane,
  until,
} from '../sidecar/harness.ts'

async function scene(t: TestContext, password?: string, changes: ConfigChanges = {}) {
  const servers = await Promise.all([1, 2].map(() => startServer(password ? { password } : {})))
  for (const server of servers) t.after(() => server.stop())
  const [ordinary, raw] = [await freePort(), await freePort()]
  process.env['RAW_TEST_PASSWORD'] = password ?? ''
  const configOf = (server: RedisServer) =>
    configFor(server, {
      ...changes,
      listeners: [
        { host: '127.0.0.1', port: ordinary },
        { host: '127.0.0.1', port: raw, raw: true },
      ],
      upstream: password ? { credentials: { password: { env: 'RAW_TEST_PASSWORD' } } } : {},
    })
  const [first, second] = servers as [RedisServer, RedisServer]
  const plane = await startPlane(t, configOf(first))
  await until('the primary is there', () => plane.view().primary === 'ok')
  return { plane, first, second, configOf, raw, client: () => connect(t, raw) }
}

const isEnded = (client: Client) => until('the client is cut', () => client.isClosed)

test('bytes pass both ways, large ones too, whatever the policy refuses and while it is paused', async (t) => {
  const { plane, client } = await scene(t)
  const one = await client()
  assert.match(await one.ask('CONFIG', 'GET', 'port'), /port/)
  await plane.pause()
  const value = 'x'.repeat(4 << 20)
  assert.equal(await one.ask('SET', 'large', value), '+OK\r\n')
  assert.equal((await one.ask('GET', 'large')).length, value.length + '$4194304\r\n\r\n'.length)
  const { rawConnections, clients, counters } = plane.view()
  assert.deepEqual([rawConnections, clients, counters.rawAccepted], [1, 0, 1])
})

test('the server’s limits hold for who does not read, and nothing is gathered here', async (t) => {
  const { first, client, plane } = await scene(t)
  await first.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0')
  await first.command('SET', 'large', 'x'.repeat(1 << 20))
  const before = process.memoryUsage.rss()
  const one = await client()
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  one.socket.pause()
  one.send(encodeCommand(['GET', 'large']).repeat(128))
  await until('the server holds back what is not read', async () => {
    const omem = /omem=(\d+)/g
    const list = await first.command('CLIENT', 'LIST')
    return [...list.matchAll(omem)].some(([, bytes]) => Number(bytes) > 64 << 20)
  })
  assert.ok(process.memoryUsage.rss() - before < 48 << 20)
  assert.equal(plane.view().rawConnections, 1)
  one.socket.destroy()
  await until('it is forgotten', () => plane.view().rawConnections === 0)
})

test('what the sidecar logs in with is not given away', async (t) => {
  const { client } = await scene(t, 'of the server')
  const one = await client()
  assert.match(await one.ask('GET', 'a'), /^-NOAUTH/)
  assert.equal(await one.ask('AUTH', 'of the server'), '+OK\r\n')
  assert.equal(await one.ask('SET', 'a', '1'), '+OK\r\n')
})

test('a client that ends its side still reads what it is owed', async (t) => {
  const { client } = await scene(t)
  const one = await client()
  one.send(encodeCommand(['PING']).repeat(1000) + encodeCommand(['QUIT']))
  one.socket.end()
  assert.equal(await one.rest(), `${'+PONG\r\n'.repeat(1000)}+OK\r\n`)
})

test('all end in the turn in which the primary changes, or is withdrawn', async (t) => {
  const { plane, first, second, configOf, client } = await scene(t)
  const one = await client()
  assert.equal(await one.ask('SET', 'a', '1'), '+OK\r\n')
  await plane.apply({ ...configOf(second), epoch: 1 })
  one.send(encodeCommand(['SET', 'a', '2']))
  await isEnded(one)
  assert.equal(await first.command('GET', 'a'), '$1\r\n1\r\n')
  const other = await client()
  assert.equal(await other.ask('SET', 'a', '3'), '+OK\r\n')
  assert.equal(await second.command('GET', 'a'), '$1\r\n3\r\n')
  const { primary: _withdrawn, ...upstream } = configOf(second).upstream
  await plane.apply({ ...configOf(second), epoch: 2, upstream })
  await isEnded(other)
  await isEnded(await client())
})

test('a server that is no primary gets nothing', async (t) => {
  const { plane, first, second, configOf, client } = await scene(t)
  await second.command('REPLICAOF', first.host, String(first.port))
  await plane.apply({ ...configOf(second), epoch: 1 })
  const one = await client()
  one.send(encodeCommand(['SET', 'a', '1']))
  assert.equal(await one.rest(), '')
})

test('they can be ended by hand, and come back', async (t) => {
  const { plane, client } = await scene(t)
  const some = await Promise.all([client(), client()])
  for (const one of some) assert.equal(await one.ask('PING'), '+PONG\r\n')
  plane.terminateRaw()
  for (const one of some) await isEnded(one)
  assert.equal(await (await client()).ask('PING'), '+PONG\r\n')
})
