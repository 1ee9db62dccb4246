/** What clients see when the primary dies, stops or is nowhere, and another takes its place. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
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
import { WireClient } from '../switch/wire.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const transactions = isFull ? 1000 : 100
const stoppedMs = 5000
const lost = /^-PROXY RM_UPSTREAM_LOST /

/** A primary and its replica, and a sidecar that can be told of another primary, or of none. */
async function scene(t: TestContext, changes: ConfigChanges = {}) {
  const first = await startServer()
  t.after(() => first.stop())
  const second = await startServer({ replicaOf: first })
  t.after(() => second.stop())
  await until('the replica follows', async () => (await second.info('master_link_status')) === 'up')
  const plane = await startPlane(t, configFor(first, changes))
  await until('the primary is there', () => plane.view().primary === 'ok')
  let epoch = 0
  const obey = (server: RedisServer | undefined) => {
    epoch += 1
    const { upstream, ...rest } = configFor(server ?? first, changes)
    const { primary, ...others } = upstream
    void plane.apply({
      ...rest,
      epoch,
      upstream: { ...others, ...(server !== undefined && primary && { primary }) },
    })
  }
  const goOver = async () => {
    obey(undefined)
    await second.command('REPLICAOF', 'NO', 'ONE')
    obey(second)
  }
  const client = () => connect(t, portOf(plane))
  return { first, second, plane, obey, goOver, client }
}

const blockedAt = (server: RedisServer, count: number) =>
  until(
    'the server has blocked clients',
    async () => Number(await server.info('blocked_clients')) === count,
  )

test('subscribers of both versions of RESP hear the next primary', async (t) => {
  const { first, second, goOver, client } = await scene(t)
  const [old, modern, pattern] = [await client(), await client(), await client()]
  assert.match(await old.ask('SUBSCRIBE', 'news'), /subscribe/)
  await modern.ask('HELLO', '3')
  assert.match(await modern.ask('SUBSCRIBE', 'news'), /subscribe/)
  assert.match(await pattern.ask('PSUBSCRIBE', 'n*'), /psubscribe/)
  await first.kill()
  await goOver()
  await until('all are subscribed again', async () => {
    const reply = await second.command('PUBSUB', 'NUMSUB', 'news')
    return reply.includes(':2\r\n') && (await second.command('PUBSUB', 'NUMPAT')) === ':1\r\n'
  })
  await second.command('PUBLISH', 'news', 'now')
  assert.match(await old.reply(), /^\*3\r\n\$7\r\nmessage\r\n.*now/s)
  assert.match(await modern.reply(), /^>3\r\n\$7\r\nmessage\r\n.*now/s)
  assert.match(await pattern.reply(), /^\*4\r\n\$8\r\npmessage\r\n.*now/s)
  assert.match(await old.ask('UNSUBSCRIBE', 'news'), /:0\r\n$/)
  assert.equal(await old.ask('SET', 'a', '1'), '+OK\r\n')
})

test('who is blocked at a primary that dies is told so, and can block at the next', async (t) => {
  const { first, second, goOver, client } = await scene(t)
  const one = await client()
  one.send(encodeCommand(['BLPOP', 'list', '0']))
  await blockedAt(first, 1)
  await first.kill()
  assert.match(await one.reply(), lost)
  await goOver()
  one.send(encodeCommand(['BLPOP', 'list', '0']))
  await blockedAt(second, 1)
  await second.command('RPUSH', 'list', 'a')
  assert.match(await one.reply(), /\r\na\r\n$/)
})

test('a transaction without EXEC is aborted, and nothing of it is run', async (t) => {
  const { first, second, goOver, client } = await scene(t)
  const [one, watching] = [await client(), await client()]
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('INCR', 'a'), '+QUEUED\r\n')
  assert.equal(await watching.ask('WATCH', 'a'), '+OK\r\n')
  await first.kill()
  await goOver()
  assert.match(await one.ask('INCR', 'b'), lost)
  assert.match(await one.ask('EXEC'), /^-EXECABORT /)
  assert.equal(await watching.ask('MULTI'), '+OK\r\n')
  assert.equal(await watching.ask('INCR', 'a'), '+QUEUED\r\n')
  assert.equal(await watching.ask('EXEC'), '*-1\r\n')
  assert.equal(await second.command('EXISTS', 'a', 'b'), ':0\r\n')
  assert.equal(await one.ask('INCR', 'a'), ':1\r\n')
})

test('an EXEC that was sent and not answered gets one error', async (t) => {
  const { first, plane, goOver, client } = await scene(t)
  const one = await client()
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('INCR', 'a'), '+QUEUED\r\n')
  first.signal('SIGSTOP')
  one.send(encodeCommand(['EXEC']))
  await until('it is in flight', () => plane.view().inFlightCommands === 1)
  await goOver()
  assert.match(await one.reply(), lost)
  await until('it is told, or closed', () => one.isClosed || one.received.length === 0)
  assert.equal(one.text(), '')
})

test('without any server commands wait, and are told that they did in vain', async (t) => {
  const { first, second, plane, obey, client } = await scene(t, { timing: { holdTimeoutMs: 400 } })
  const [one, other] = [await client(), await client()]
  await Promise.all([first.kill(), second.kill()])
  await until('it is seen', () => plane.view().primary === 'failing')
  const start = performance.now()
  assert.match(await one.ask('SET', 'a', '1'), /^-PROXY RM_HOLD_TIMEOUT .*not run/)
  assert.ok(performance.now() - start > 300)
  obey(undefined)
  assert.match(await other.ask('SET', 'a', '1'), /^-PROXY RM_NO_PRIMARY /)
  other.send(encodeCommand(['SET', 'a', '2']))
  await until('it is held', () => plane.view().heldCommands === 1)
  await first.restart()
  obey(first)
  assert.equal(await other.reply(), '+OK\r\n')
  assert.equal(await first.command('GET', 'a'), '$1\r\n2\r\n')
})

