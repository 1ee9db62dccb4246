/** A resource that is removed leaves servers that go on without an operator. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type RedisServer, startServer, until } from '../../support/servers.ts'
import { Harness } from './harness.ts'

const copier = ['--user', 'copier', 'on', '>former', '+psync', '+sync', '+replconf', '+ping']

async function set(context: TestContext, spec: string): Promise<Harness> {
  const primary = await startServer({ args: copier })
  context.after(() => primary.stop())
  const logins = [['--masteruser', 'copier', '--masterauth', 'former'], []]
  const replicas = await Promise.all(
    logins.map((login) => startServer({ replicaOf: primary, args: [...copier, ...login] })),
  )
  const made = new Harness([primary, ...replicas], spec)
  context.after(() => made.stop())
  made.start()
  await made.reached('everything in order', () => made.inOrder())
  return made
}

async function setting(server: RedisServer | undefined, name: string): Promise<string> {
  const reply = (await server?.command('CONFIG', 'GET', name)) ?? ''
  return reply.split('\r\n')[4] ?? ''
}

/** As whom replicas are logged in, once there are two. */
async function users(primary: RedisServer | undefined): Promise<readonly string[]> {
  const list = (await primary?.command('CLIENT', 'LIST', 'TYPE', 'replica')) ?? ''
  return [...list.matchAll(/\buser=(\S+)/g)].map(([, name]) => name ?? '').sort()
}

async function relinked(primary: RedisServer | undefined, expected: readonly string[]) {
  await primary?.command('CLIENT', 'KILL', 'TYPE', 'replica')
  await until(`replicas are logged in as ${expected.join(' and ')}`, async () => {
    return (await users(primary)).join() === expected.join()
  })
}

test('its replicas log in as they did before', async (context) => {
  const made = await set(context, '  failover: {guards: {replicationUsers: Auto}}')
  const [primary, first, second] = made.servers
  for (const server of [first, second]) {
    await until('it is to log in as a user of ours', async () => {
      return (await setting(server, 'masteruser')) === 'respmesh-e1'
    })
  }
  await relinked(primary, ['respmesh-e1', 'respmesh-e1'])

  made.remove()
  await until('it logs in as before', async () => {
    return (await setting(first, 'masteruser')) === 'copier'
  })
  await until('it does not log in at all', async () => (await setting(second, 'masteruser')) === '')
  assert.equal(await setting(first, 'masterauth'), 'former')
  assert.equal(await setting(second, 'masterauth'), '')
  await relinked(primary, ['copier', 'default'])
})

test('a replica that is listed no more logs in as it did before', async (context) => {
  const made = await set(context, '  failover: {guards: {replicationUsers: Auto}}')
  const [primary, first, second] = made.servers
  for (const server of [first, second]) {
    await until('it is to log in as a user of ours', async () => {
      return (await setting(server, 'masteruser')) === 'respmesh-e1'
    })
  }
  const [proxy] = made.provider.keys().map((key) => made.provider.get(key))
  assert.ok(proxy)
  const { backend } = proxy.spec
  const endpoints = backend.endpoints.filter(({ port }) => port !== first?.port)
  made.provider.changeSpec({ ...proxy.spec, backend: { ...backend, endpoints } })
  await until('it logs in as before', async () => {
    return (await setting(first, 'masteruser')) === 'copier'
  })
  assert.equal(await setting(second, 'masteruser'), 'respmesh-e1')
  await relinked(primary, ['copier', 'respmesh-e1'])
})

test('its primary does not wait for replicas any more', async (context) => {
  const made = await set(context, '  failover: {guards: {minReplicas: Adaptive}}')
  const [primary, ...replicas] = made.servers
  await made.reached('the guard on record', () => {
    return made.status.guards?.minReplicasRunId !== undefined
  })
  assert.equal(await setting(primary, 'min-replicas-to-write'), '1')

  made.remove()
  await until('it is off', async () => (await setting(primary, 'min-replicas-to-write')) === '0')
  await Promise.all(replicas.map((server) => server.kill()))
  assert.equal(await primary?.command('SET', 'key', 'value'), '+OK\r\n')
})

test('a setting of the servers’ own stays', async (context) => {
  const made = await set(context, '')
  const [primary, first] = made.servers
  await until('it is to log in as a user of ours', async () => {
    return (await setting(first, 'masteruser')) === 'respmesh-e1'
  })
  await primary?.command('CONFIG', 'SET', 'min-replicas-to-write', '1')
  made.remove()
  await until('replicas are given back', async () => {
    return (await setting(first, 'masteruser')) === 'copier'
  })
  assert.equal(await setting(primary, 'min-replicas-to-write'), '1')
})
