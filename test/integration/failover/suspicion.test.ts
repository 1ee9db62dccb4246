/** A primary that says nothing: what has not been sent yet is kept back, and can go to its successor. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { silentHoldMs } from '../../../common/limits.ts'
import { startServer, until } from '../../support/servers.ts'
import { type Client, configFor, encodeCommand, startRig } from '../sidecar/harness.ts'

type Rig = Awaited<ReturnType<typeof startRig>>

const epoch = 0
/** Longer than any test lasts. */
const longMs = 60_000

async function clients(rig: Rig, count: number): Promise<Client[]> {
  const all = await Promise.all(Array.from({ length: count }, rig.client))
  for (const one of all) assert.equal(await one.ask('PING'), '+PONG\r\n')
  return all
}

async function successor(t: TestContext) {
  const next = await startServer()
  t.after(() => next.stop())
  return next
}

const passed = (ms: number, since = performance.now()) =>
  until(`${ms} ms pass`, () => performance.now() - since >= ms)

test('a hung primary is sent nothing new after a moment, and its successor gets that', async (t) => {
  const rig = await startRig(t)
  const [sent, late, own] = (await clients(rig, 3)) as [Client, Client, Client]
  const next = await successor(t)
  rig.server.signal('SIGSTOP')
  t.after(() => rig.server.signal('SIGCONT'))
  sent.send(encodeCommand(['INCR', 'n']))
  const since = performance.now()
  await until('it is doubted', () => rig.plane.view().isDoubted === true)
  assert.ok(performance.now() - since >= silentHoldMs)
  assert.equal(rig.plane.view().primary, 'ok', 'for anything else it is too soon')
  for (const one of [late, own]) one.send(encodeCommand(['INCR', 'n']))
  await until('they are here', () => rig.plane.view().counters.clientBytesRead > 100)
  assert.equal(rig.plane.view().inFlightCommands, 1)
  void rig.plane.apply(configFor(next, { epoch: 1 }))
  const replies = await Promise.all([late.reply(), own.reply()])
  assert.deepEqual(replies.toSorted(), [':1\r\n', ':2\r\n'])
  assert.match(await sent.reply(), /^-PROXY RM_UPSTREAM_LOST/)
  const { counters } = rig.plane.view()
  assert.deepEqual([counters.commandsLost, counters.upstreamSilences], [1, 1])
})

test('who waits while a slow command runs is served after it, however short a wait is allowed', async (t) => {
  const rig = await startRig(t, { timing: { queueTimeoutMs: 200, holdTimeoutMs: 200 } })
  const [slow, ...others] = (await clients(rig, 5)) as [Client, ...Client[]]
  const script =
    "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1] - t[1]) * 1000 + (n[2] - t[2]) / 1000 > 1300 return 1"
  slow.send(encodeCommand(['EVAL', script, '0']))
  await until('it is held back', () => rig.plane.view().counters.upstreamSilences === 1)
  for (const one of others) one.send(encodeCommand(['INCR', 'n']))
  await passed(400)
  const replies = await Promise.all(others.map((one) => one.reply()))
  assert.deepEqual(replies.toSorted(), [':1\r\n', ':2\r\n', ':3\r\n', ':4\r\n'])
  assert.equal(await slow.reply(), ':1\r\n')
  await until('it is trusted again', () => rig.plane.view().isDoubted === false)
  const { commandsShed, commandsHeldTooLong, commandsLost } = rig.plane.view().counters
  assert.deepEqual([commandsShed, commandsHeldTooLong, commandsLost], [0, 0, 0])
})

test('a client that waits at the server is no silence', async (t) => {
  const rig = await startRig(t)
  const [blocked] = (await clients(rig, 1)) as [Client]
  blocked.send(encodeCommand(['BLPOP', 'list', '0']))
  await until('it is blocked', async () => (await rig.server.info('blocked_clients')) === '1')
  await passed(3 * silentHoldMs)
  assert.equal(rig.plane.view().counters.upstreamSilences, 0)
  await rig.server.command('RPUSH', 'list', 'x')
  assert.match(await blocked.reply(), /x\r\n$/)
})

