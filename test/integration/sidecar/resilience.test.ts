/** Servers that die, change, hang or are somebody else; clients that do not read; pauses. */
import assert from 'node:assert/strict'
import { type Server, type Socket, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { freePort, startServer } from '../../support/servers.ts'
import {
  type Client,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  startRig,
  until,
} from './harness.ts'

const lost = /^-PROXY RM_UPSTREAM_LOST /
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const rssMb = () => process.memoryUsage.rss() / 2 ** 20

test('commands in flight get one error each when the server dies, later ones are held', async (t) => {
  const { client, server, plane } = await startRig(t)
  const clients = await Promise.all(Array.from({ length: 10 }, client))
  for (const one of clients) assert.equal(await one.ask('PING'), '+PONG\r\n')
  server.signal('SIGSTOP')
  for (const one of clients) one.send(encodeCommand(['INCR', 'n']))
  await until('they are in flight', () => plane.view().inFlightCommands === 10)
  await server.kill()
  for (const one of clients) assert.match(await one.reply(), lost)
  for (const one of clients) one.send(encodeCommand(['INCR', 'n']) + encodeCommand(['PING']))
  await until('they are held', () => plane.view().heldCommands === 20)
  assert.equal(plane.view().primary, 'failing')
  await server.restart()
  const counts = new Set<string>()
  for (const one of clients) {
    counts.add(await one.reply())
    assert.equal(await one.reply(), '+PONG\r\n')
  }
  assert.equal(counts.size, 10)
  assert.equal(plane.view().counters.commandsLost, 10)
  assert.equal(plane.view().primary, 'ok')
})

test('held commands are answered in order when time is up, and service resumes by itself', async (t) => {
  const port = await freePort()
  const plane = await startPlane(
    t,
    configFor({ host: '127.0.0.1', port }, { timing: { holdTimeoutMs: 300 } }),
  )
  const one = await connect(t, portOf(plane))
  const start = performance.now()
  one.send(encodeCommand(['GET', 'a']) + encodeCommand(['MULTI']) + encodeCommand(['GET', 'b']))
  for (const reply of await one.replies(3)) assert.match(reply, /^-PROXY RM_HOLD_TIMEOUT .*\r\n$/)
  assert.ok(performance.now() - start > 250)
  assert.equal(plane.view().counters.commandsHeldTooLong, 3)
  one.send(encodeCommand(['GET', 'a']) + encodeCommand(['QUIT']))
  const server = await startServer({ port })
  t.after(() => server.stop())
  await until('the primary is found', () => plane.view().primary === 'ok')
  assert.match(await one.rest(), /^(\$-1|-PROXY RM_HOLD_TIMEOUT .*)\r\n\+OK\r\n$/)
  assert.equal(await (await connect(t, portOf(plane))).ask('PING'), '+PONG\r\n')
})

test('without a primary clients are told so after the hold, and get through when there is one', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const config = configFor(server, { timing: { holdTimeoutMs: 200 } })
  const { primary: _none, ...upstream } = config.upstream
  const plane = await startPlane(t, { ...config, upstream })
  assert.equal(plane.view().primary, 'none')
  const one = await connect(t, portOf(plane))
  assert.match(await one.ask('GET', 'a'), /^-PROXY RM_NO_PRIMARY /)
  one.send(encodeCommand(['SET', 'a', 'b']))
  await until('it is held', () => plane.view().heldCommands === 1)
  await plane.apply({ ...config, epoch: 1 })
  assert.equal(await one.reply(), '+OK\r\n')
})

test('nothing of a client is sent to a process that is not the recorded one', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const { host, port } = server
  const wrong = { host, port, runId: '0'.repeat(40) }
  const config = configFor(server, {
    timing: { holdTimeoutMs: 300 },
    upstream: { primary: wrong },
  })
  const plane = await startPlane(t, config)
  const one = await connect(t, portOf(plane))
  assert.match(await one.ask('SET', 'a', 'b'), /^-PROXY RM_HOLD_TIMEOUT/)
  assert.ok(plane.view().counters.upstreamIdentityErrors > 0)
  assert.match(await server.command('EXISTS', 'a'), /^:0/)
  const primary = { host, port, runId: await server.info('run_id') }
  await plane.apply({ ...config, epoch: 1, upstream: { ...config.upstream, primary } })
  assert.equal(await one.ask('SET', 'a', 'b'), '+OK\r\n')
})

