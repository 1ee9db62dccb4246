import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { streamSilenceMaxMs } from '../../../common/limits.ts'
import { createAuthority, issueServing } from '../../../operator/pki/certificate.ts'
import { freePort, startServer, until } from '../../support/servers.ts'
import { ControlPlane } from './control-plane.ts'
import { serves, startSidecar } from './sidecar-process.ts'

/** A control plane, a server to name as the primary, and the variables of a sidecar that is to meet them. */
async function scene(context: TestContext) {
  const redis = await startServer()
  const controlPlane = new ControlPlane()
  await controlPlane.start()
  const state = mkdtempSync(join(tmpdir(), 'respmesh-state-'))
  writeFileSync(join(state, 'token'), 'first\n')
  context.after(async () => {
    await controlPlane.end()
    await redis.stop()
    rmSync(state, { recursive: true })
  })
  const base = standaloneConfig({
    members: [{ host: '127.0.0.1', port: redis.port }],
    listeners: [{ host: '127.0.0.1', port: await freePort() }],
  })
  const runId = await redis.info('run_id')
  const at = (epoch: number, version: number, hasPrimary = true): ProxyConfig => ({
    ...base,
    proxy: { namespace: 'shop', name: 'cache', uid: 'u1' },
    epoch,
    version,
    upstream: {
      ...base.upstream,
      discovery: 'operator',
      ...(hasPrimary && { primary: { host: '127.0.0.1', port: redis.port, runId } }),
    },
  })
  const env = {
    RESPMESH_STREAM_URL: controlPlane.url,
    RESPMESH_STREAM_TOKEN_FILE: join(state, 'token'),
    RESPMESH_PROXY: 'shop/cache',
    RESPMESH_ID: 'shop/pod-1',
    RESPMESH_STATE_DIR: state,
    RESPMESH_ADMIN: `127.0.0.1:${await freePort()}`,
  }
  const get = async (path: string) => {
    const response = await fetch(`http://${env.RESPMESH_ADMIN}${path}`)
    return { status: response.status, body: await response.text() }
  }
  return { redis, controlPlane, state, at, env, get }
}

test('it waits for its first configuration, says so, and obeys and acknowledges it', async (context) => {
  const { controlPlane, at, env, get } = await scene(context)
  const sidecar = startSidecar(context, '', env)
  await sidecar.logged('waiting for a configuration from the control plane')
  await sidecar.logged('connected to the control plane')
  assert.deepEqual(await get('/readyz'), {
    status: 503,
    body: 'waiting for a configuration from the control plane\n',
  })
  assert.equal((await get('/livez')).status, 200)
  controlPlane.publish(at(1, 1))
  assert.deepEqual(await controlPlane.acked(1), { kind: 'ack', version: 1, epoch: 1 })
  await serves(sidecar)
  assert.equal((await get('/readyz')).status, 200)
  const [exchange] = controlPlane.exchanges
  assert.equal(exchange?.url, '/v1/stream?namespace=shop&name=cache')
  assert.equal(exchange.token, 'Bearer first')
  const [hello] = exchange.messages
  assert.equal(hello?.kind === 'hello' && hello.sidecar.id, 'shop/pod-1')
  await until('it reports that it reaches the primary', () =>
    controlPlane.messages.some((one) => one.kind === 'report' && one.primary === 'ok'),
  )
})

test('a withdrawn primary is acknowledged and reported, and no command reaches the server', async (context) => {
  const { controlPlane, at, env, redis } = await scene(context)
  controlPlane.config = at(1, 1)
  const sidecar = startSidecar(context, '', env)
  await serves(sidecar)
  controlPlane.publish(at(2, 2, false))
  await controlPlane.acked(2)
  await until('it reports that there is no primary', () =>
    controlPlane.messages.some(
      (one) => one.kind === 'report' && one.primary === 'none' && one.epoch === 2,
    ),
  )
  const held = sidecar.ask('SET', 'held', 'yes')
  await until('the command is held', async () =>
    (await sidecar.get('/metrics')).body.includes('respmesh_commands_held 1'),
  )
  assert.match(await redis.command('EXISTS', 'held'), /^:0/)
  controlPlane.publish(at(3, 3))
  assert.equal(await held, 'OK')
})

test('an older epoch is refused with a reason, and the newer one stays in force', async (context) => {
  const { controlPlane, at, env } = await scene(context)
  controlPlane.config = at(5, 5)
  const sidecar = startSidecar(context, '', env)
  await serves(sidecar)
  controlPlane.send({ kind: 'config', config: at(4, 9, false) })
  assert.match((await controlPlane.acked(9)).error ?? '', /^RM_CONFIG_STALE_EPOCH/)
  assert.equal(await sidecar.ask('GET', 'respmesh:test'), '1')
  controlPlane.send({ kind: 'config', config: { ...at(6, 10), listeners: [] } })
  assert.match((await controlPlane.acked(10)).error ?? '', /^RM_CONFIG_INVALID.*listeners/)
  const foreign = { ...at(6, 11), proxy: { namespace: 'shop', name: 'other', uid: 'u2' } }
  controlPlane.send({ kind: 'config', config: foreign })
  assert.match((await controlPlane.acked(11)).error ?? '', /shop\/other, not of shop\/cache/)
  assert.equal(await sidecar.ask('GET', 'respmesh:test'), '1')
})

