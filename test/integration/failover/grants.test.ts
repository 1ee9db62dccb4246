/** Grants between a real control plane's stream and real sidecars: what may be used for how long, whatever is cut or stops. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import {
  type StreamServer,
  createStreamServer,
  sharedTokenAuthentication,
} from '../../../operator/stream/index.ts'
import type { Status } from '../../../sidecar/admin/index.ts'
import { freePort, startServer, until } from '../../support/servers.ts'
import { type SidecarProcess, serves, startSidecar } from '../control/sidecar-process.ts'
import { connect, encodeCommand } from '../sidecar/harness.ts'

const key = 'shop/cache'
const lost = /^-PROXY RM_UPSTREAM_LOST /

/** The operator's side of the stream: it can go away, come back at the same port, and lose its lead. */
class Operator {
  isLeading = true
  port = 0
  private server: StreamServer | undefined

  async start(config: ProxyConfig): Promise<void> {
    // Leadership matters for grants only here: streams that are open stay so.
    const server = createStreamServer(
      { authenticate: sharedTokenAuthentication('secret'), isServing: () => this.isLeading },
      { log: silentLog, clock: systemClock },
    )
    this.server = server
    this.port = (await server.listen({ host: '127.0.0.1', port: this.port })).port
    this.publish(config)
  }

  publish(config: ProxyConfig): void {
    this.server?.publisher.publish(key, config)
  }

  sidecars() {
    return this.server?.publisher.sidecars(key) ?? []
  }

  async stop(): Promise<void> {
    await this.server?.stop()
    this.server = undefined
  }
}

async function scene(
  t: TestContext,
  grantTtlMs: number,
  env: Readonly<Record<string, string>> = {},
) {
  const redis = await startServer()
  const operator = new Operator()
  const state = mkdtempSync(join(tmpdir(), 'respmesh-state-'))
  writeFileSync(join(state, 'token'), 'secret')
  t.after(async () => {
    redis.signal('SIGCONT')
    await operator.stop()
    await redis.stop()
    rmSync(state, { recursive: true })
  })
  const port = await freePort()
  const base = standaloneConfig({
    members: [{ host: '127.0.0.1', port: redis.port }],
    listeners: [{ host: '127.0.0.1', port }],
  })
  const runId = await redis.info('run_id')
  const at = (epoch: number, changes: Partial<ProxyConfig['upstream']> = {}): ProxyConfig => ({
    ...base,
    proxy: { namespace: 'shop', name: 'cache', uid: 'u1' },
    epoch,
    version: epoch,
    ...(env['RESPMESH_WORKERS'] !== undefined && { workers: Number(env['RESPMESH_WORKERS']) }),
    upstream: {
      ...base.upstream,
      discovery: 'operator',
      grantTtlMs,
      primary: { host: '127.0.0.1', port: redis.port, runId },
      ...changes,
    },
  })
  await operator.start(at(1))
  const start = () =>
    startSidecar(t, '', {
      RESPMESH_STREAM_URL: `http://127.0.0.1:${operator.port}`,
      RESPMESH_STREAM_TOKEN_FILE: join(state, 'token'),
      RESPMESH_PROXY: key,
      RESPMESH_ID: 'shop/pod-1',
      RESPMESH_STATE_DIR: state,
      RESPMESH_ADMIN: '127.0.0.1:0',
      ...env,
    })
  return { redis, operator, at, start, client: () => connect(t, port) }
}

async function status(sidecar: SidecarProcess): Promise<Status> {
  return JSON.parse((await sidecar.get('/status')).body) as Status
}

const isGranted = async (sidecar: SidecarProcess) => (await status(sidecar)).primary.grant?.isValid

const held = (sidecar: SidecarProcess) =>
  until('it may not use the primary any more', async () => (await isGranted(sidecar)) === false)