/** Its connection ends before EXEC is sent, while it is on its way, or about when it is answered. */
async function tear(one: Client, admin: WireClient, round: number): Promise<string> {
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('INCR', '{t}a'), '+QUEUED\r\n')
  assert.equal(await one.ask('INCR', '{t}b'), '+QUEUED\r\n')
  const kill = () => admin.askAny('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  if (round % 3 === 0) await kill()
  one.send(encodeCommand(['EXEC']))
  for (let left = round % 8; left > 0; left -= 1) await admin.ask('PING')
  if (round % 3 !== 0) await kill()
  return one.reply()
}

test('a transaction is run as a whole or not at all, whenever its connection ends', async (t) => {
  const { first, client } = await scene(t)
  const admin = new WireClient(first.port, () => {})
  t.after(() => admin.close())
  let one = await client()
  let committed = 0
  const outcomes = { run: 0, aborted: 0, unknown: 0 }
  for (let round = 0; round < transactions; round += 1) {
    if (one.isClosed) one = await client()
    const reply = await tear(one, admin, round)
    const both = await admin.ask('MGET', '{t}a', '{t}b')
    assert.ok(both.kind === 'list')
    const [a, b] = both.items.map((item) => (item.kind === 'text' ? Number(item.text) : 0))
    assert.equal(a, b, `round ${round}: half of it was run`)
    if (reply.startsWith('*')) {
      assert.equal(a, committed + 1, `round ${round}: answered, and not there`)
      outcomes.run += 1
    } else if (reply.startsWith('-EXECABORT')) {
      assert.equal(a, committed, `round ${round}: aborted, and there`)
      outcomes.aborted += 1
    } else {
      assert.match(reply, lost, `round ${round}`)
      outcomes.unknown += 1
    }
    committed = a ?? 0
    if (!reply.startsWith('*')) await until('it is seen', () => one.isClosed || reply !== '')
  }
  t.diagnostic(`${transactions} transactions: ${JSON.stringify(outcomes)}`)
  assert.ok(outcomes.aborted > 0)
})

test('a primary that stops for a while: what waits is bounded, others go on, and what was acknowledged is there', async (t) => {
  const limits = { upstreamQueueCommandsMax: 64, clientsMax: 200 }
  const timing = { queueTimeoutMs: 500, holdTimeoutMs: 1000 }
  const { first, second, plane, client } = await scene(t, { limits, timing })
  const members = [first, second].map(({ host, port }, index) => {
    return { host, port, role: index === 0 ? ('primary' as const) : ('replica' as const) }
  })
  await first.command('SET', 'who', 'both')
  const reads = { policy: 'readsToReplicas' } as const
  const upstream = { mode: 'replication', discovery: 'operator', members, reads } as const
  void plane.apply({ ...configFor(first, { limits, timing, upstream }), epoch: 1 })
  await until('the replica is read from', () => {
    const [shard] = plane.topology()?.shards ?? []
    return shard?.members.some(({ role, isFit }) => role === 'replica' && isFit) === true
  })
  const writers = await Promise.all(Array.from({ length: 100 }, client))
  for (const one of writers) assert.equal(await one.ask('PING'), '+PONG\r\n')
  const isReading = new AbortController()
  const reading = readOn(await client(), isReading.signal)
  first.signal('SIGSTOP')
  t.after(() => first.signal('SIGCONT'))
  const started = performance.now()
  let slowest = 0
  const refused = writers.map(async (one, index) => {
    one.send(encodeCommand(['SET', `k${index}`, 'v']))
    const begun = performance.now()
    const reply = await one.reply()
    if (reply.startsWith('-')) slowest = Math.max(slowest, performance.now() - begun)
    return reply
  })
  await until('those who wait in vain are told', () => plane.view().counters.commandsShed > 0)
  assert.ok(plane.view().inFlightCommands <= 2 * limits.upstreamQueueCommandsMax)
  await until('it has been stopped for long enough', () => performance.now() - started > stoppedMs)
  first.signal('SIGCONT')
  isReading.abort()
  const { count, longestMs } = await reading
  const replies = await Promise.all(refused)
  const shed = replies.filter((reply) => reply.startsWith('-'))
  for (const reply of shed) assert.match(reply, /^-PROXY RM_OVERLOADED .*not run/)
  assert.ok(shed.length > 0 && shed.length < writers.length, `${shed.length} were refused`)
  for (const [index, reply] of replies.entries()) {
    const expected = reply === '+OK\r\n' ? ':1\r\n' : ':0\r\n'
    assert.equal(await first.command('EXISTS', `k${index}`), expected, `k${index}: ${reply}`)
  }
  const refusals = `${shed.length} of ${writers.length} refused, the last after ${slowest.toFixed(0)} ms`
  const meanwhile = `${count} reads of the replica, the longest ${longestMs.toFixed(0)} ms`
  t.diagnostic(`${refusals}; meanwhile ${meanwhile}`)
  assert.ok(slowest < stoppedMs)
  assert.ok(count > 10 && longestMs < 1000, meanwhile)
})

/** Reads what a replica has, one after the other. */
async function readOn(reader: Client, signal: AbortSignal) {
  let count = 0
  let longestMs = 0
  for (; !signal.aborted; count += 1) {
    const begun = performance.now()
    assert.equal(await reader.ask('GET', 'who'), '$4\r\nboth\r\n')
    longestMs = Math.max(longestMs, performance.now() - begun)
  }
  return { count, longestMs }
}
