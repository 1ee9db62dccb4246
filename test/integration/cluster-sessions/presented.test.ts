/** What clients are shown of a cluster, and what cluster clients make of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { startCluster } from '../../support/cluster.ts'
import { rigBefore, wantedProgram } from './rig.ts'

test('a cluster is shown as the configuration says', async (t) => {
  const cluster = await startCluster({ replicasPerPrimary: 0, ...(await wantedProgram()) })
  t.after(() => cluster.stop())
  const rig = (present?: 'server' | 'sidecar' | 'nodes') =>
    rigBefore(t, cluster, { upstream: { ...(present && { cluster: { present } }) } })

  await t.test('as one server, unless told', async () => {
    const client = await (await rig()).client()
    const disabled = '-ERR This instance has cluster support disabled\r\n'
    for (const words of [['SLOTS'], ['SHARDS'], ['NODES'], ['INFO'], ['KEYSLOT', 'a'], ['MYID']]) {
      assert.equal(await client.ask('CLUSTER', ...words), disabled)
    }
    assert.equal(await client.ask('READONLY'), disabled)
    assert.match(await client.ask('CLUSTER', 'KEYSLOT'), /^-ERR wrong number of arguments/)
    const info = await client.ask('INFO')
    assert.match(info, /\r\n(redis|server)_mode:standalone\r\n/)
    assert.match(info, /\r\ncluster_enabled:0\r\n/)
    assert.equal(info.length, info.indexOf('\r\n') + 4 + Number(/^\$(\d+)/.exec(info)?.[1]))
    assert.match(await client.ask('HELLO', '2'), /\$4\r\nmode\r\n\$10\r\nstandalone\r\n/)
    client.send('INFO server\r\nPING\r\n')
    assert.match(
      (await client.replies(2)).join(''),
      /(redis|server)_mode:standalone[^]*\+PONG\r\n$/,
    )
    assert.equal(await client.ask('SELECT', '0'), '+OK\r\n')
    assert.equal(await client.ask('SELECT', '1'), '-ERR SELECT is not allowed in cluster mode\r\n')
  })

  await t.test('as a cluster of one node, which is the sidecar', async () => {
    const { client: open, port } = await rig('sidecar')
    const client = await open()
    assert.match(
      await client.ask('CLUSTER', 'SLOTS'),
      new RegExp(`:0\r\n:16383\r\n.*:${port}\r\n`, 's'),
    )
    assert.equal(await client.ask('CLUSTER', 'KEYSLOT', '{a}b'), ':15495\r\n')
    assert.match(await client.ask('CLUSTER', 'INFO'), /cluster_state:ok\r\n/)
    const id = (await client.ask('CLUSTER', 'MYID')).split('\r\n')[1] ?? ''
    assert.match(
      await client.ask('CLUSTER', 'NODES'),
      new RegExp(`^\\$\\d+\r\n${id} 127.0.0.1:${port}@`),
    )
    assert.equal(await client.ask('CLUSTER', 'REPLICAS', id), '*0\r\n')
    assert.match(await client.ask('CLUSTER', 'SHARDS'), new RegExp(`\\$2\r\nid\r\n\\$40\r\n${id}`))
    assert.equal(await client.ask('READONLY'), '+OK\r\n')
    await useClusterClients(port)
  })

  await t.test('as its nodes', async () => {
    const client = await (await rig('nodes')).client()
    const slots = await client.ask('CLUSTER', 'SLOTS')
    for (const { port } of cluster.nodes) assert.match(slots, new RegExp(`:${port}\r\n`))
    assert.match(await client.ask('INFO', 'cluster'), /cluster_enabled:1/)
    assert.match(await client.ask('HELLO', '2'), /\$7\r\ncluster\r\n/)
  })
})

/** They find one node, and send everything to it. */
async function useClusterClients(port: number): Promise<void> {
  const ioredis = new Cluster([{ host: '127.0.0.1', port }])
  const nodeRedis = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] })
  try {
    await nodeRedis.connect()
    for (let number = 0; number < 20; number += 1) {
      assert.equal(await ioredis.set(`k${number}`, number), 'OK')
      assert.equal(await nodeRedis.get(`k${number}`), String(number))
    }
    const reply = await ioredis.multi().set('{m}a', '1').incr('{m}a').exec()
    assert.deepEqual(reply, [
      [null, 'OK'],
      [null, 2],
    ])
  } finally {
    ioredis.disconnect()
    nodeRedis.destroy()
  }
}
