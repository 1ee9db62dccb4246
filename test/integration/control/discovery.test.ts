import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { type SidecarProcess, serves, startSidecar } from './sidecar-process.ts'

async function pair(context: TestContext) {
  const first = await startServer()
  const second = await startServer({ replicaOf: first })
  context.after(async () => {
    await first.stop()
    await second.stop()
  })
  await until('the replica follows', async () => {
    const role = await second.command('ROLE')
    return role.includes('connected')
  })
  return [first, second] as const
}

function front(context: TestContext, servers: readonly { port: number }[]): SidecarProcess {
  const upstream = servers.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return startSidecar(context, `--upstream ${upstream} --listen 127.0.0.1:0 --admin 127.0.0.1:0`)
}

async function primaryOf(sidecar: SidecarProcess): Promise<string | undefined> {
  const status = JSON.parse((await sidecar.get('/status')).body) as {
    primary: { address?: string }
  }
  return status.primary.address
}

const follows = (sidecar: SidecarProcess, server: RedisServer) =>
  until(
    'the sidecar follows',
    async () => (await primaryOf(sidecar)) === `127.0.0.1:${server.port}`,
  )

async function timesAskedForRole(server: RedisServer): Promise<number> {
  const stats = await server.command('INFO', 'commandstats')
  return Number(/cmdstat_role:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

test('the master is found wherever it stands in the list', async (context) => {
  const [first, second] = await pair(context)
  const sidecar = front(context, [second, first])
  await serves(sidecar)
  await follows(sidecar, first)
})

test('a failover done by hand is followed, and no server is changed by it', async (context) => {
  const [first, second] = await pair(context)
  const sidecar = front(context, [first, second])
  await serves(sidecar)
  await first.command('CLIENT', 'PAUSE', '100', 'WRITE')
  await second.command('REPLICAOF', 'NO', 'ONE')
  await first.command('REPLICAOF', second.host, String(second.port))
  await follows(sidecar, second)
  await serves(sidecar)
  assert.match(await first.command('ROLE'), /slave/)
  assert.match(await second.command('ROLE'), /master/)
})

test('two masters: the present one stays', async (context) => {
  const [first, second] = await pair(context)
  const sidecar = front(context, [first, second])
  await serves(sidecar)
  await second.command('REPLICAOF', 'NO', 'ONE')
  const asked = await timesAskedForRole(second)
  await until('the second master was asked for its role again', async () => {
    return (await timesAskedForRole(second)) > asked + 1
  })
  assert.equal(await primaryOf(sidecar), `127.0.0.1:${first.port}`)
})

test('a primary that was started again is recognised as a new process and followed', async (context) => {
  const [first, second] = await pair(context)
  const sidecar = front(context, [first, second])
  await serves(sidecar)
  const runId = await first.info('run_id')
  await first.kill()
  await first.restart()
  assert.notEqual(await first.info('run_id'), runId)
  await serves(sidecar)
})

test('without any server it waits, says so, and serves when one appears', async (context) => {
  const port = await freePort()
  const sidecar = front(context, [{ port }])
  const { reason } = await sidecar.logged('no server is the primary')
  assert.equal(reason, 'no server can be reached')
  assert.equal((await sidecar.get('/readyz')).status, 200)
  assert.equal((await sidecar.get('/startz')).status, 503)
  const redis = await startServer({ port })
  context.after(() => redis.stop())
  await serves(sidecar)
  await until('it is started', async () => (await sidecar.get('/startz')).status === 200)
})