test('a write that the server holds delays others by no more than a question', async (t) => {
  const rig = await startRig(t)
  const [writer, reader] = (await clients(rig, 2)) as [Client, Client]
  await rig.server.command('CLIENT', 'PAUSE', '1500', 'WRITE')
  writer.send(encodeCommand(['SET', 'k', 'v']))
  await until('it is asked', () => rig.plane.view().counters.upstreamSilences > 0)
  await until('it answered', () => rig.plane.view().isDoubted === false)
  assert.equal(await writer.reply(), '+OK\r\n')
  assert.equal(await reader.ask('GET', 'k'), '$1\r\nv\r\n')
  assert.equal(rig.plane.view().counters.upstreamStalls, 0)
})

test('a suspected primary is sent nothing new, whoever’s connection it would go over', async (t) => {
  const rig = await startRig(t)
  const [shared, named] = (await clients(rig, 2)) as [Client, Client]
  assert.equal(await named.ask('SELECT', '1'), '+OK\r\n')
  const next = await successor(t)
  rig.server.signal('SIGSTOP')
  t.after(() => rig.server.signal('SIGCONT'))
  rig.plane.authority.suspect(epoch, longMs)
  shared.send(encodeCommand(['INCR', 'n']))
  named.send(encodeCommand(['INCR', 'n']))
  const before = rig.plane.view().counters.commands
  await until('nobody heard anything', () => rig.plane.view().isDoubted === true)
  assert.equal(rig.plane.view().inFlightCommands, 0)
  assert.equal(rig.plane.view().counters.commands, before)
  void rig.plane.apply(configFor(next, { epoch: 1 }))
  assert.equal(await shared.reply(), ':1\r\n')
  assert.equal(await named.reply(), ':1\r\n')
  assert.equal(rig.plane.view().counters.commandsLost, 0)
})

test('a suspicion ends with the first word of the primary, which is asked for one', async (t) => {
  const rig = await startRig(t)
  const [one] = (await clients(rig, 1)) as [Client]
  let told = 0
  rig.plane.authority.onEvidence(() => {
    told += 1
  })
  rig.plane.authority.suspect(epoch, longMs)
  assert.equal(await one.ask('INCR', 'n'), ':1\r\n')
  assert.equal(told, 1, 'whoever suspected it is told that it lives')
  assert.equal(rig.plane.view().counters.upstreamSuspicions, 1)
})

test('a suspicion ends when it is taken back, or when its time is over', async (t) => {
  const rig = await startRig(t)
  const [one, other] = (await clients(rig, 2)) as [Client, Client]
  for (const end of [() => rig.plane.authority.suspect(epoch, 0), () => {}]) {
    rig.server.signal('SIGSTOP')
    rig.plane.authority.suspect(epoch, 100)
    one.send(encodeCommand(['INCR', 'n']))
    end()
    await until('it is sent', () => rig.plane.view().inFlightCommands === 1)
    rig.server.signal('SIGCONT')
    assert.match(await one.reply(), /^:/)
  }
  rig.plane.authority.suspect(epoch + 1, longMs)
  assert.match(await other.ask('INCR', 'n'), /^:/, 'another epoch is not meant')
  assert.equal(rig.plane.view().counters.upstreamSuspicions, 2)
})

test('a suspicion holds no longer than commands are held', async (t) => {
  const rig = await startRig(t, { timing: { holdTimeoutMs: 100 } })
  const [one] = (await clients(rig, 1)) as [Client]
  rig.server.signal('SIGSTOP')
  t.after(() => rig.server.signal('SIGCONT'))
  rig.plane.authority.suspect(epoch, longMs)
  one.send(encodeCommand(['INCR', 'n']))
  await until('it is sent all the same', () => rig.plane.view().inFlightCommands === 1)
})

test('a transaction that was begun is ended where it was begun', async (t) => {
  const rig = await startRig(t)
  const [one] = (await clients(rig, 1)) as [Client]
  assert.equal(await one.ask('MULTI'), '+OK\r\n')
  assert.equal(await one.ask('INCR', 'n'), '+QUEUED\r\n')
  rig.server.signal('SIGSTOP')
  rig.plane.authority.suspect(epoch, longMs)
  one.send(encodeCommand(['EXEC']))
  await until('it is sent', () => rig.plane.view().inFlightCommands === 1)
  rig.server.signal('SIGCONT')
  assert.match(await one.reply(), /^\*1\r\n:1\r\n/)
})
