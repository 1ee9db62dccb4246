/** Several worker processes behind one listener. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import type { DataPlane } from '../../../sidecar/data-plane.ts'
import { createWorkers } from '../../../sidecar/workers/index.ts'
import { startServer } from '../../support/servers.ts'
import { startLoadRig } from '../../load/rig.ts'
import { type Client, configFor, connect, encodeCommand, portOf, until } from './harness.ts'

interface Workers {
  readonly plane: DataPlane
  readonly port: number
  readonly pids: () => Promise<readonly number[]>
}

async function startWorkers(t: TestContext, config: ProxyConfig): Promise<Workers> {
  const plane = createWorkers({ log: silentLog, env: process.env })
  await plane.start({ ...config, workers: 2 })
  t.after(() => plane.stop())
  return {
    plane,
    port: portOf(plane),
    pids: async () => plane.view().workers?.map(({ pid }) => pid) ?? [],
  }
}

const clientCount = 8

async function connectMany(t: TestContext, target: number | string): Promise<readonly Client[]> {
  const clients: Client[] = []
  for (let index = 0; index < clientCount; index += 1) clients.push(await connect(t, target))
  return clients
}

async function serveAll(clients: readonly Client[]): Promise<void> {
  for (const one of clients) assert.equal(await one.ask('PING'), '+PONG\r\n')
}

test('both workers serve, by TCP and by unix socket, and are counted as one', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const unixPath = join(server.directory, 'workers.sock')
  const listeners = [{ host: '127.0.0.1', port: 0 }, { unixPath }]
  const { plane, port, pids } = await startWorkers(t, configFor(server, { listeners }))
  const clients = [...(await connectMany(t, port)), ...(await connectMany(t, unixPath))]
  await serveAll(clients)
  await until('all are counted', () => plane.view().clients === 2 * clientCount)
  await until('commands are counted', () => plane.view().counters.commands >= 2 * clientCount)
  assert.equal(new Set(await pids()).size, 2)
  for (const { clients: count } of plane.view().workers ?? []) {
    assert.ok(Math.abs(count - clientCount) <= 2, `a worker has ${count} of ${2 * clientCount}`)
  }
  clients[0]?.socket.destroy()
  await until('one is gone', () => plane.view().clients === 2 * clientCount - 1)
})

test('a configuration is obeyed by all when apply returns, under load', async (t) => {
  const [old, next] = await Promise.all([startServer(), startServer()])
  t.after(() => Promise.all([old.stop(), next.stop()]))
  const { plane, port } = await startWorkers(t, configFor(old))
  const clients = await connectMany(t, port)
  await serveAll(clients)
  const load = { isOn: true }
  const writers = clients.map(async (one) => {
    while (load.isOn) await one.ask('INCR', 'n')
  })
  await until('they write', async () => (await old.command('GET', 'n')) > '$3')
  const withdrawn = configFor(old, { epoch: 1, timing: { holdTimeoutMs: 10_000 } })
  const { primary: _, ...upstream } = withdrawn.upstream
  await plane.apply({ ...withdrawn, upstream, workers: 2 })
  const fenced = await old.command('GET', 'n')
  await until('they are held', () => plane.view().heldCommands > 0)
  assert.equal(await old.command('GET', 'n'), fenced)
  await plane.apply({ ...configFor(next, { epoch: 2 }), workers: 2 })
  await until('they write again', async () => (await next.command('GET', 'n')) > '$3')
  assert.equal(await old.command('GET', 'n'), fenced)
  load.isOn = false
  await Promise.all(writers)
})

test('a pause holds the clients of all workers', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const { plane, port } = await startWorkers(t, configFor(server))
  const clients = await connectMany(t, port)
  await serveAll(clients)
  await plane.pause()
  assert.equal(plane.view().isPaused, true)
  for (const one of clients) one.send(encodeCommand(['INCR', 'n']))
  await until('all are held', () => plane.view().heldCommands === clientCount)
  assert.equal(await server.command('GET', 'n'), '$-1\r\n')
  plane.resume()
  for (const one of clients) assert.match(await one.reply(), /^:\d/)
  assert.equal(await server.command('GET', 'n'), `$1\r\n${clientCount}\r\n`)
})

test('a worker that dies takes only its own clients along, and is replaced', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const { plane, port, pids } = await startWorkers(t, configFor(server))
  const clients = await connectMany(t, port)
  await serveAll(clients)
  const [victim = 0] = await pids()
  const before = plane.view().counters.commands
  process.kill(victim, 'SIGKILL')
  await until(
    'its clients are gone',
    () => clients.filter(({ isClosed }) => isClosed).length === clientCount / 2,
  )
  await serveAll(clients.filter(({ isClosed }) => !isClosed))
  await until('it is replaced', async () => (await pids()).length === 2)
  assert.ok(!(await pids()).includes(victim))
  assert.equal(plane.view().workerRestarts, 1)
  assert.ok(plane.view().counters.commands >= before, 'what was counted stays counted')
  await serveAll(await connectMany(t, port))
})

test('a worker that does not answer is ended before a configuration counts as obeyed', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const { plane, port, pids } = await startWorkers(t, configFor(server))
  const clients = await connectMany(t, port)
  await serveAll(clients)
  const [stuck = 0] = await pids()
  process.kill(stuck, 'SIGSTOP')
  await plane.apply({ ...configFor(server, { epoch: 1 }), workers: 2 })
  assert.throws(() => process.kill(stuck, 0), { code: 'ESRCH' })
  await until('another serves in its place', async () => (await pids()).length === 2)
  await serveAll(clients.filter(({ isClosed }) => !isClosed))
})

test('workers whose main process is gone serve nobody any more', async (t) => {
  const rig = await startLoadRig({ workers: 2 })
  t.after(() => rig.stop())
  await until('both are counted', async () => (await rig.status()).workers?.length === 2)
  const pids = (await rig.status()).workers?.map(({ pid }) => pid) ?? []
  const client = await connect(t, rig.port)
  assert.equal(await client.ask('PING'), '+PONG\r\n')
  process.kill(rig.pid, 'SIGKILL')
  await until('the client is closed', () => client.isClosed)
  await until('they are gone', () => pids.every((pid) => !isAlive(pid)))
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
