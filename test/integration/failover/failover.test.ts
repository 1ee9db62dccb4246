/** The controller against real servers: what it does to them, and what it leaves alone. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type RedisServer, startServer, until } from '../../support/servers.ts'
import { Harness } from './harness.ts'

async function replicaSet(context: TestContext, { primaryIndex = 0, count = 3, spec = '' } = {}) {
  const args = ['--repl-diskless-sync', 'yes']
  const primary = await startServer({ args })
  const replicas = await Promise.all(
    Array.from({ length: count - 1 }, () => startServer({ args, replicaOf: primary })),
  )
  const servers = [...replicas]
  servers.splice(primaryIndex, 0, primary)
  return harness(context, servers, spec)
}

function harness(context: TestContext, servers: readonly RedisServer[], spec = ''): Harness {
  const made = new Harness(servers, spec)
  context.after(() => made.stop())
  return made
}

async function settled(set: Harness): Promise<void> {
  await set.reached('everything in order', () => set.inOrder())
}

test('an existing arrangement is adopted as it is', async (context) => {
  const set = await replicaSet(context, { primaryIndex: 2 })
  set.start()
  await settled(set)
  assert.equal(set.status.primary?.address, set.address(2))
  assert.equal(set.status.epoch, 1)
  for (const server of set.servers) {
    assert.equal(
      await server.info('total_commands_processed').then(() => server.command('GET', 'x')),
      '$-1\r\n',
    )
    const calls = await server.command('INFO', 'commandstats')
    assert.doesNotMatch(calls, /cmdstat_replicaof/, 'no server was told anything')
  }
})

test('a killed primary is replaced by a replica, and comes back as one', async (context) => {
  const set = await replicaSet(context)
  set.start()
  await settled(set)
  const [old] = set.servers
  assert.ok(old)
  await old.command('SET', 'k', 'v')
  await set.replicated()
  const killedMs = performance.now()
  await old.kill()
  await set.reached(
    'a new primary',
    () => set.status.epoch === 2 && set.status.primary !== undefined,
  )
  assert.ok(performance.now() - killedMs < 10_000, 'within seconds, on a busy machine too')
  assert.notEqual(set.status.primary?.address, set.address(0))
  const primary = set.server(set.status.primary?.address)
  assert.equal(await primary.command('GET', 'k'), '$1\r\nv\r\n')
  assert.deepEqual(
    set.sidecars.published.filter(
      ({ epoch, upstream }) => epoch === 2 && upstream.primary === undefined,
    ).length > 0,
    true,
    'sidecars were told to hold before there was a new primary',
  )
  await old.restart()
  await settled(set)
  assert.equal(await old.info('role'), 'slave')
  await until('the data is there', async () => (await old.command('GET', 'k')) === '$1\r\nv\r\n')
})

test('a primary that comes back empty at once does not empty its replicas', async (context) => {
  const set = await replicaSet(context)
  set.start()
  await settled(set)
  const [old] = set.servers
  assert.ok(old)
  await old.command('SET', 'k', 'v')
  await set.replicated()
  await old.kill()
  await old.restart()
  await set.reached(
    'a later epoch',
    () => set.status.epoch === 2 && set.status.primary !== undefined,
  )
  await settled(set)
  assert.notEqual(set.status.primary?.address, set.address(0))
  for (const server of set.servers) {
    await until(
      'the data is there',
      async () => (await server.command('GET', 'k')) === '$1\r\nv\r\n',
    )
  }
})

test('two primaries with data are both left alone, and named', async (context) => {
  const servers = await Promise.all([startServer(), startServer(), startServer()])
  for (const server of servers.slice(1)) await server.command('SET', 'mine', String(server.port))
  const set = harness(context, servers)
  set.start()
  await set.reached('stalled', () => set.status.phase === 'Stalled')
  assert.equal(set.condition('Stalled'), 'True/MultiplePrimaries')
  assert.equal(set.condition('SinglePrimary'), 'False/MultiplePrimaries')
  const message = set.status.conditions?.find(({ type }) => type === 'Stalled')?.message ?? ''
  assert.match(message, new RegExp(`${set.address(1)}, ${set.address(2)}`))
  for (const server of servers) assert.equal(await server.info('role'), 'master')
  assert.equal(set.sidecars.last?.upstream.primary, undefined)
})

test('empty strangers are made replicas of the one that has data', async (context) => {
  const servers = await Promise.all([startServer(), startServer(), startServer()])
  await servers[1]?.command('SET', 'k', 'v')
  const set = harness(context, servers)
  set.start()
  await settled(set)
  assert.equal(set.status.primary?.address, set.address(1))
})

test('a stranger with data of its own that joins later is left alone', async (context) => {
  const set = await replicaSet(context, { count: 2 })
  set.start()
  await settled(set)
  const stranger = await startServer()
  context.after(() => stranger.stop())
  await stranger.command('SET', 'precious', 'yes')
  const [key] = set.provider.keys()
  const proxy = key && set.provider.get(key)
  assert.ok(proxy)
  const { backend } = proxy.spec
  const endpoint = { host: '127.0.0.1', port: stranger.port, promotable: true }
  set.provider.changeSpec({
    ...proxy.spec,
    backend: { ...backend, endpoints: [...backend.endpoints, endpoint] },
  })
  await set.reached(
    'the stranger is named',
    () => set.condition('SinglePrimary') === 'False/MultiplePrimaries',
  )
  const member = set.status.members?.find(({ address }) => address === `127.0.0.1:${stranger.port}`)
  assert.equal(member?.state, 'Stray')
  assert.equal(await stranger.info('role'), 'master')
  assert.equal(await stranger.command('GET', 'precious'), '$3\r\nyes\r\n')
})

test('replicas alone get a primary: the one with most data', async (context) => {
  const gone = await startServer()
  const servers = await Promise.all([
    startServer({ replicaOf: gone }),
    startServer({ replicaOf: gone }),
  ])
  await gone.command('SET', 'k', 'v')
  for (const server of servers) {
    await until('replicated', async () => (await server.command('GET', 'k')) === '$1\r\nv\r\n')
  }
  await gone.stop()
  const set = harness(context, servers)
  set.start()
  await settled(set)
  assert.equal(set.status.epoch, 1)
  assert.equal(set.status.lastFailover, undefined)
})

test('a replica of a primary that is not listed is not promoted', async (context) => {
  const outside = await startServer()
  context.after(() => outside.stop())
  const replica = await startServer({ replicaOf: outside })
  await until('linked', async () => (await replica.info('master_link_status')) === 'up')
  const set = harness(context, [replica])
  set.start()
  await set.reached('stalled', () => set.condition('Stalled') === 'True/PrimaryNotListed')
  assert.equal(await replica.info('role'), 'slave')
})

test('all down and back: service resumes by itself', async (context) => {
  const set = await replicaSet(context)
  set.start()
  await settled(set)
  await Promise.all(set.servers.map((server) => server.kill()))
  await set.reached(
    'down is said',
    () =>
      set.condition('PrimaryAvailable') === 'False/NoEligibleCandidate' &&
      set.condition('BackendReachable') === 'False/NoneReachable',
  )
  for (const server of set.servers) await server.restart()
  await set.reached('a primary again', () => (set.status.epoch ?? 0) > 1 && set.inOrder())
})

test('no server at the start: it waits, says so, and goes on when there is one', async (context) => {
  const set = await replicaSet(context)
  await Promise.all(set.servers.map((server) => server.kill()))
  set.start()
  await set.reached(
    'waiting',
    () => set.condition('PrimaryAvailable') === 'False/NoServerReachable',
  )
  assert.equal(set.status.phase, 'Waiting')
  for (const server of set.servers) await server.restart()
  await settled(set)
})

for (const call of ['replicate', 'promote'] as const) {
  test(`a controller that dies at ${call} is continued by the next one`, async (context) => {
    const set = await replicaSet(context)
    const died = set.startAndDieAt(call)
    await settled(set)
    await set.servers[0]?.kill()
    await died
    await set.stopController()
    assert.equal(set.status.epoch, 2)
    assert.ok(set.status.intent, 'the intent is on record')
    const target = set.status.intent.target
    set.provider.setLeader(true)
    set.start()
    await set.reached('a primary', () => set.status.primary !== undefined)
    assert.equal(set.status.epoch, 2, 'the same failover was finished')
    if (target !== undefined) assert.equal(set.status.primary?.address, target)
  })
}

test('without leadership nothing is sent to a server', async (context) => {
  const set = await replicaSet(context)
  set.start()
  await settled(set)
  set.provider.setLeader(false)
  await set.servers[0]?.kill()
  const [, replica] = set.servers
  assert.ok(replica)
  await until(
    'the replica lost it',
    async () => (await replica.info('master_link_status')) === 'down',
  )
  const writes = set.sidecars.published.length
  await until('longer than a failover takes', elapsed(1500))
  assert.equal(set.status.epoch, 1)
  assert.equal(set.sidecars.published.length, writes)
  for (const server of set.servers.slice(1)) assert.equal(await server.info('role'), 'slave')
  set.provider.setLeader(true)
  await set.reached(
    'the failover',
    () => set.status.epoch === 2 && set.status.primary !== undefined,
  )
})

test('policy Observe reports and does nothing', async (context) => {
  const set = await replicaSet(context, { spec: '  failover: {policy: Observe, downAfter: 500ms}' })
  set.start()
  await settled(set)
  await set.servers[0]?.kill()
  await set.reached('down is said', () => set.condition('PrimaryAvailable') === 'False/PrimaryDown')
  assert.equal(set.status.epoch, 1)
  for (const server of set.servers.slice(1)) assert.equal(await server.info('role'), 'slave')
})

test('a hung primary is replaced only when every sidecar has let go of it', async (context) => {
  const spec = '  failover: {downAfter: 500ms}'
  const args = ['--repl-timeout', '3', '--repl-ping-replica-period', '1']
  const primary = await startServer({ args })
  const replica = await startServer({ args, replicaOf: primary })
  const set = harness(context, [primary, replica], spec)
  set.sidecars.ids = ['a', 'b']
  set.sidecars.deaf.add('b')
  set.start()
  await set.reached('a primary', () => set.status.primary !== undefined)
  primary.signal('SIGSTOP')
  await set.reached(
    'fencing',
    () => set.condition('PrimaryAvailable') === 'False/WaitingForFencing',
  )
  assert.equal(set.status.epoch, 2)
  assert.equal(await replica.info('role'), 'slave')
  set.sidecars.ids = ['a']
  await set.reached('a promotion', () => set.status.primary?.address === set.address(1))
  primary.signal('SIGCONT')
  await set.reached(
    'the old one as a replica, its history known',
    () => set.inOrder() && set.status.lastFailover?.lostBytes !== undefined,
  )
  assert.equal(set.status.lastFailover?.lostBytes, 0)
  assert.equal(await primary.info('role'), 'slave')
})

test('a standalone server that was restarted is recorded anew', async (context) => {
  const server = await startServer()
  const set = harness(context, [server])
  set.start()
  await set.reached('ready', () => set.inOrder())
  await server.kill()
  await set.reached('down is said', () => set.condition('PrimaryAvailable').startsWith('False'))
  await server.restart()
  await set.reached('ready again', () => set.inOrder() && set.status.epoch === 2)
  assert.equal(set.status.primary?.runId, await server.info('run_id'))
})

function elapsed(ms: number): () => boolean {
  const start = performance.now()
  return () => performance.now() - start > ms
}