for (const workers of [undefined, '2']) {
  const env = workers === undefined ? {} : { RESPMESH_WORKERS: workers }
  const who = workers === undefined ? 'a sidecar' : 'a sidecar of two workers'

  test(`${who} uses the primary until its grant ends, holds, and goes on with the next`, async (t) => {
    const { redis, operator, at, start, client } = await scene(t, 1000, env)
    const sidecar = start()
    await serves(sidecar)
    const clients = await Promise.all(Array.from({ length: 4 }, client))
    const blocked = await client()
    for (const one of clients) assert.equal(await one.ask('INCR', 'n').then((n) => n[0]), ':')
    blocked.send(encodeCommand(['BLPOP', 'list', '0']))
    await until('it is blocked', async () => (await redis.info('blocked_clients')) === '1')
    await operator.stop()
    assert.equal(await clients[0]?.ask('INCR', 'n'), ':5\r\n', 'a grant lasts')
    await held(sidecar)
    assert.match(await blocked.reply(), lost)
    await until('nothing is connected', async () => (await redis.info('connected_clients')) === '1')
    for (const one of clients) one.send(encodeCommand(['INCR', 'n']))
    await until('they are held', async () => (await status(sidecar)).heldCommands === 4)
    assert.equal(await redis.command('GET', 'n'), '$1\r\n5\r\n')
    const { body } = await sidecar.get('/metrics')
    assert.match(body, /^respmesh_grant_remaining_seconds 0$/m)
    assert.match(body, /^respmesh_primary_state\{state="none"\} 1$/m)
    await operator.start(at(1))
    const replies = await Promise.all(clients.map((one) => one.reply()))
    assert.deepEqual(replies.toSorted(), [':6\r\n', ':7\r\n', ':8\r\n', ':9\r\n'])
    assert.match((await sidecar.get('/metrics')).body, /^respmesh_grant_expirations_total [12]$/m)
  })
}

test('a sidecar that was suspended for longer than its grant passes no late reply on', async (t) => {
  const { redis, start, client } = await scene(t, 1000)
  const sidecar = start()
  await serves(sidecar)
  const [shared, own, idle] = [await client(), await client(), await client()]
  for (const one of [shared, idle]) assert.equal(await one.ask('PING'), '+PONG\r\n')
  assert.equal(await own.ask('SELECT', '1'), '+OK\r\n')
  assert.equal(await own.ask('GET', 'k'), '$-1\r\n')
  redis.signal('SIGSTOP')
  shared.send(encodeCommand(['INCR', 'n']))
  own.send(encodeCommand(['INCR', 'n']))
  await until('both are sent', async () => (await status(sidecar)).inFlightCommands === 2)
  sidecar.signal('SIGSTOP')
  const since = performance.now()
  redis.signal('SIGCONT')
  await until('the server ran it', async () => (await redis.command('GET', 'n')) === '$1\r\n1\r\n')
  idle.send(encodeCommand(['INCR', 'n']))
  await until('the grant is over', () => performance.now() - since > 1500)
  assert.equal(shared.text() + own.text(), '')
  sidecar.signal('SIGCONT')
  assert.match(await shared.reply(), lost)
  assert.match(await own.reply(), lost)
  assert.match(await idle.reply(), /^:2/, 'what was not sent waits for the next grant')
  assert.match((await sidecar.get('/metrics')).body, /^respmesh_grant_expirations_total 1$/m)
})

test('what comes while a sidecar is suspended is not sent when its grant is over', async (t) => {
  const { redis, operator, at, start, client } = await scene(t, 1000)
  const sidecar = start()
  await serves(sidecar)
  const [shared, own] = [await client(), await client()]
  assert.equal(await shared.ask('PING'), '+PONG\r\n')
  assert.equal(await own.ask('SELECT', '1'), '+OK\r\n')
  assert.equal(await own.ask('GET', 'k'), '$-1\r\n')
  await operator.stop()
  sidecar.signal('SIGSTOP')
  const since = performance.now()
  for (const one of [shared, own]) one.send(encodeCommand(['SET', 'k', 'late']))
  await until('the grant is over', () => performance.now() - since > 1500)
  sidecar.signal('SIGCONT')
  await held(sidecar)
  await until('one is held', async () => (await status(sidecar)).heldCommands > 0)
  assert.match(await redis.command('EXISTS', 'k'), /^:0/)
  assert.doesNotMatch(await redis.command('INFO', 'keyspace'), /db1/)
  await operator.start(at(1))
  assert.equal(await shared.reply(), '+OK\r\n')
  assert.equal(await own.reply(), '+OK\r\n')
})

