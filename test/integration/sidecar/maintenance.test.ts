/** What clients hear of maintenance that asked for it, byte by byte. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { startCluster } from '../../support/cluster.ts'
import { startServer } from '../../support/servers.ts'
import {
  type Client,
  type Rig,
  configFor,
  encodeCommand,
  startPlane,
  startRig,
  until,
  connect,
  portOf,
} from './harness.ts'

const on = ['CLIENT', 'MAINT_NOTIFICATIONS', 'ON', 'moving-endpoint-type']
/** A push as words; numbers stay with their colon. */
const words = (push: string) => push.split('\r\n').filter((line) => /^[^$>]/.test(line))

async function listener(rig: Pick<Rig, 'client'>, type = 'external-ip'): Promise<Client> {
  const client = await rig.client()
  assert.match(await client.ask('HELLO', '3'), /^%/)
  assert.equal(await client.ask(...on, type), '+OK\r\n')
  return client
}

async function withdrawn(t: TestContext) {
  const server = await startServer()
  t.after(() => server.stop())
  const plane = await startPlane(t, configFor(server))
  const client = await listener({ client: () => connect(t, portOf(plane)) })
  const { primary: _, ...upstream } = configFor(server).upstream
  const config = { ...configFor(server), upstream, epoch: 1 }
  assert.equal(await client.ask('SET', 'k', '1'), '+OK\r\n')
  return { server, plane, client, config }
}

test('a pause begins and ends for those who asked, and for nobody else', async (t) => {
  const rig = await startRig(t, { timing: { holdTimeoutMs: 3500 } })
  const one = await listener(rig)
  const stranger = await rig.client()
  assert.match(await stranger.ask('HELLO', '3'), /^%/)
  const old = await rig.client()
  const was = await listener(rig)
  assert.equal(await was.ask('CLIENT', 'MAINT_NOTIFICATIONS', 'OFF'), '+OK\r\n')
  const reset = await listener(rig)
  assert.equal(await reset.ask('RESET'), '+RESET\r\n')
  await rig.plane.pause()
  const [word, sequence, ttl, shard] = words(await one.reply())
  assert.deepEqual([word, ttl, shard], ['MIGRATING', ':4', '1'])
  one.send(encodeCommand(['PING']))
  rig.plane.resume()
  const replies = await one.replies(2)
  const ended = replies.find((reply) => reply.startsWith('>')) ?? ''
  assert.equal(words(ended)[0], 'MIGRATED')
  assert.ok(Number(words(ended)[1]?.slice(1)) > Number(sequence?.slice(1)), 'numbers rise')
  for (const other of [stranger, old, was, reset])
    assert.equal(await other.ask('PING'), '+PONG\r\n')
  assert.equal(rig.plane.view().counters.maintenanceNotices, 2)
})

test('who asks while it is paused hears of it after the answer', async (t) => {
  const rig = await startRig(t)
  await rig.plane.pause()
  const one = await listener(rig)
  assert.equal(words(await one.reply())[0], 'MIGRATING')
  rig.plane.resume()
  assert.equal(words(await one.reply())[0], 'MIGRATED')
})

test('who asks wrongly is told what is right', async (t) => {
  const rig = await startRig(t)
  const one = await rig.client()
  assert.match(await one.ask(...on, 'none'), /^-ERR MAINT_NOTIFICATIONS needs RESP3/)
  await one.ask('HELLO', '3')
  assert.match(await one.ask(...on, 'somewhere'), /^-ERR Invalid moving-endpoint-type/)
  assert.match(await one.ask('CLIENT', 'MAINT_NOTIFICATIONS', 'maybe'), /^-ERR syntax error/)
  assert.match(await one.ask('CLIENT', 'MAINT_NOTIFICATIONS'), /^-ERR syntax error/)
  assert.equal(await one.ask('CLIENT', 'MAINT_NOTIFICATIONS', 'on'), '+OK\r\n')
  assert.equal(await one.ask('PING'), '+PONG\r\n')
})

