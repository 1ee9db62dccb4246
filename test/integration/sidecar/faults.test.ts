/** Servers that are slow, stopped, out of reach or restarted all the time: bounded waits, and no command twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import { configFor, encodeCommand, startRig, until } from './harness.ts'

const refused = /^-PROXY RM_OVERLOADED .*the command was not run/

test('a server that is stopped refuses new commands fast, and serves at once when it goes on', async (t) => {
  const { client, server, plane } = await startRig(t, { timing: { queueTimeoutMs: 300 } })
  const [sent, late] = [await client(), await client()]
  for (const one of [sent, late]) assert.equal(await one.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  sent.send(encodeCommand(['INCR', 'n']))
  await until('the stall is noticed', () => plane.view().primary === 'failing')
  const start = performance.now()
  assert.match(await late.ask('INCR', 'n'), refused)
  assert.ok(performance.now() - start < 1500, 'it is refused soon')
  assert.equal(plane.view().counters.commandsShed, 1)
  const { clientBytesRead } = plane.view().counters
  late.send(encodeCommand(['PING']))
  await until('it waits', () => plane.view().counters.clientBytesRead > clientBytesRead)
  server.signal('SIGCONT')
  assert.equal(await sent.reply(), ':1\r\n')
  assert.match(await late.reply(), /^\+PONG|^-PROXY RM_OVERLOADED/)
  await until('the primary is seen again', () => plane.view().primary === 'ok')
  assert.equal(await late.ask('INCR', 'n'), ':2\r\n')
  assert.equal(plane.view().counters.commandsLost, 0)
})

test('a command that takes seconds cuts nobody, and who waits meanwhile is served', async (t) => {
  const { client, plane } = await startRig(t)
  const [slow, other] = [await client(), await client()]
  assert.equal(await other.ask('PING'), '+PONG\r\n')
  slow.send(
    encodeCommand([
      'EVAL',
      "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 2 do end return 1",
      '0',
    ]),
  )
  other.send(encodeCommand(['INCR', 'n']))
  assert.equal(await other.reply(), ':1\r\n')
  assert.equal(await slow.reply(), ':1\r\n')
  assert.equal(plane.view().counters.commandsShed, 0)
  assert.equal(plane.view().counters.commandsLost, 0)
})

test('what waits for a server is bounded; the rest is refused and was not run', async (t) => {
  const { client, server, plane } = await startRig(t, {
    limits: { upstreamQueueCommandsMax: 50 },
    timing: { queueTimeoutMs: 200 },
  })
  const clients = await Promise.all(Array.from({ length: 80 }, client))
  for (const one of clients) assert.equal(await one.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  for (const one of clients) one.send(encodeCommand(['INCR', 'n']))
  await until('30 are refused', () => plane.view().counters.commandsShed === 30)
  assert.equal(plane.view().inFlightCommands, 50)
  server.signal('SIGCONT')
  const replies = await Promise.all(clients.map((one) => one.reply()))
  assert.equal(replies.filter((reply) => refused.test(reply)).length, 30)
  assert.equal(replies.filter((reply) => reply.startsWith(':')).length, 50)
  assert.equal(await server.command('GET', 'n'), '$2\r\n50\r\n')
})

test('what a hung primary was not sent goes on at its successor, after seconds too', async (t) => {
  const { client, server, plane } = await startRig(t)
  const next = await startServer()
  t.after(() => next.stop())
  const [sent, late] = [await client(), await client()]
  for (const one of [sent, late]) assert.equal(await one.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  t.after(() => server.signal('SIGCONT'))
  sent.send(encodeCommand(['INCR', 'n']))
  await until('the stall is noticed', () => plane.view().primary === 'failing')
  late.send(encodeCommand(['INCR', 'n']))
  const start = performance.now()
  // As long as a controller may take to find it down.
  await until('it is replaced', () => performance.now() - start > 2000)
  assert.equal(late.text(), '', 'it waits')
  await plane.apply(configFor(next, { epoch: 1 }))
  assert.equal(await late.reply(), ':1\r\n')
  assert.match(await sent.reply(), /^-PROXY RM_UPSTREAM_LOST/)
  assert.equal(plane.view().counters.commandsShed, 0)
})