test('a grant that lasts longer than a sidecar was suspended changes nothing', async (t) => {
  const { redis, start, client } = await scene(t, 30_000)
  const sidecar = start()
  await serves(sidecar)
  const shared = await client()
  redis.signal('SIGSTOP')
  shared.send(encodeCommand(['INCR', 'n']))
  await until('it is counted', async () => (await status(sidecar)).inFlightCommands === 1)
  // It may be counted and answered for in the turn of the event loop at whose end it is sent: this comes in a later one.
  await status(sidecar)
  sidecar.signal('SIGSTOP')
  redis.signal('SIGCONT')
  await until('the server ran it', async () => (await redis.command('GET', 'n')) === '$1\r\n1\r\n')
  sidecar.signal('SIGCONT')
  assert.equal(await shared.reply(), ':1\r\n')
})

test('an operator that does not lead any more lets grants run out, though its stream is open', async (t) => {
  const { operator, start } = await scene(t, 600)
  const sidecar = start()
  await serves(sidecar)
  operator.isLeading = false
  await held(sidecar)
  assert.equal((await status(sidecar)).stream?.isConnected, true)
  assert.equal(operator.sidecars()[0]?.primary, 'none', 'and it is told so')
  operator.isLeading = true
  await serves(sidecar)
})

test('a stored configuration alone lets nobody use the primary', async (t) => {
  const { redis, operator, at, start } = await scene(t, 600)
  const before = start()
  await serves(before)
  // What it serves by already is stored when it says so.
  await until('it is stored', () => operator.sidecars()[0]?.acked !== undefined)
  await operator.stop()
  before.signal('SIGKILL')
  await before.ended
  const after = start()
  await after.logged('serving the stored configuration')
  assert.equal(await isGranted(after), false)
  assert.match((await after.get('/startz')).body, /not granted by the control plane/)
  const set = after.ask('SET', 'k', 'v')
  await until('it is held', async () => (await status(after)).heldCommands === 1)
  assert.match(await redis.command('EXISTS', 'k'), /^:0/)
  await operator.start(at(1))
  assert.equal(await set, 'OK')
})

test('how long a grant lasts can be changed, and whether one is needed', async (t) => {
  const { operator, at, start } = await scene(t, 60_000)
  const sidecar = start()
  await serves(sidecar)
  operator.publish({ ...at(1, { grantTtlMs: 500 }), version: 2 })
  await until('it lasts less', async () => {
    const { grant } = (await status(sidecar)).primary
    return grant?.isValid === true && grant.msLeft <= 500
  })
  operator.isLeading = false
  await held(sidecar)
  const { grantTtlMs: _none, ...upstream } = at(1).upstream
  operator.publish({ ...at(1), version: 3, upstream })
  await serves(sidecar)
  assert.equal((await status(sidecar)).primary.grant, undefined)
  operator.publish({ ...at(1), version: 4 })
  await held(sidecar)
  operator.isLeading = true
  await serves(sidecar)
})

test('a new epoch is used as soon as it is granted, and the old one no longer', async (t) => {
  const { operator, at, start, client } = await scene(t, 2000)
  const next = await startServer()
  t.after(() => next.stop())
  const sidecar = start()
  await serves(sidecar)
  const one = await client()
  assert.equal(await one.ask('SET', 'who', 'old'), '+OK\r\n')
  await next.command('SET', 'who', 'new')
  const runId = await next.info('run_id')
  operator.publish(at(2, { primary: { host: '127.0.0.1', port: next.port, runId } }))
  await until('the new one answers', async () => (await one.ask('GET', 'who')) === '$3\r\nnew\r\n')
  assert.equal(await isGranted(sidecar), true)
  assert.match((await sidecar.get('/metrics')).body, /^respmesh_grant_expirations_total 0$/m)
})