test('it serves on without the control plane, also after a restart, and comes back with a new token', async (context) => {
  const { controlPlane, at, env, state } = await scene(context)
  controlPlane.config = at(3, 3)
  const before = startSidecar(context, '', env)
  await serves(before)
  await controlPlane.acked(3)
  await controlPlane.stop()
  await before.logged('no stream from the control plane; trying again')
  assert.equal(await before.ask('GET', 'respmesh:test'), '1')
  before.signal('SIGTERM')
  assert.equal(await before.ended, 0)
  const after = startSidecar(context, '', env)
  await after.logged('serving the stored configuration')
  await serves(after)
  writeFileSync(join(state, 'token'), 'second\n')
  controlPlane.config = at(4, 4)
  await controlPlane.start()
  await controlPlane.acked(4)
  assert.equal(controlPlane.exchanges.at(-1)?.token, 'Bearer second')
  const stored = JSON.parse(readFileSync(join(state, 'config.json'), 'utf8')) as ProxyConfig
  assert.equal(stored.epoch, 4)
})

test('what it acknowledged before a restart is a floor: an older epoch is not obeyed', async (context) => {
  const { controlPlane, at, env, state } = await scene(context)
  writeFileSync(join(state, 'config.json'), JSON.stringify(at(7, 7)))
  controlPlane.config = at(6, 9, false)
  const sidecar = startSidecar(context, '', env)
  assert.match((await controlPlane.acked(9)).error ?? '', /^RM_CONFIG_STALE_EPOCH/)
  await serves(sidecar)
})

test('a bootstrap file serves until the control plane is there', async (context) => {
  const { controlPlane, at, env, state } = await scene(context)
  await controlPlane.stop()
  const file = join(state, 'bootstrap.json')
  writeFileSync(file, JSON.stringify(at(2, 2)))
  const sidecar = startSidecar(context, '', { ...env, RESPMESH_BOOTSTRAP_FILE: file })
  await serves(sidecar)
  controlPlane.config = at(3, 3)
  await controlPlane.start()
  await controlPlane.acked(3)
})

test('a refusal is tried again until it is taken back', async (context) => {
  const { controlPlane, at, env } = await scene(context)
  controlPlane.refusal = 401
  controlPlane.config = at(1, 1)
  const sidecar = startSidecar(context, '', env)
  const { err } = await sidecar.logged('no stream from the control plane; trying again')
  assert.match((err as { message: string }).message, /answered 401: not today/)
  controlPlane.refusal = undefined
  await serves(sidecar)
})

test('a control plane that falls silent is left for a new connection', async (context) => {
  const { controlPlane, at, env } = await scene(context)
  controlPlane.config = at(1, 1)
  const sidecar = startSidecar(context, '', env)
  await serves(sidecar)
  controlPlane.isPinging = false
  await until('it connects again', () => controlPlane.exchanges.length > 1, streamSilenceMaxMs * 2)
  const { err } = await sidecar.logged('no stream from the control plane; trying again')
  assert.match((err as { message: string }).message, /silent too long/)
})

test('a port that is taken is tried again until it is free', async (context) => {
  const { controlPlane, at, env } = await scene(context)
  const config = at(1, 1)
  const blocker = await startServer({ port: config.listeners[0]?.port ?? 0 })
  controlPlane.config = config
  const sidecar = startSidecar(context, '', env)
  assert.match((await controlPlane.acked(1)).error ?? '', /^RM_LISTEN_FAILED/)
  await blocker.stop()
  await serves(sidecar)
  await controlPlane.accepted(1)
})

test('over TLS the authority is read anew for every connection, and another’s certificate is not trusted', async (context) => {
  const { at, env, state } = await scene(context)
  const validity = { nowMs: Date.now(), lifetimeMs: 3_600_000 }
  const [ours, foreign] = [
    await createAuthority('ours', validity),
    await createAuthority('foreign', validity),
  ]
  const secure = new ControlPlane(await issueServing(ours, ['localhost'], validity))
  context.after(() => secure.end())
  await secure.start()
  secure.config = at(1, 1)
  const caFile = join(state, 'ca.crt')
  writeFileSync(caFile, foreign.cert)
  const sidecar = startSidecar(context, '', {
    ...env,
    RESPMESH_STREAM_URL: `https://localhost:${secure.port}`,
    RESPMESH_STREAM_CA_FILE: caFile,
  })
  await sidecar.logged('no stream from the control plane; trying again')
  assert.equal(secure.exchanges.length, 0)
  writeFileSync(caFile, `${foreign.cert}\n${ours.cert}`)
  await secure.acked(1)
  await serves(sidecar)
})
