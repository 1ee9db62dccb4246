/** Many clients and heavy loads, at a size that a busy machine bears; `test/load/main.ts` runs the full ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionStorm, fileExhaustion, idleClients } from '../../load/clients.ts'
import { memoryCeiling, stalledServer } from '../../load/hoarders.ts'
import { overload } from '../../load/overload.ts'
import { isFullSize } from '../../load/rig.ts'
import { configFor, connect, portOf, startPlane, startRig, until } from './harness.ts'

const megabyte = 1 << 20

test('idle clients cost kilobytes and share few connections', async () => {
  const figures = await idleClients(isFullSize ? 10_000 : 800)
  assert.ok(figures.kilobytesPerClient <= 12, JSON.stringify(figures))
  assert.ok(figures.upstreamConnections <= 64)
})

test('clients that all connect at once are all served', async () => {
  const { count, servedCount } = await connectionStorm(1000)
  assert.equal(servedCount, count)
})

test('clients beyond the files of the process are told so, and the first are served on', async () => {
  const figures = await fileExhaustion(200, 260)
  assert.equal(figures.first, '+OK\r\n')
  assert.ok(figures.served >= 150, JSON.stringify(figures))
  assert.equal(figures.served + figures.refused, 260)
  assert.ok(figures.idleCpuShare < 0.5, 'it does not spin')
  assert.equal(figures.afterwards, '+OK\r\n')
})

test('near its memory the process closes who holds most, and takes clients again afterwards', async () => {
  const figures = await memoryCeiling(24, 200 * megabyte)
  assert.ok(figures.cutForMemory > 0, JSON.stringify(figures))
  assert.ok(figures.peakMegabytes < 300, JSON.stringify(figures))
})

test('of writes sent before a stall none is lost and none is run twice', async () => {
  const figures = await stalledServer(50, 1500)
  assert.equal(figures.stored, figures.ok)
  assert.equal(figures.refused, 0)
})

test('more than the server can do is refused in bounded time, and then served again', async () => {
  const figures = await overload({
    connections: 200,
    seconds: 1,
    factors: [4],
    isSlowServer: true,
    rig: { limits: { upstreamQueueCommandsMax: 100 }, timing: { queueTimeoutMs: 50 } },
  })
  assert.ok((figures.loads['x4']?.refusedPerSecond ?? 0) > 0, JSON.stringify(figures))
  assert.ok((figures.loads['x4']?.goodPerSecond ?? 0) > 0, JSON.stringify(figures))
  assert.ok(figures.afterwards.goodPerSecond > figures.afterwards.offeredPerSecond / 2)
})

test('an idle client is closed in time, one that waits or listens is not', async (t) => {
  const { client, plane, server } = await startRig(t, { timing: { clientIdleTimeoutMs: 300 } })
  const [idle, blocked, subscriber] = [await client(), await client(), await client()]
  assert.equal(await idle.ask('PING'), '+PONG\r\n')
  blocked.send('BLPOP list 0\r\n')
  assert.match(await subscriber.ask('SUBSCRIBE', 'c'), /^\*3/)
  await until('the idle one is closed', () => idle.isClosed)
  assert.equal(plane.view().counters.clientsCutIdle, 1)
  await server.command('RPUSH', 'list', 'x')
  assert.match(await blocked.reply(), /^\*2/)
  await server.command('PUBLISH', 'c', 'hello')
  assert.match(await subscriber.reply(), /hello/)
})

test('a server that is started again every moment serves whenever it is there', async (t) => {
  const { client, server, plane } = await startRig(t)
  const one = await client()
  for (let round = 0; round < 5; round += 1) {
    assert.match(await one.ask('INCR', 'n'), /^:\d|^-PROXY RM_/)
    await server.kill()
    await server.restart()
  }
  await until('it serves again', async () => (await one.ask('PING')) === '+PONG\r\n')
  assert.equal(plane.view().primary, 'ok')
})

test('a server that accepts and says nothing is not used, and commands are answered in time', async (t) => {
  const { createServer } = await import('node:net')
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await until('it listens', () => silent.listening)
  const { port } = silent.address() as { port: number }
  const timing = { connectTimeoutMs: 100, holdTimeoutMs: 300 }
  const plane = await startPlane(t, configFor({ host: '127.0.0.1', port }, { timing }))
  const one = await connect(t, portOf(plane))
  assert.match(await one.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
})
