/** Unix sockets on both sides: the listener’s file, and a server that is named by the path of its socket. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import { serves, startSidecar } from '../control/sidecar-process.ts'
import { configFor, connect, portOf, startPlane, startRig, until } from './harness.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-unix-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('TCP and unix sockets are served at once, and everyone may open the socket', async (t) => {
  const directory = scratch(t)
  const paths = [join(directory, 'one.sock'), join(directory, 'two.sock')]
  const listeners = [
    { host: '127.0.0.1', port: 0 },
    ...paths.map((unixPath) => ({ unixPath })),
    { unixPath: `@respmesh-test-${process.pid}` },
  ]
  const rig = await startRig(t, { listeners })
  const tcp = await rig.client()
  assert.equal(await tcp.ask('SET', 'k', 'v'), '+OK\r\n')
  for (const path of [...paths, `\0respmesh-test-${process.pid}`]) {
    const client = await connect(t, path)
    assert.equal(await client.ask('GET', 'k'), '$1\r\nv\r\n', path)
  }
  for (const path of paths) assert.equal(statSync(path).mode & 0o777, 0o777)
  assert.deepEqual(rig.plane.addresses().slice(1), [...paths, `@respmesh-test-${process.pid}`])
  await rig.plane.stop()
  for (const path of paths) assert.ok(!existsSync(path), 'the socket is left behind')
})

test('a socket that a killed process left is replaced; one in use, or a file, is not', async (t) => {
  const path = join(scratch(t), 'left.sock')
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`
  const other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  const gone = new Promise((resolve) => other.once('exit', resolve))
  t.after(() => other.kill('SIGKILL'))
  await new Promise((resolve) => other.stdout.once('data', resolve))
  const server = await startServer()
  t.after(() => server.stop())
  const config = configFor(server, { listeners: [{ unixPath: path }] })
  await assert.rejects(startPlane(t, config), { code: 'RM_LISTEN_FAILED', message: /it is in use/ })
  other.kill('SIGKILL')
  await gone
  assert.ok(existsSync(path))
  await startPlane(t, config)
  assert.equal(await (await connect(t, path)).ask('PING'), '+PONG\r\n')

  const file = join(scratch(t), 'file')
  writeFileSync(file, 'precious')
  const onFile = configFor(server, { listeners: [{ unixPath: file }] })
  await assert.rejects(startPlane(t, onFile), { code: 'RM_LISTEN_FAILED' })
  assert.equal(statSync(file).size, 8)
})

test('a server is used by the path of its socket, if it is the recorded process', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const runId = await server.info('run_id')
  const at = (runId: string) => ({
    upstream: { primary: { host: server.unixPath, port: 0, runId } },
    timing: { holdTimeoutMs: 300 },
  })
  const address = { host: server.unixPath, port: 0 }
  const plane = await startPlane(t, configFor(address, at(runId)))
  const client = await connect(t, portOf(plane))
  assert.equal(await client.ask('SET', 'k', 'x'.repeat(100_000)), '+OK\r\n')
  assert.equal(await client.ask('STRLEN', 'k'), ':100000\r\n')
  assert.equal(plane.view().primaryAddress, server.unixPath)

  const other = await startPlane(t, configFor(address, at('f'.repeat(40))))
  const refused = await connect(t, portOf(other))
  assert.match(await refused.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
  assert.ok(other.view().counters.upstreamIdentityErrors > 0)

  await server.kill()
  await until('the loss is seen', () => plane.view().primary === 'failing')
  await server.restart()
  assert.match(await client.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
  await plane.apply(configFor(address, { ...at(await server.info('run_id')), epoch: 1 }))
  assert.equal(await client.ask('GET', 'k'), '$-1\r\n')
})

test('a sidecar alone finds the primary among sockets and shows its path', async (t) => {
  const primary = await startServer()
  t.after(() => primary.stop())
  const replica = await startServer({ replicaOf: primary })
  t.after(() => replica.stop())
  const socket = join(scratch(t), 'app.sock')
  const upstream = `unix://${replica.unixPath}?db=0,unix:${primary.unixPath}`
  const sidecar = startSidecar(t, '--listen 127.0.0.1:0 --admin 127.0.0.1:0', {
    RESPMESH_UPSTREAM: upstream,
    RESPMESH_UNIX: socket,
  })
  await serves(sidecar)
  assert.equal((await sidecar.logged('primary found'))['primary'], primary.unixPath)
  const status = JSON.parse((await sidecar.get('/status')).body)
  assert.equal(status.primary.address, primary.unixPath)
  assert.deepEqual(status.listeners[1], socket)
  assert.ok((await sidecar.get('/')).body.includes(primary.unixPath))
  assert.equal(await (await connect(t, socket)).ask('GET', 'respmesh:test'), '$1\r\n1\r\n')
  await primary.kill()
  await replica.command('REPLICAOF', 'NO', 'ONE')
  await serves(sidecar)
})
