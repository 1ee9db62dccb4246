/** Reads go to replicas, everything else to the primary, and no client can tell. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import {
  type ReplicatedOptions,
  type ReplicatedServers,
  startReplicated,
} from '../../support/replicas.ts'
import type { RedisServer } from '../../support/servers.ts'
import {
  type Front,
  encodeCommand,
  knows,
  reads,
  replicatedConfig,
  startFront,
  until,
} from './harness.ts'
import { Load, bulk, callsOf, errorsOf, unless } from './load.ts'

/** Rounds of a load until something else happens. */
const stepCount = process.env['RESPMESH_TEST_SIZE'] === 'full' ? 20_000 : 1000

async function rigFor(t: TestContext, options: ReplicatedOptions = {}): Promise<ReplicatedServers> {
  const rig = await startReplicated(options)
  t.after(() => rig.stop())
  return rig
}

const serversOf = (rig: ReplicatedServers) => rig.replicas.map(({ server }) => server)

/** Ready when a replica takes reads. */
async function splitFront(
  t: TestContext,
  rig: ReplicatedServers,
  upstream: Partial<UpstreamConfig> = {},
): Promise<Front> {
  const front = await startFront(t, replicatedConfig([rig.primary], { reads, ...upstream }))
  await knows(front, rig.primary, serversOf(rig))
  const client = await front.client()
  await until('replicas take reads', async () => {
    await client.ask('EXISTS', 'nothing')
    const calls = await Promise.all(serversOf(rig).map((one) => callsOf(one, 'exists')))
    return calls.every((count) => count > 0)
  })
  return front
}

/** Waits until all replicas have it. */
async function written(rig: ReplicatedServers, key: string, value: string): Promise<void> {
  await rig.primary.command('SET', key, value)
  await Promise.all(rig.replicas.map((replica) => rig.inStep(replica)))
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)
const callsOfAll = async (servers: readonly RedisServer[], command: string) =>
  sum(await Promise.all(servers.map((one) => callsOf(one, command))))

test('a client that only reads is served by the replicas, in turn', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const client = await front.client()
  for (let count = 0; count < 100; count += 1) await client.ask('GET', 'a')
  assert.equal(await callsOf(rig.primary, 'get'), 0)
  for (const server of serversOf(rig)) assert.ok((await callsOf(server, 'get')) >= 40)
})

test('a write that comes in one piece with reads goes to the primary, and is read there', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const client = await front.client()
  for (let round = 0; round < 50; round += 1) {
    const value = String(round)
    const commands = [
      ['GET', 'a'],
      ['SET', 'a', value],
      ['GET', 'a'],
      ['GET', 'a'],
    ]
    client.send(commands.map(encodeCommand).join(''))
    const before = round === 0 ? '$-1\r\n' : bulk(String(round - 1))
    assert.deepEqual(await client.replies(4), [before, '+OK\r\n', bulk(value), bulk(value)])
  }
  for (const server of serversOf(rig)) assert.equal(await errorsOf(server, 'READONLY'), 0)
})

test('what reads and writes, what may, and what nobody knows goes to the primary', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const client = await front.client()
  const commands = [
    ['GETSET', 's', '1'],
    ['GETEX', 's'],
    ['GETEX', 's', 'EX', '100'],
    ['GETDEL', 's'],
    ['RPUSH', 'l', '2', '1'],
    ['SORT', 'l', 'STORE', 'sorted'],
    ['GEOADD', 'g', '13.3', '38.1', 'p'],
    ['GEORADIUS', 'g', '15', '37', '200', 'km', 'STORE', 'near'],
    ['EVAL', 'return redis.call("GET", KEYS[1])', '1', 's'],
    ['SADD', 'set', 'a', 'b'],
    ['SPOP', 'set'],
    ['XGROUP', 'CREATE', 'x', 'group', '$', 'MKSTREAM'],
    ['XADD', 'x', '*', 'f', 'v'],
    ['XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', 'x', '>'],
    ['BITFIELD', 'b', 'SET', 'u8', '0', '7'],
    ['PFCOUNT', 'h1', 'h2'],
  ]
  for (const words of commands) {
    const reply = await client.ask(...words)
    assert.ok(!reply.startsWith('-'), `${words.join(' ')}: ${reply}`)
  }
  assert.match(await client.ask('NOSUCHCOMMAND', 'a'), /^-ERR unknown command/)
  for (const server of serversOf(rig)) {
    assert.equal(await errorsOf(server, 'READONLY'), 0)
    // What its effects are is replicated, not the script itself.
    assert.equal(await callsOf(server, 'eval'), 0)
    assert.equal(await errorsOf(server, 'ERR'), 0)
  }
})

