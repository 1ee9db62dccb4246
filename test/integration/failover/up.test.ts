/** `respmesh up` as a user starts it: it serves, it ends, and it leaves nothing behind, even if it is killed. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { type Socket, createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createAuthority } from '../../support/certificates.ts'
import { freePort, startServer, until } from '../../support/servers.ts'

const root = new URL('../../../', import.meta.url).pathname

const replyPatienceMs = 15_000

interface Up {
  readonly child: ChildProcess
  readonly temporary: string
  output(): string
}

async function up(context: TestContext, ...args: readonly string[]): Promise<Up> {
  const temporary = mkdtempSync(join(tmpdir(), 'respmesh-up-test-'))
  const [port, consolePort] = [await freePort(), await freePort()]
  const child = spawn(
    process.execPath,
    ['cli/main.ts', 'up', '--port', String(port), '--console-port', String(consolePort), ...args],
    { cwd: root, env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  context.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    rmSync(temporary, { recursive: true, force: true })
  })
  return { child, temporary, output: () => output }
}

/** Processes whose command line or folder shows that this `up` started them. */
function processesOf({ temporary }: Up): string[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => !/^\s*\d+ Z/.test(line)).filter((line) => isOf(line, temporary))
}

function isOf(line: string, temporary: string): boolean {
  const pid = line.trim().split(' ')[0] ?? ''
  try {
    // A server hides its environment behind its title, but works in its own folder.
    if (readlinkSync(`/proc/${pid}/cwd`).startsWith(temporary)) return true
    return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${temporary}`)
  } catch {
    return line.includes(temporary)
  }
}

/** Sends one inline command and returns the first piece of the reply; nothing, if the connection ends without one. */
async function commandAt(to: number | Socket, command: string): Promise<string> {
  const socket = typeof to === 'number' ? createConnection({ port: to, host: '127.0.0.1' }) : to
  socket.write(`${command}\r\n`)
  socket.setTimeout(replyPatienceMs, () => socket.destroy())
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) return chunk.toString()
    return ''
  } finally {
    socket.destroy()
  }
}

/** Where it serves, once it does: not where it was told to, if that port was taken meanwhile. */
async function ready(started: Up): Promise<{ readonly port: number; readonly page: string }> {
  try {
    await until('up is ready', () => started.output().includes('respmesh is ready'), 30_000)
  } catch (cause) {
    throw new Error(started.output(), { cause })
  }
  const block = started.output().split('respmesh is ready')[1] ?? ''
  const port = /endpoint +127\.0\.0\.1:(\d+)/.exec(block)?.[1]
  const page = /status page +(\S+)/.exec(block)?.[1]
  assert.ok(port !== undefined && page !== undefined, block)
  return { port: Number(port), page }
}

test('up serves through the sidecar, and at the end nothing of it is left', async (context) => {
  const started = await up(context)
  const { port, page } = await ready(started)
  const state = (await (await fetch(`${page}/api/status`)).json()) as {
    ready: { status: string }
    members: unknown[]
  }
  assert.equal(state.ready.status, 'True')
  assert.equal(state.members.length, 3)
  assert.match(await commandAt(port, 'SET k v'), /^\+OK/)
  const processes = processesOf(started)
  assert.ok(processes.length >= 6, processes.join('\n'))
  const exited = once(started.child, 'exit')
  started.child.kill('SIGINT')
  assert.deepEqual(await exited, [0, null])
  assert.deepEqual(readdirSync(started.temporary), [])
  // The guard ends when it sees that `up` has.
  await until('no process is left', () => processesOf(started).length === 0)
})

test('if up is killed outright, what it started dies with it', async (context) => {
  const started = await up(context)
  await ready(started)
  started.child.kill('SIGKILL')
  await until('no process is left', () => processesOf(started).length === 0)
  await until('no file is left', () => readdirSync(started.temporary).length === 0)
})

test('up fronts servers that exist and leaves them as they are', async (context) => {
  const primary = await startServer({ password: 'geheim' })
  const replica = await startServer({ password: 'geheim', replicaOf: primary })
  context.after(async () => {
    await Promise.all([primary.stop(), replica.stop()])
  })
  const urls = [replica, primary].map(({ port }) => `valkey://:geheim@127.0.0.1:${port}`).join(',')
  const started = await up(context, '--upstream', urls)
  await ready(started)
  assert.match(started.output(), new RegExp(`primary +127.0.0.1:${primary.port}`))
  const exited = once(started.child, 'exit')
  started.child.kill('SIGTERM')
  await exited
  assert.equal(await primary.info('role'), 'master')
  await until('it replicates', async () => (await replica.info('master_link_status')) === 'up')
  assert.equal(await replica.info('role'), 'slave')
})

