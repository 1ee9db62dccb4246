/** Who is primary and who are the replicas, learnt from any member. */
import assert from 'node:assert/strict'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import { verifyConfig } from '../../../sidecar/verify/index.ts'
import { startReplicated } from '../../support/replicas.ts'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { at, connect, knows, replicatedConfig, startFront } from './harness.ts'

async function stopping(t: TestContext, server: Promise<RedisServer>): Promise<RedisServer> {
  const started = await server
  t.after(() => started.stop())
  return started
}

test('from one replica the primary and all replicas are learnt, those of replicas too', async (t) => {
  const rig = await startReplicated({ replicas: 2 })
  t.after(() => rig.stop())
  const [first, second] = rig.replicas.map(({ server }) => server)
  assert.ok(first && second)
  const below = await stopping(t, startServer({ replicaOf: first }))
  const front = await startFront(t, replicatedConfig([second]))
  await knows(front, rig.primary, [first, second, below])
  assert.equal(await (await front.client()).ask('SET', 'a', '1'), '+OK\r\n')
  // So it is before a configuration comes into force.
  const current = front.keeper.config
  const verified = await verifyConfig(replicatedConfig([second]), {
    env: process.env,
    current,
    connects: true,
  })
  assert.deepEqual(verified.reasons, [])
  assert.equal(verified.primary && at(verified.primary), at(rig.primary))
})

test('replicas that come are learnt, and the epoch of the primary stays', async (t) => {
  const rig = await startReplicated({ replicas: 1 })
  t.after(() => rig.stop())
  const front = await startFront(t, replicatedConfig([rig.primary]))
  await knows(
    front,
    rig.primary,
    rig.replicas.map(({ server }) => server),
  )
  const epoch = front.keeper.config?.epoch
  await rig.addReplica()
  await knows(
    front,
    rig.primary,
    rig.replicas.map(({ server }) => server),
  )
  assert.equal(front.keeper.config?.epoch, epoch)
  // Another setting of the same backend changes nobody.
  const known = [front.primary(), ...front.replicas()]
  await front.keeper.replace({ ...replicatedConfig([rig.primary]), logLevel: 'warn' })
  assert.equal(front.keeper.config?.logLevel, 'warn')
  assert.deepEqual([front.primary(), ...front.replicas()], known)
})

test('a replica is known by the address that it announces', async (t) => {
  const primary = await stopping(t, startServer())
  const port = await freePort()
  const announced = ['--replica-announce-ip', '127.0.0.2', '--replica-announce-port', String(port)]
  const args = [...announced, '--bind', '127.0.0.2 127.0.0.1']
  await stopping(t, startServer({ port, replicaOf: primary, args }))
  const front = await startFront(t, replicatedConfig([primary]))
  await knows(front, primary, [{ host: '127.0.0.2', port }])
})

test('a failover to a replica that nobody configured is followed', async (t) => {
  const rig = await startReplicated({ replicas: 2 })
  t.after(() => rig.stop())
  const [first, second] = rig.replicas.map(({ server }) => server)
  assert.ok(first && second)
  const front = await startFront(t, replicatedConfig([rig.primary]))
  await knows(front, rig.primary, [first, second])
  await rig.primary.kill()
  await second.command('REPLICAOF', 'NO', 'ONE')
  await first.command('REPLICAOF', second.host, String(second.port))
  await until('it is followed', () => front.primary() === at(second))
})

test('a lone server that says that it is a master moves nobody', async (t) => {
  const rig = await startReplicated({ replicas: 2 })
  t.after(() => rig.stop())
  const liar = await stopping(t, startServer())
  const believer = await stopping(t, startServer({ replicaOf: liar }))
  await until('it believes', async () => (await believer.command('ROLE')).includes('connected'))
  const [first, second] = rig.replicas.map(({ server }) => server)
  assert.ok(first && second)
  const front = await startFront(t, replicatedConfig([liar, first]))
  await knows(front, rig.primary, [first, second])
  // From here the primary cannot be asked any more; the replicas hear it still.
  await rig.primary.command('CONFIG', 'SET', 'requirepass', 'another')
  const killer = await connect(t, rig.primary.port)
  await killer.ask('AUTH', 'another')
  await killer.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until('it cannot be used', () => front.plane.view().primary === 'failing')
  await front.lookedAgain()
  assert.equal(front.primary(), at(rig.primary))
})

test('a backend whose addresses all change is found again by its names', async (t) => {
  const before = await startReplicated({ replicas: 1 })
  t.after(() => before.stop())
  const { port } = before.primary
  const addresses = ['127.0.0.1']
  nameStandsFor(t, addresses)
  const front = await startFront(t, replicatedConfig([{ host: 'cache.test', port }]))
  const client = await front.client()
  assert.equal(await client.ask('SET', 'a', '1'), '+OK\r\n')
  await before.stop()
  addresses[0] = '127.0.0.2'
  const args = ['--bind', '127.0.0.2 127.0.0.1']
  const primary = await stopping(t, startServer({ port, args }))
  const replica = await stopping(t, startServer({ replicaOf: primary }))
  await until('it serves again', async () => {
    return (await (await front.client()).ask('SET', 'a', '2')) === '+OK\r\n'
  })
  await until('the new replica is known', () => front.replicas().includes(at(replica)))
  assert.equal(front.primary(), `cache.test:${port}`)
})

test('a name that stands for several servers is all of them', async (t) => {
  const primary = await stopping(t, startServer())
  const { port } = primary
  // It is told by nobody where it is: what it announces leads nowhere.
  const announced = ['--replica-announce-ip', '127.0.0.9', '--replica-announce-port', '1']
  const args = ['--bind', '127.0.0.2', ...announced]
  await stopping(t, startServer({ port, replicaOf: primary, args }))
  nameStandsFor(t, ['127.0.0.1', '127.0.0.2'])
  const front = await startFront(t, replicatedConfig([{ host: 'cache.test', port }]))
  await knows(front, primary, [{ host: '127.0.0.2', port }])
})

/** Has every name looked up in a list, which may change. */
function nameStandsFor(t: TestContext, addresses: readonly string[]): void {
  t.mock.method(dns, 'lookup', ((
    _name: string,
    options: dns.LookupOptions,
    done: (error: null, found: unknown, family?: number) => void,
  ) => {
    if (options.all !== true) done(null, addresses[0], 4)
    else
      done(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      )
  }) as typeof dns.lookup)
  syncBuiltinESMExports()
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
}
