/** Replicas and primaries come and go under clients that read and write. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import { type ReplicatedServers, startReplicated } from '../../support/replicas.ts'
import { freePort, startServer } from '../../support/servers.ts'
import {
  type Front,
  encodeCommand,
  knows,
  reads,
  replicatedConfig,
  startFront,
  until,
} from './harness.ts'
import { Load, bulk, callsOf, unless } from './load.ts'

const serversOf = (rig: ReplicatedServers) => rig.replicas.map(({ server }) => server)

async function rigAndFront(
  t: TestContext,
  upstream: Partial<UpstreamConfig> = {},
): Promise<{ readonly rig: ReplicatedServers; readonly front: Front }> {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const front = await startFront(t, replicatedConfig([rig.primary], { reads, ...upstream }))
  await knows(front, rig.primary, serversOf(rig))
  await readFrom(front, rig)
  return { rig, front }
}

/** Waits until every replica takes reads. */
async function readFrom(front: Front, rig: ReplicatedServers): Promise<void> {
  const client = await front.client()
  const before = await Promise.all(serversOf(rig).map((one) => callsOf(one, 'exists')))
  await until('replicas take reads', async () => {
    await client.ask('EXISTS', 'nothing')
    const calls = await Promise.all(serversOf(rig).map((one) => callsOf(one, 'exists')))
    return calls.every((count, index) => count > (before[index] ?? 0))
  })
}

const readsAndWrites = (front: Front) =>
  Load.start(front, 6, async (client, id, round) => {
    const value = String(round)
    const wrong = unless('+OK\r\n', await client.ask('SET', `key${id}`, value))
    for (let count = 0; count < 5; count += 1) {
      const read = unless(bulk(value), await client.ask('GET', `key${id}`))
      if (read !== undefined) return read
    }
    return wrong
  })

test('replicas are added and removed under load, and nobody gets an error', async (t) => {
  const { rig, front } = await rigAndFront(t)
  const load = await readsAndWrites(front)
  await rig.addReplica()
  await knows(front, rig.primary, serversOf(rig))
  await readFrom(front, rig)
  for (const one of rig.replicas.slice(0, 2)) {
    const { rounds } = load
    await rig.removeReplica(one)
    await until('the load goes on', () => load.rounds > rounds + 200)
  }
  await rig.addReplica()
  await readFrom(front, rig)
  await load.stop()
  assert.deepEqual(load.errors, [])
})

test('a replica that was read from is promoted, and the others are read from after it', async (t) => {
  const { rig, front } = await rigAndFront(t)
  const [next, other] = serversOf(rig)
  assert.ok(next && other)
  const load = await Load.start(front, 4, async (client, id) => {
    const reply = await client.ask('GET', `nothing${id}`)
    return unless('$-1\r\n', reply)
  })
  const writer = await front.client()
  assert.equal(await writer.ask('SET', 'a', '1'), '+OK\r\n')
  await until('it is replicated', async () => (await next.command('GET', 'a')).includes('1'))
  // By hand: nothing is written meanwhile, and the old one follows the new one.
  await next.command('REPLICAOF', 'NO', 'ONE')
  await other.command('REPLICAOF', next.host, String(next.port))
  await rig.primary.command('REPLICAOF', next.host, String(next.port))
  await knows(front, next, [rig.primary, other])
  assert.equal(await writer.ask('SET', 'a', '2'), '+OK\r\n')
  assert.equal(await next.command('GET', 'a'), bulk('2'))
  for (const server of [rig.primary, other]) {
    const before = await callsOf(server, 'get')
    await until('it is read from', async () => (await callsOf(server, 'get')) > before + 10)
  }
  const before = await callsOf(next, 'get')
  const { rounds } = load
  await until('the load goes on', () => load.rounds > rounds + 500)
  assert.ok((await callsOf(next, 'get')) - before < 250)
  await load.stop()
  assert.deepEqual(load.errors, [])
})

test('reads go on without the primary until what replicas have is too old', async (t) => {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const upstream = { reads: { ...reads, lagSecondsMax: 1 } }
  const timing = { holdTimeoutMs: 300, queueTimeoutMs: 300 }
  const front = await startFront(t, replicatedConfig([rig.primary], upstream, { timing }))
  await knows(front, rig.primary, serversOf(rig))
  await readFrom(front, rig)
  const client = await front.client()
  await rig.primary.kill()
  let served = 0
  await until('reads have to wait', async () => {
    const reply = await client.ask('GET', 'a')
    if (reply.startsWith('-')) return true
    assert.equal(reply, '$-1\r\n')
    served += 1
    return false
  })
  t.diagnostic(`${served} reads`)
  assert.ok(served > 10, `${served} reads`)
  await rig.primary.restart()
  await until('it serves', async () => (await client.ask('SET', 'a', '1')) === '+OK\r\n')
})