test('a client that cannot know whether it is in a transaction gets errors and is closed', async (t) => {
  const { client, server, plane } = await startRig(t)
  const torn = await client()
  await torn.ask('PING')
  await torn.ask('SELECT', '1')
  server.signal('SIGSTOP')
  torn.send(encodeCommand(['MULTI']) + encodeCommand(['INCR', 'n']) + encodeCommand(['EXEC']))
  await until('it is in flight', () => plane.view().inFlightCommands > 0)
  await server.kill()
  await server.restart()
  assert.match(await torn.rest(), /^(-PROXY RM_UPSTREAM_LOST [^\r]*\r\n)+$/)
  assert.match(await server.command('EXISTS', 'n'), /^:0/)
})

test('a new primary takes over at once and the old one gets nothing more', async (t) => {
  const { client, server, plane } = await startRig(t)
  const next = await startServer()
  t.after(() => next.stop())
  const steady = await client()
  const inTransaction = await client()
  const watching = await client()
  const blocked = await client()
  const subscriber = await client()
  await steady.ask('SET', 'where', 'old')
  await inTransaction.ask('MULTI')
  await inTransaction.ask('SET', 'half', '1')
  await watching.ask('WATCH', 'k')
  await subscriber.ask('SUBSCRIBE', 'c')
  blocked.send(encodeCommand(['BLPOP', 'l', '0']))
  await until('it blocks', () => plane.view().inFlightCommands === 1)
  await plane.apply({ ...configFor(next), listeners: [{ host: '127.0.0.1', port: 0 }], epoch: 1 })
  assert.match(await blocked.reply(), lost)
  assert.equal(await steady.ask('SET', 'where', 'new'), '+OK\r\n')
  assert.match(await inTransaction.ask('SET', 'half', '2'), lost)
  assert.match(await inTransaction.ask('EXEC'), /^-EXECABORT /)
  assert.equal(await inTransaction.ask('GET', 'half'), '$-1\r\n')
  assert.equal(await watching.ask('MULTI'), '+OK\r\n')
  assert.equal(await watching.ask('SET', 'k', '1'), '+QUEUED\r\n')
  assert.equal(await watching.ask('EXEC'), '*-1\r\n')
  assert.equal(await watching.ask('EXISTS', 'k'), ':0\r\n')
  await until(
    'it is subscribed',
    async () => (await next.command('PUBLISH', 'c', 'x')) === ':1\r\n',
  )
  assert.match(await subscriber.reply(), /message/)
  assert.equal(await server.command('GET', 'where'), bulk('old'))
  assert.equal(await next.command('GET', 'where'), bulk('new'))
})

test('a primary that was demoted is found out by its READONLY', async (t) => {
  const { client, server, plane } = await startRig(t, { timing: { holdTimeoutMs: 300 } })
  const other = await startServer()
  t.after(() => other.stop())
  const one = await client()
  assert.equal(await one.ask('SET', 'a', 'b'), '+OK\r\n')
  await server.command('REPLICAOF', '127.0.0.1', String(other.port))
  one.send(encodeCommand(['SET', 'a', 'b']))
  await until('it is found out', () => plane.view().primary === 'failing')
  assert.match(await one.reply(), /^-READONLY .*RM_HOLD_TIMEOUT/)
  assert.match(await one.ask('GET', 'a'), /^-READONLY .*RM_HOLD_TIMEOUT/)
  await server.command('REPLICAOF', 'NO', 'ONE')
  await until('it is taken back', () => plane.view().primary === 'ok')
  assert.equal(await one.ask('SET', 'a', 'b'), '+OK\r\n')
})

test('a pause holds commands, waits for those in flight, and ends with all of them run', async (t) => {
  const { client, plane } = await startRig(t, { timing: { drainTimeoutMs: 300 } })
  const one = await client()
  const other = await client()
  await one.ask('PING')
  await plane.pause()
  assert.equal(plane.view().isPaused, true)
  one.send(
    encodeCommand(['SET', 'a', 'b']) + encodeCommand(['XREAD', 'BLOCK', '0', 'STREAMS', 'l', '$']),
  )
  await until('they are held', () => plane.view().heldCommands === 2)
  plane.resume()
  assert.equal(await one.reply(), '+OK\r\n')
  await until('it blocks', () => plane.view().inFlightCommands === 1)
  // It is asked back, and waits here with the other.
  await plane.pause()
  other.send(encodeCommand(['XADD', 'l', '1-1', 'f', 'x']))
  await until('both are held', () => plane.view().heldCommands === 2)
  plane.resume()
  assert.equal(await other.reply(), bulk('1-1'))
  assert.match(await one.reply(), /^\*1/)
})

test('listeners come and go with the configuration', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const [first, second] = [await freePort(), await freePort()]
  const listen = (port: number) => [{ host: '127.0.0.1', port }]
  const plane = await startPlane(t, configFor(server, { listeners: listen(first) }))
  const early = await connect(t, first)
  assert.equal(await early.ask('PING'), '+PONG\r\n')
  await plane.apply(configFor(server, { listeners: listen(second), version: 1 }))
  await until('the new one is open', async () => {
    const one = await connect(t, second).catch(() => undefined)
    return (await one?.ask('PING')) === '+PONG\r\n'
  })
  await assert.rejects(connect(t, first))
  assert.equal(await early.ask('PING'), '+PONG\r\n')
})