test('each client reads what it wrote, however far replicas are behind', async (t) => {
  const rig = await rigFor(t, { hasLinks: true })
  const front = await splitFront(t, rig)
  const [slow] = rig.replicas
  assert.ok(slow)
  const load = await Load.start(front, 8, async (client, id, round) => {
    const value = `${id}:${round}`
    await client.ask('SET', `key${id}`, value)
    // Some read at once, some when replicas may have it.
    const pauses = id % 4
    for (let count = 0; count < pauses; count += 1) await client.ask('PING')
    return unless(bulk(value), await client.ask('GET', `key${id}`))
  })
  const reader = await Load.start(front, 1, async (client) => {
    await client.ask('GET', 'key0')
    return undefined
  })
  for (let round = 0; round < 3; round += 1) {
    rig.pauseLink(slow)
    const { rounds } = load
    await until('the load went on', () => load.rounds > rounds + stepCount, 60_000)
    rig.resumeLink(slow)
    await until('the load went on', () => load.rounds > rounds + 2 * stepCount, 60_000)
  }
  await load.stop()
  await reader.stop()
  const [all, byReplicas] = [load.rounds + reader.rounds, await callsOfAll(serversOf(rig), 'get')]
  t.diagnostic(`${load.rounds} writes read back, ${byReplicas} of ${all} reads by replicas`)
  assert.deepEqual(load.errors, [])
  assert.deepEqual(reader.errors, [])
  assert.ok((await callsOfAll(serversOf(rig), 'get')) > 1000)
})

test('what a client wrote in any way it reads, although no replica has any of it', async (t) => {
  const rig = await rigFor(t, { hasLinks: true })
  const front = await splitFront(t, rig, { reads: { ...reads, lagSecondsMax: 600 } })
  for (const replica of rig.replicas) rig.pauseLink(replica)
  const script = "return redis.call('SET', KEYS[1], ARGV[1])"
  const large = 'x'.repeat(400_000)
  const ways: Readonly<Record<string, readonly (readonly string[])[]>> = {
    plain: [['SET', 'k', 'v']],
    transaction: [['MULTI'], ['SET', 'k', 'v'], ['EXEC']],
    watched: [['WATCH', 'k'], ['MULTI'], ['SET', 'k', 'v'], ['EXEC']],
    script: [['EVAL', script, '1', 'k', 'v']],
    'script that names no key': [['EVAL', "return redis.call('SET', 'k', 'v')", '0']],
    renamed: [
      ['SET', 'other', 'v'],
      ['RENAME', 'other', 'k'],
    ],
    'in RESP3': [
      ['HELLO', '3'],
      ['SET', 'k', 'v'],
    ],
    'in another database': [
      ['SELECT', '1'],
      ['SET', 'k', 'v'],
    ],
    'while blocking': [
      ['RPUSH', 'list', 'v'],
      ['BLMOVE', 'list', 'list2', 'LEFT', 'LEFT', '1'],
      ['SET', 'k', 'v'],
    ],
    large: [
      ['SET', 'k', large],
      ['SET', 'k', 'v'],
    ],
  }
  for (const [way, commands] of Object.entries(ways)) {
    await rig.primary.command('DEL', 'k')
    const client = await front.client()
    for (const words of commands) {
      const reply = await client.ask(...words)
      assert.ok(!reply.startsWith('-'), `${way}: ${reply}`)
    }
    assert.equal(await client.ask('GET', 'k'), bulk('v'), way)
  }
  const silent = await front.client()
  silent.send(encodeCommand(['CLIENT', 'REPLY', 'SKIP']) + encodeCommand(['SET', 'k', 'unheard']))
  assert.equal(await silent.ask('GET', 'k'), bulk('unheard'))
  const inline = await front.client()
  inline.send('SET k inline\r\nGET k\r\n')
  assert.deepEqual(await inline.replies(2), ['+OK\r\n', bulk('inline')])
  // One that wrote nothing is served by replicas all the time.
  assert.equal(await (await front.client()).ask('GET', 'k'), '$-1\r\n')
})