test('notices can be refused like any command', async (t) => {
  const rig = await startRig(t, { commands: { deny: ['client|maint_notifications'] } })
  const one = await rig.client()
  await one.ask('HELLO', '3')
  assert.match(await one.ask(...on, 'none'), /^-\w+ .*maint_notifications/i)
  assert.equal(await one.ask('CLIENT', 'SETNAME', 'app'), '+OK\r\n')
})

const ring = { mode: 'ring', discovery: 'self' } as const

for (const [where, upstream] of [
  ['', {}],
  [' of a server of a ring', ring],
] as const) {
  test(`a notice does not go into the middle of a reply${where}`, (t) => tryMidReply(t, upstream))
}

async function tryMidReply(t: TestContext, upstream: Partial<ProxyConfig['upstream']>) {
  const large = 24 << 20
  const rig = await startRig(t, { timing: { drainTimeoutMs: 20_000 }, upstream })
  const writer = await rig.direct()
  await writer.ask('SETRANGE', 'large', String(large - 1), 'x')
  for (const isOwn of upstream.mode === 'ring' ? [false] : [false, true]) {
    const one = await listener(rig)
    if (isOwn) assert.equal(await one.ask('SELECT', '1'), '+OK\r\n')
    if (isOwn)
      assert.equal(await one.ask('SETRANGE', 'large', String(large - 1), 'x'), `:${large}\r\n`)
    one.socket.pause()
    one.send(encodeCommand(['GET', 'large']))
    const { bytesWritten } = await bytesSent(rig)
    await until('a part of the reply is under way', async () => {
      return (await bytesSent(rig)).bytesWritten > bytesWritten + 1000
    })
    const paused = rig.plane.pause()
    await new Promise((resolve) => setImmediate(resolve))
    const head = `$${large}\r\n`
    const total = head.length + large + 2
    const chunks: Buffer[] = []
    let length = 0
    one.socket.removeAllListeners('data')
    one.socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
    })
    one.socket.resume()
    await paused
    rig.plane.resume()
    await until('all came', () => length >= total)
    const all = Buffer.concat(chunks)
    assert.equal(all.toString('latin1', 0, head.length), head)
    assert.equal(all.toString('latin1', total - 3, total), 'x\r\n')
    assert.ok(
      all.subarray(head.length, total - 3).every((byte) => byte === 0),
      'the value is whole',
    )
    one.socket.destroy()
  }
}

async function bytesSent({ plane }: Rig) {
  await new Promise((resolve) => setImmediate(resolve))
  return { bytesWritten: plane.view().counters.clientBytesWritten }
}

test('subscribers, blocked clients and transactions hear of it between their replies', async (t) => {
  const rig = await startRig(t)
  const subscriber = await listener(rig)
  assert.match(await subscriber.ask('SUBSCRIBE', 'news'), /^>3/)
  const inTransaction = await listener(rig)
  assert.equal(await inTransaction.ask('MULTI'), '+OK\r\n')
  assert.equal(await inTransaction.ask('SET', 'k', '1'), '+QUEUED\r\n')
  const blocked = await listener(rig)
  blocked.send(encodeCommand(['BLPOP', 'q', '0']))
  await until('it blocks', async () => (await rig.server.info('blocked_clients')) === '1')
  const paused = rig.plane.pause()
  const [first, last] = await inTransaction.replies(1)
  assert.equal(words(first ?? '')[0], 'MIGRATING')
  assert.equal(last, undefined)
  inTransaction.send(encodeCommand(['EXEC']))
  await paused
  assert.equal(words(await subscriber.reply())[0], 'MIGRATING')
  assert.equal(words(await blocked.reply())[0], 'MIGRATING')
  rig.plane.resume()
  assert.equal(words(await subscriber.reply())[0], 'MIGRATED')
  assert.equal(words(await blocked.reply())[0], 'MIGRATED')
  assert.deepEqual((await inTransaction.replies(2)).map((reply) => reply.slice(0, 2)).sort(), [
    '*1',
    '>3',
  ])
  const other = await rig.client()
  await other.ask('PUBLISH', 'news', 'x')
  assert.match(await subscriber.reply(), /message/)
  await other.ask('RPUSH', 'q', 'v')
  assert.match(await blocked.reply(), /^\*2\r\n\$1\r\nq\r\n\$1\r\nv/)
})