test('while a control plane withdraws the primary reads go on, and what writes is held', async (t) => {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const { host, port } = rig.primary
  const members = [
    { host, port, role: 'primary' as const },
    ...serversOf(rig).map((one) => ({ host: one.host, port: one.port, role: 'replica' as const })),
  ]
  const config = replicatedConfig([], { discovery: 'operator', members, reads })
  const named = { ...config, upstream: { ...config.upstream, primary: { host, port } } }
  const front = await startFront(t, named)
  await readFrom(front, rig)
  const [reader, writer] = [await front.client(), await front.client()]
  await front.keeper.offer({ ...config, epoch: 1 })
  writer.send(encodeCommand(['SET', 'a', '1']))
  for (let count = 0; count < 20; count += 1) assert.equal(await reader.ask('GET', 'a'), '$-1\r\n')
  assert.equal(writer.text(), '')
  await front.keeper.offer({ ...named, epoch: 2 })
  assert.equal(await writer.reply(), '+OK\r\n')
  assert.equal(await writer.ask('GET', 'a'), bulk('1'))
})

test('when all are down errors are whole, in order, and of their own commands', async (t) => {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const timing = { holdTimeoutMs: 300, queueTimeoutMs: 300 }
  const config = replicatedConfig([rig.primary], { reads }, { timing })
  const front = await startFront(t, config)
  await knows(front, rig.primary, serversOf(rig))
  await readFrom(front, rig)
  for (const server of [rig.primary, ...serversOf(rig)]) await server.kill()
  const client = await front.client()
  const commands = [
    ['GET', 'a'],
    ['SET', 'a', '1'],
    ['ECHO', 'x'],
    ['GET', 'a'],
  ]
  client.send(commands.map(encodeCommand).join(''))
  const replies = await client.replies(4)
  for (const reply of replies) assert.match(reply, /^-[A-Z]+ [^\r\n]+\r\n$/)
  await rig.primary.restart()
  await until('it serves', async () => (await client.ask('SET', 'a', '1')) === '+OK\r\n')
  assert.equal(await client.ask('GET', 'a'), bulk('1'))
})

test('asking replicas how far they are is little beside the commands', async (t) => {
  const { rig, front } = await rigAndFront(t)
  const all = [rig.primary, ...serversOf(rig)]
  const infos = async () => {
    const counts = await Promise.all(all.map((one) => callsOf(one, 'info')))
    return counts.reduce((sum, one) => sum + one, 0)
  }
  const before = await infos()
  const startMs = performance.now()
  const load = await readsAndWrites(front)
  await until('the load runs', () => load.rounds > 3000)
  await load.stop()
  const seconds = (performance.now() - startMs) / 1000
  // Each question for the count is one itself.
  const asked = (await infos()) - before - all.length
  const commands = load.rounds * 6
  t.diagnostic(`${asked} questions beside ${commands} commands in ${seconds.toFixed(1)} s`)
  assert.deepEqual(load.errors, [])
  assert.ok(asked < commands / 50, `${asked} of ${commands}`)
})

test('replicas of the zone are read from while they are fit, and others after them', async (t) => {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const [near, far] = rig.replicas
  assert.ok(near && far)
  const zones = ['a', 'b']
  const members = [
    { host: rig.primary.host, port: rig.primary.port, role: 'primary' as const },
    ...serversOf(rig).map(({ host, port }, index) => ({
      host,
      port,
      role: 'replica' as const,
      zone: zones[index] as string,
    })),
  ]
  const { host, port } = rig.primary
  const front = await startFront(
    t,
    replicatedConfig([], {
      discovery: 'operator',
      members,
      primary: { host, port },
      reads: { ...reads, choose: 'zone', zone: 'a' },
    }),
  )
  const client = await front.client()
  await until('it is read from', async () => {
    await client.ask('GET', 'a')
    return (await callsOf(near.server, 'get')) > 0
  })
  const before = await callsOf(far.server, 'get')
  for (let count = 0; count < 50; count += 1) await client.ask('GET', 'a')
  assert.equal(await callsOf(far.server, 'get'), before)
  await near.server.kill()
  await until('the other is read from', async () => {
    await client.ask('GET', 'a')
    return (await callsOf(far.server, 'get')) > before
  })
})

test('members that a control plane names are used although they lead nowhere else', async (t) => {
  const rig = await startReplicated()
  t.after(() => rig.stop())
  const [named, unnamed] = serversOf(rig)
  assert.ok(named && unnamed)
  const gone = { host: '127.0.0.1', port: await freePort(), role: 'replica' as const }
  const stranger = await startServer()
  t.after(() => stranger.stop())
  const { host, port } = rig.primary
  const members = [
    { host, port, role: 'primary' as const },
    { host: named.host, port: named.port, role: 'replica' as const },
    // It is a primary of its own: nothing is read from it.
    { host: stranger.host, port: stranger.port, role: 'replica' as const },
    gone,
  ]
  const upstream = { discovery: 'operator', members, primary: { host, port }, reads } as const
  const front = await startFront(t, replicatedConfig([], upstream))
  const client = await front.client()
  await until('it is read from', async () => {
    await client.ask('GET', 'a')
    return (await callsOf(named, 'get')) > 10
  })
  assert.equal(await callsOf(unnamed, 'get'), 0)
  assert.equal(await callsOf(stranger, 'get'), 0)
})
