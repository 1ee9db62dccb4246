/** Nobody can stop, fill or delay the sidecar for others, nor be left waiting for ever. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../../common/log.ts'
import { createDataPlane } from '../../../sidecar/pipeline.ts'
import { freePort, startServer } from '../../support/servers.ts'
import { configFor, connect, encodeCommand, startRig, until } from '../sidecar/harness.ts'

test('no spelling of XREAD BLOCK stops the connection of others', async (t) => {
  const { client, server } = await startRig(t)
  const bystander = await client()
  await server.command('XGROUP', 'CREATE', 's', 'STREAMS', '$', 'MKSTREAM')
  const options = Array.from({ length: 40 }, () => ['COUNT', '1']).flat()
  const spellings = [
    ['XREAD', 'block', '0', 'STREAMS', 's', '$'],
    ['XREADGROUP', 'GROUP', 'STREAMS', 'c', 'BLOCK', '0', 'STREAMS', 's', '>'],
    ['XREADGROUP', 'GROUP', 'STREAMS', 'STREAMS', 'BLOCK', '0', 'STREAMS', 's', '>'],
    ['XREAD', 'BLOCK\0', '0', 'STREAMS', 's', '$'],
    ['XREAD', 'Block\0withmorebehind', '0', 'STREAMS', 's', '$'],
    ['XREAD', ...options, 'BLOCK', '0', 'STREAMS', 's', '$'],
  ]
  for (const words of spellings) {
    const one = await client()
    one.send(encodeCommand(words))
    await until(
      `it blocks: ${words.join(' ')}`,
      async () => (await server.info('blocked_clients')) === '1' || one.received.length > 0,
    )
    let pong: string | undefined
    void bystander.ask('PING').then((reply) => {
      pong = reply
    })
    await until(`others are served: ${words.slice(-6).join(' ')}`, () => pong !== undefined, 2000)
    one.socket.resetAndDestroy()
    await until('it is gone', async () => (await server.info('blocked_clients')) === '0')
  }
})

test('a hold of no time at all ends at once, with commands in flight too', async (t) => {
  const { client, plane, server } = await startRig(t, {
    timing: { holdTimeoutMs: 0, drainTimeoutMs: 100 },
  })
  await until('the primary is connected', () => plane.view().primary === 'ok')
  const one = await client()
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  one.send(encodeCommand(['PING']).repeat(4))
  await one.replies(4)
  server.signal('SIGSTOP')
  one.send(encodeCommand(['ECHO', 'first']))
  await until('it is in flight', () => plane.view().inFlightCommands === 1)
  const paused = plane.pause()
  one.send(encodeCommand(['ECHO', 'second']))
  await assert.rejects(paused)
  server.signal('SIGCONT')
  assert.equal(await one.reply(), '$5\r\nfirst\r\n')
  assert.match(await one.reply(), /^-PROXY RM_PAUSED/)
  plane.resume()
  assert.equal(await one.ask('ECHO', 'third'), '$5\r\nthird\r\n')
})

test('a client whose own connection cannot be had is told so in time', async (t) => {
  const { client, server } = await startRig(t, { timing: { holdTimeoutMs: 300 } })
  const [one, other] = [await client(), await client()]
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  await server.command('CONFIG', 'SET', 'maxclients', '1')
  assert.match(await one.ask('BLPOP', 'q', '1'), /^-PROXY RM_HOLD_TIMEOUT/)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  assert.equal(await other.ask('PING'), '+PONG\r\n')
})

test('a sidecar that cannot have all its listeners keeps none', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const [first, second] = [await freePort(), server.port]
  const plane = createDataPlane({ log: silentLog, env: {} })
  t.after(() => plane.stop())
  const listeners = [first, second].map((port) => ({ host: '127.0.0.1', port }))
  const config = configFor(server, { listeners })
  await assert.rejects(plane.start(config), { code: 'RM_LISTEN_FAILED' })
  await assert.rejects(connect(t, first), { code: 'ECONNREFUSED' })
  const [firstListener] = listeners
  assert.ok(firstListener)
  await plane.start({ ...config, listeners: [firstListener] })
  assert.equal(await (await connect(t, first)).ask('PING'), '+PONG\r\n')
})

test('a listener that was added and removed at once is not there', async (t) => {
  const { plane, server, port } = await startRig(t)
  const path = join(server.directory, 'gone.sock')
  const own = { host: '127.0.0.1', port: 0 }
  const extra = await freePort()
  const listeners = [own, { host: '127.0.0.1', port: extra }, { unixPath: path }]
  await plane.apply(configFor(server, { listeners, version: 2 }))
  await plane.apply(configFor(server, { listeners: [own], version: 3 }))
  await until('only one is left', () => plane.addresses().length === 1)
  const one = await connect(t, port)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  await assert.rejects(connect(t, extra), { code: 'ECONNREFUSED' })
  assert.ok(!existsSync(path))
})

test('a primary is obeyed even if a password cannot be read, and logins stay as they were', async (t) => {
  const env = { PASSWORD: 'first' }
  const [old, next] = await Promise.all([startServer(), startServer()])
  t.after(() => Promise.all([old.stop(), next.stop()]))
  const plane = createDataPlane({ log: silentLog, env })
  t.after(() => plane.stop())
  await plane.start(configFor(old, { clientAuth: { users: [{ password: { env: 'PASSWORD' } }] } }))
  const port = Number(plane.addresses()[0]?.split(':').at(-1))
  const one = await connect(t, port)
  assert.equal(await one.ask('AUTH', 'first'), '+OK\r\n')
  const clientAuth = { users: [{ password: { file: '/nowhere/password' } }] }
  assert.throws(() => plane.apply(configFor(next, { clientAuth, epoch: 2 })), {
    code: 'RM_SECRET_UNREADABLE',
  })
  assert.equal(plane.view().primaryAddress, `127.0.0.1:${next.port}`)
  assert.equal(await one.ask('SET', 'k', 'v'), '+OK\r\n')
  assert.equal(await old.command('EXISTS', 'k'), ':0\r\n')
  const other = await connect(t, port)
  assert.match(await other.ask('GET', 'k'), /^-NOAUTH/)
  assert.equal(await other.ask('AUTH', 'first'), '+OK\r\n')
})

test('commands that were not sent to a stuck server are sent to the next, all of them', async (t) => {
  const [stuck, next] = await Promise.all([startServer(), startServer()])
  t.after(() => Promise.all([stuck.stop(), next.stop()]))
  const { client, plane } = await (async () => {
    const plane = createDataPlane({ log: silentLog, env: {} })
    await plane.start(configFor(stuck))
    t.after(() => plane.stop())
    const port = Number(plane.addresses()[0]?.split(':').at(-1))
    return { plane, client: () => connect(t, port) }
  })()
  const clients = await Promise.all(Array.from({ length: 6 }, client))
  for (const one of clients) {
    one.send(encodeCommand(['PING']).repeat(2000))
    await until('it is answered', () => one.received.length === 2000 * 7)
    one.received = Buffer.alloc(0)
  }
  stuck.signal('SIGSTOP')
  const value = 'x'.repeat(200_000)
  for (const one of clients) one.send(encodeCommand(['SET', 'k', value]).repeat(12))
  await until('the server is full', () => plane.view().inFlightCommands >= 30)
  await plane.apply(configFor(next, { epoch: 2 }))
  for (const one of clients) {
    const replies = await one.replies(12)
    assert.ok(replies.every((reply) => /^(\+OK|-PROXY RM_UPSTREAM_LOST)/.test(reply)))
    assert.ok(replies.includes('+OK\r\n'))
    assert.equal(await one.ask('PING'), '+PONG\r\n')
  }
})