test('up listens with TLS and by a unix socket where the manifest asks', async (context) => {
  const authority = createAuthority(context)
  const { certFile, keyFile } = authority.issue('sidecar')
  const file = join(authority.directory, 'full.yaml')
  const data = {
    'tls.crt': readFileSync(certFile, 'utf8'),
    'tls.key': readFileSync(keyFile, 'utf8'),
  }
  const spec = {
    backend: { endpoints: [{ host: 'redis-0.redis' }] },
    proxy: { tls: { secretRef: { name: 'own' } }, unixSocket: {} },
  }
  const documents = [
    { apiVersion: 'respmesh.io/v1alpha1', kind: 'RedisProxy', metadata: { name: 'full' }, spec },
    { kind: 'Secret', metadata: { name: 'own' }, stringData: data },
  ]
  writeFileSync(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'))
  const started = await up(context, '-f', file, '--with-servers')
  const { port } = await ready(started)
  const path = /unix socket +(\S+)/.exec(started.output())?.[1] ?? ''
  const tlsPort = Number(/with TLS +127\.0\.0\.1:(\d+)/.exec(started.output())?.[1])
  assert.match(await commandAt(port, 'SET k v'), /^\+OK/)
  assert.match(await commandAt(createConnection(path), 'SET k w'), /^\+OK/)
  const ca = readFileSync(authority.caFile)
  const secure = connectTls({ port: tlsPort, host: '127.0.0.1', ca })
  assert.match(await commandAt(secure, 'GET k'), /^\$1\r\nw/)
})

test('up fronts a server by its unix socket', async (context) => {
  const server = await startServer()
  context.after(() => server.stop())
  const started = await up(context, '--upstream', `unix://${server.unixPath}`)
  const { port } = await ready(started)
  assert.match(started.output(), new RegExp(`primary +${server.unixPath}`))
  assert.match(await commandAt(port, 'SET k v'), /^\+OK/)
  assert.equal(await server.command('GET', 'k'), '$1\r\nv\r\n')
})

test('a manifest with errors is refused with all of them', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-manifest-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'bad.yaml')
  writeFileSync(
    file,
    'apiVersion: respmesh.io/v1alpha1\nkind: RedisProxy\nmetadata: {name: x}\nspec: {backend: {endpoints: [{host: a, port: 0}]}, nonsense: 1}\n',
  )
  const started = await up(context, '-f', file)
  assert.deepEqual(await once(started.child, 'exit'), [1, null])
  assert.match(started.output(), /spec\.backend\.endpoints\[0\]\.port/)
  assert.match(started.output(), /spec\.nonsense/)
})

test('the demo holds and leaves its figures', async (context) => {
  const started = await up(
    context,
    '--demo',
    '--json',
    join(tmpdir(), `respmesh-demo-${process.pid}.json`),
  )
  const file = join(tmpdir(), `respmesh-demo-${process.pid}.json`)
  context.after(() => rmSync(file, { force: true }))
  const [code] = (await once(started.child, 'exit')) as [number]
  assert.equal(code, 0, started.output())
  assert.ok(existsSync(file))
  const figures = JSON.parse(readFileSync(file, 'utf8')) as {
    lost: number
    trials: { killToFirstWriteMs: number }[]
  }
  assert.equal(figures.lost, 0)
  // How fast it is, the demo says; that depends on the machine.
  assert.ok((figures.trials[0]?.killToFirstWriteMs ?? Number.NaN) < 15_000)
})
