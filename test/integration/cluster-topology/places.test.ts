/** Where nodes are reached: by TLS and with a password, by the name that they announce, or where one was asked. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createAuthority } from '../../support/certificates.ts'
import { startCluster } from '../../support/cluster.ts'
import { serverPrograms } from '../../support/server-versions.ts'
import { until } from '../../support/servers.ts'
import { type Place, clusterConfig, keyOfSlot, reach, startTopology, untilRight } from './rig.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'

test('a cluster with a password is reached by TLS, at the ports for it', async (t) => {
  const authority = createAuthority(t)
  const tls = { ...authority.issue('node'), caFile: authority.caFile }
  const cluster = await startCluster({ primaries: 2, replicasPerPrimary: 0, password: 'pw', tls })
  t.after(() => cluster.stop())
  const passwordFile = join(authority.directory, 'password')
  writeFileSync(passwordFile, 'pw')
  const seed = { host: '127.0.0.1', port: cluster.nodes[0]?.tlsPort ?? 0 }
  const upstream = {
    credentials: { password: { file: passwordFile } },
    tls: { verify: true, caFile: authority.caFile },
  }
  const rig = startTopology(t, clusterConfig([seed], upstream))
  await until('every slot is known', () => rig.isComplete())
  for (const slot of [0, 16_383]) await reach(rig, slot)
  const ports = new Set(cluster.nodes.map(({ tlsPort }) => tlsPort))
  assert(rig.backend.shards.every(({ address }) => ports.has(address.port)))
})

test('nodes are reached by what they prefer to be called', async (t) => {
  const options = { primaries: 2, replicasPerPrimary: 0 }
  const cases = [
    { prefers: 'hostname', seedHost: '127.0.0.1', hosts: ['localhost'] },
    { prefers: 'unknown-endpoint', seedHost: 'localhost', hosts: ['localhost'] },
    { prefers: 'ip', seedHost: 'localhost', hosts: ['127.0.0.1'] },
  ]
  const args = ['--cluster-announce-hostname', 'localhost']
  const cluster = await startCluster({ ...options, args })
  t.after(() => cluster.stop())
  for (const { prefers, seedHost, hosts } of cases) {
    for (const node of cluster.nodes) {
      await node.ask('CONFIG', 'SET', 'cluster-preferred-endpoint-type', prefers)
    }
    const seed: Place = { host: seedHost, port: cluster.nodes[0]?.port ?? 0 }
    const rig = startTopology(t, clusterConfig([seed]))
    await untilRight(rig, cluster)
    assert.deepEqual([...new Set(rig.backend.shards.map(({ address }) => address.host))], hosts)
    const [slot = 0] = await cluster.slotsOf(0)
    const target = await cluster.primaryOf(1)
    await cluster.moveSlots(0, 1, [slot])
    const refusal = await (await cluster.primaryOf(0))
      .ask('GET', keyOfSlot[slot] ?? '')
      .catch(String)
    const [, host = '?', port] = /MOVED \d+ (.*):(\d+)$/.exec(String(refusal)) ?? []
    const told = rig.backend.onMoved(slot, { host, port: Number(port) })
    assert.equal(told?.address, `${hosts[0]}:${target.port}`, `${prefers}: ${refusal}`)
  }
})

const skip = isFull ? false : 'takes long: only at full size'

test('every version tells what has to be known', { skip }, async (t) => {
  const programs = await serverPrograms({ isOffline: true })
  for (const program of programs) {
    await t.test(`${program.name} ${program.version}`, async (t) => {
      const cluster = await startCluster({ program })
      t.after(() => cluster.stop())
      const seed = { host: '127.0.0.1', port: cluster.nodes[0]?.port ?? 0 }
      const rig = startTopology(t, clusterConfig([seed]))
      await untilRight(rig, cluster)
      const members = rig.backend.topologyView().shards.map((shard) => shard.members.length)
      assert.deepEqual(members, [2, 2, 2])
      const [slot = 0] = await cluster.slotsOf(0)
      await cluster.moveSlots(0, 1, [slot])
      await reach(rig, slot)
      await cluster.failOver(2)
      const [other = 0] = await cluster.slotsOf(2)
      await reach(rig, other)
      await untilRight(rig, cluster)
    })
  }
})