test('a value of 256 MB goes through and back without being gathered', async (t) => {
  const { client, plane } = await startRig(t)
  const one = await client()
  const bystander = await client()
  await bystander.ask('PING')
  const size = 256 * 2 ** 20
  const chunk = Buffer.alloc(2 ** 16, 'abcdefgh')
  const before = rssMb()
  let peak = before
  const sample = setInterval(() => {
    peak = Math.max(peak, rssMb())
  }, 5)
  t.after(() => clearInterval(sample))
  one.send(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${size}\r\n`)
  for (let sent = 0; sent < size; sent += chunk.length) {
    if (!one.socket.write(chunk)) await new Promise((resolve) => one.socket.once('drain', resolve))
    if (sent === size / 2) assert.equal(await bystander.ask('PING'), '+PONG\r\n')
  }
  one.send(`\r\n${encodeCommand(['STRLEN', 'big'])}`)
  assert.deepEqual(await one.replies(2), ['+OK\r\n', `:${size}\r\n`])
  one.socket.removeAllListeners('data')
  let byteCount = 0
  let isSame = true
  const head = Buffer.byteLength(`$${size}\r\n`)
  one.socket.on('data', (piece: Buffer) => {
    const at = byteCount - head
    if (at >= 0 && at < size) isSame &&= piece[0] === chunk[at % 8]
    byteCount += piece.length
  })
  one.send(encodeCommand(['GET', 'big']))
  await until('the value comes back', () => byteCount === head + size + 2, 30_000)
  assert.ok(isSame)
  // Read buffers that are garbage already count too, those of the client in this process included.
  assert.ok(peak - before < 128, `grew by ${(peak - before).toFixed()} MB`)
  assert.equal(plane.view().counters.commands, 5)
})

test('a client that reads nothing of 1,000 x 1 MB costs little and delays nobody', async (t) => {
  const { client, server } = await startRig(t)
  await server.command('SET', 'mb', 'x'.repeat(2 ** 20))
  const bystander = await client()
  await bystander.ask('PING')
  const before = rssMb()
  const greedy = await client()
  greedy.socket.pause()
  greedy.send(encodeCommand(['GET', 'mb']).repeat(1000))
  let slowestMs = 0
  for (let round = 0; round < 200; round += 1) {
    const start = performance.now()
    assert.equal(await bystander.ask('PING'), '+PONG\r\n')
    slowestMs = Math.max(slowestMs, performance.now() - start)
  }
  assert.ok(rssMb() - before < 24, `grew by ${(rssMb() - before).toFixed()} MB`)
  assert.ok(slowestMs < 500, `the bystander waited ${slowestMs.toFixed()} ms`)
  assert.ok(Number(await server.info('used_memory')) < 64 * 2 ** 20, 'the server does not pay')
  let byteCount = 0
  greedy.socket.removeAllListeners('data')
  greedy.socket.on('data', (piece: Buffer) => {
    byteCount += piece.length
  })
  greedy.socket.resume()
  await until('replies come once it reads', () => byteCount > 100 * 2 ** 20, 30_000)
})

/** A server that says what a script makes it say, after a proper handshake. */
async function startLiar(t: TestContext, answer: (socket: Socket) => void): Promise<number> {
  const info = (text: string) => `$${text.length}\r\n${text}\r\n`
  const hello = '*0\r\n'
  const handshake = `${hello}${info('run_id:x')}${info('role:master')}+PONG\r\n`
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(handshake)
      socket.on('data', () => answer(socket))
    })
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return port
}

for (const [name, reply] of [
  ['more replies than commands', '+OK\r\n+OK\r\n+OK\r\n'],
  ['a malformed reply', '?what\r\n'],
  ['a push in RESP2', '>1\r\n+x\r\n'],
  ['an absurd length', '$99999999999999999999\r\n'],
  ['an end without a reply', ''],
] as const) {
  test(`a server that sends ${name} is dropped and nobody gets a foreign reply`, async (t) => {
    const port = await startLiar(t, (socket) =>
      reply === '' ? socket.destroy() : socket.write(reply),
    )
    const plane = await startPlane(t, configFor({ host: '127.0.0.1', port }))
    const one: Client = await connect(t, portOf(plane))
    const first = await one.ask('PING')
    assert.match(first, /^(\+OK|-PROXY RM_UPSTREAM_LOST .*)\r\n$/)
    await until('it is connected anew', () => plane.view().counters.upstreamConnects >= 2)
    assert.equal(one.text(), '')
  })
}