test('a client that writes rarely reads from replicas although others write all the time', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const load = await Load.start(front, 4, async (client, id, round) =>
    unless('+OK\r\n', await client.ask('SET', `busy${id}`, String(round))),
  )
  const client = await front.client()
  let served = 0
  for (let round = 0; round < 3; round += 1) {
    await client.ask('SET', 'rare', String(round))
    await until('replicas are read from', async () => {
      const before = await callsOfAll(serversOf(rig), 'get')
      for (let count = 0; count < 20; count += 1) {
        assert.equal(await client.ask('GET', 'rare'), bulk(String(round)))
      }
      served = (await callsOfAll(serversOf(rig), 'get')) - before
      return served === 20
    })
  }
  await load.stop()
  assert.deepEqual(load.errors, [])
})

test('a replica that loads or synchronises gets no reads, and gets them again', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const [loading, other] = rig.replicas
  assert.ok(loading && other)
  await written(rig, 'a', '1')
  const load = await Load.start(front, 4, async (client) =>
    unless(bulk('1'), await client.ask('GET', 'a')),
  )
  await rig.startLoading(loading)
  const { rounds } = load
  await until('reads go on', () => load.rounds > rounds + 500)
  await rig.endLoading(loading)
  const before = await callsOf(loading.server, 'get')
  await until('it is read from again', async () => (await callsOf(loading.server, 'get')) > before)
  await load.stop()
  assert.deepEqual(load.errors, [])
  assert.ok((await callsOf(other.server, 'get')) > 0)
})

test('a replica that is stopped delays its clients by seconds, and nobody gets an error', async (t) => {
  const rig = await rigFor(t)
  const front = await splitFront(t, rig)
  const [stopped] = rig.replicas
  assert.ok(stopped)
  await written(rig, 'a', '1')
  const load = await Load.start(front, 4, async (client) =>
    unless(bulk('1'), await client.ask('GET', 'a')),
  )
  await until('the load runs', () => load.rounds > 100)
  rig.pause(stopped)
  const { rounds } = load
  await until('reads go on', () => load.rounds > rounds + 2000)
  rig.resume(stopped)
  const before = await callsOf(stopped.server, 'get')
  await until('it is read from again', async () => (await callsOf(stopped.server, 'get')) > before)
  await load.stop()
  assert.deepEqual(load.errors, [])
  t.diagnostic(`longest wait ${Math.round(load.longestMs)} ms`)
  assert.ok(load.longestMs < 10_000)
})

test('what is read is never older than the bound', async (t) => {
  const rig = await rigFor(t, { hasLinks: true })
  const lagSecondsMax = 1
  const front = await splitFront(t, rig, { reads: { ...reads, lagSecondsMax } })
  const [slow] = rig.replicas
  assert.ok(slow)
  await written(rig, 'now', String(performance.now()))
  const writer = await Load.start(front, 1, async (client) =>
    unless('+OK\r\n', await client.ask('SET', 'now', String(performance.now()))),
  )
  let oldestMs = 0
  const reader = await Load.start(front, 2, async (client) => {
    const askedMs = performance.now()
    const writtenMs = Number((await client.ask('GET', 'now')).split('\r\n')[1])
    oldestMs = Math.max(oldestMs, askedMs - writtenMs)
    return undefined
  })
  await until('the load runs', () => reader.rounds > 100)
  rig.pauseLink(slow)
  const pausedMs = performance.now()
  await until('two bounds passed', () => performance.now() - pausedMs > 2000 * lagSecondsMax)
  await writer.stop()
  await reader.stop()
  rig.resumeLink(slow)
  t.diagnostic(`oldest ${Math.round(oldestMs)} ms`)
  assert.deepEqual([...writer.errors, ...reader.errors], [])
  assert.ok(oldestMs < lagSecondsMax * 1000 + 250, `${oldestMs} ms`)
})