test('a primary that is withdrawn and replaced is a failover', async (t) => {
  const { plane, client, config } = await withdrawn(t)
  await plane.apply(config)
  assert.equal(words(await client.reply())[0], 'FAILING_OVER')
  client.send(encodeCommand(['SET', 'k', '2']))
  const next = await startServer()
  t.after(() => next.stop())
  await plane.apply({ ...configFor(next), epoch: 2 })
  const replies = await client.replies(2)
  assert.ok(replies.includes('+OK\r\n'), replies.join())
  assert.equal(words(replies.find((reply) => reply.startsWith('>')) ?? '')[0], 'FAILED_OVER')
  assert.equal(plane.view().counters.maintenanceNotices, 2)
})

test('a cluster that replaces a primary fails over, and is whole again', async (t) => {
  const cluster = await startCluster({ primaries: 3, replicasPerPrimary: 1, nodeTimeoutMs: 1000 })
  t.after(() => cluster.stop())
  const [node] = cluster.nodes
  assert.ok(node)
  const base = configFor({ host: '127.0.0.1', port: node.server.port })
  const { primary: _, ...upstream } = base.upstream
  const sharded = { ...upstream, mode: 'cluster', discovery: 'self' } as const
  const plane = await startPlane(t, { ...base, upstream: sharded })
  const client = await listener({ client: () => connect(t, portOf(plane)) })
  await until(
    'all shards are there',
    () => plane.topology()?.shards.every(({ members }) => members[0]?.isFit === true) === true,
  )
  assert.equal(await client.ask('SET', 'k', '1'), '+OK\r\n')
  const victim = await cluster.primaryOf(0)
  victim.server.signal('SIGKILL')
  assert.equal(words(await client.reply())[0], 'FAILING_OVER')
  await until('it is told of the end', () => client.received.length > 0, 30_000)
  assert.equal(words(await client.reply())[0], 'FAILED_OVER')
})

test('a sidecar that ends sends its clients to connect again, and serves them until they do', async (t) => {
  const rig = await startRig(t, { timing: { drainTimeoutMs: 2000 } })
  const one = await listener(rig)
  const two = await listener(rig, 'none')
  const deaf = await rig.client()
  const stopped = rig.plane.stop()
  const target = `127.0.0.1:${rig.port}`
  const [word, , ttl, endpoint] = words(await one.reply())
  assert.deepEqual([word, ttl, endpoint], ['MOVING', ':15', target])
  assert.deepEqual([...words(await two.reply())].toSpliced(1, 1), ['MOVING', ':1', '_'])
  for (const client of [one, two, deaf]) assert.equal(await client.ask('SET', 'k', '1'), '+OK\r\n')
  await stopped
  for (const client of [one, two, deaf]) assert.equal(await client.rest(), '')
})

test('clients in another database and subscribers notice the end when they are closed', async (t) => {
  const rig = await startRig(t, { timing: { drainTimeoutMs: 2000 } })
  const [one, chosen, subscribed] = [await listener(rig), await listener(rig), await listener(rig)]
  assert.equal(await chosen.ask('SELECT', '2'), '+OK\r\n')
  assert.equal(words(await subscribed.ask('SUBSCRIBE', 'news'))[0], 'subscribe')
  const stopped = rig.plane.stop()
  assert.equal(words(await one.reply())[0], 'MOVING')
  await stopped
  // A library that moved them would give the next connection neither.
  for (const client of [chosen, subscribed]) assert.equal(await client.rest(), '')
})

test('a sidecar whose clients asked for nothing ends at once', async (t) => {
  const rig = await startRig(t, { timing: { drainTimeoutMs: 60_000 } })
  const one = await rig.client()
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  const start = performance.now()
  await rig.plane.stop()
  assert.ok(performance.now() - start < 500, 'nothing was waited for')
})
