/** The clusters that other tests use do what is said of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../support/certificates.ts'
import { startCluster } from '../../support/cluster.ts'
import { serverPrograms } from '../../support/server-versions.ts'
import { until } from '../../support/servers.ts'

test('a cluster is ready, moves slots with their keys, fails over and heals', async (t) => {
  const cluster = await startCluster({ nodeTimeoutMs: 1000 })
  t.after(() => cluster.stop())
  assert.equal(cluster.nodes.length, 6)
  assert.equal((await cluster.slotsOf(0)).length, 5462)
  const key = await cluster.keyOf(0)
  const slot = await cluster.slotOf(key)
  const [source, target] = [await cluster.primaryOf(0), await cluster.primaryOf(1)]
  await source.ask('SET', key, 'there')

  const move = await cluster.slotMove(slot, 1)
  await move.open()
  await assert.rejects(source.ask('GET', `{${key}}other`), /^ReplyError: ASK/)
  assert.equal(await move.moveKeys(), true)
  assert.equal(await move.moveKeys(), false)
  await move.close()
  assert.equal(await target.ask('GET', key), 'there')
  await assert.rejects(source.ask('GET', key), new RegExp(`MOVED ${slot} 127.0.0.1:${target.port}`))
  assert.equal(await cluster.nodeOf(key), target)
  assert.equal((await cluster.moveSlots(2, 1, 3)).length, 3)
  await cluster.agree()

  const promoted = await cluster.failOver(1)
  assert.notEqual(promoted, target)
  assert.equal(await promoted.ask('GET', key), 'there')

  const killed = await cluster.killPrimary(2)
  const heir = await cluster.primaryIsNot(killed)
  assert.equal(heir.shard, 2)
  await cluster.restart(killed)
  await cluster.agree()
  assert.match(await killed.server.command('ROLE'), /slave/)

  cluster.pause(heir)
  const again = await cluster.primaryIsNot(heir)
  assert.equal(again, killed)
  cluster.resume(heir)
  await cluster.agree()
})

test('a cluster has a password, TLS, and replicas that come and go', async (t) => {
  const authority = createAuthority(t)
  const tls = { ...authority.issue('node'), caFile: authority.caFile }
  const cluster = await startCluster({ primaries: 2, replicasPerPrimary: 0, password: 'pw', tls })
  t.after(() => cluster.stop())
  const key = await cluster.keyOf(0)
  await (await cluster.nodeOf(key)).ask('SET', key, '1')
  await cluster.moveSlots(0, 1, [await cluster.slotOf(key)])
  const owner = await cluster.nodeOf(key)
  assert.equal(owner.shard, 1)
  assert.equal(await owner.ask('GET', key), '1')

  const replica = await cluster.addReplica(1)
  await until('the replica has the key', async () => {
    return (await replica.server.command('DBSIZE')) === ':1\r\n'
  })
  await cluster.forget(replica)
  assert.equal((await cluster.view()).length, 2)
})

test('a cluster can be of the newest Valkey', async (t) => {
  const programs = await serverPrograms({ isOffline: true })
  const program = programs.findLast(({ name }) => name === 'valkey')
  if (program === undefined) return t.skip('no Valkey is here: npm run servers')
  const cluster = await startCluster({ replicasPerPrimary: 0, program })
  t.after(() => cluster.stop())
  const key = await cluster.keyOf(2)
  const owner = await cluster.nodeOf(key)
  assert.match(await owner.server.info('valkey_version'), /^\d/)
  await owner.ask('SET', key, 'x')
  await cluster.moveSlots(2, 0, [await cluster.slotOf(key)])
  assert.equal(await (await cluster.nodeOf(key)).ask('GET', key), 'x')
  assert.equal((await cluster.nodeOf(key)).shard, 0)
})

test('nodes that take each other for the owner of a slot are told who is', async (t) => {
  const cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0 })
  t.after(() => cluster.stop())
  const [slot = 0] = await cluster.moveSlots(0, 1, 1)
  await cluster.agree()
  const [old, own] = [await cluster.primaryOf(0), await cluster.primaryOf(1)]
  await own.ask('CLUSTER', 'SETSLOT', String(slot), 'NODE', old.id)
  await cluster.agree()
  assert.equal(await cluster.ownerOf(slot), own)
})
