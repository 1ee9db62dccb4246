/** Subscribers that know no cluster, before a real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, encodeCommand, until } from '../sidecar/harness.ts'
import { startClusterRig } from './rig.ts'

const array = (words: readonly string[], count: number, type = '*') =>
  `${type}3\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}:${count}\r\n`
const frame = (words: readonly string[], type = '*') =>
  `${type}${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`

test('subscribers hear what is said at any server', async (t) => {
  const rig = await startClusterRig(t, { args: ['--notify-keyspace-events', 'KEA'] })

  for (const protocol of ['2', '3']) {
    const type = protocol === '3' ? '>' : '*'
    await t.test(
      `shard channels of all shards are heard, and follow their slots, in RESP${protocol}`,
      async () => {
        const { cluster } = rig
        const client = await rig.client()
        await client.ask('HELLO', protocol)
        const names = await Promise.all(
          [0, 1, 2].map((shard) => rig.keyOf(shard, `channel${protocol}`)),
        )
        client.send(encodeCommand(['SSUBSCRIBE', ...names]))
        const confirmed = names.map((name, index) => array(['ssubscribe', name], index + 1, type))
        assert.deepEqual(await client.replies(3), confirmed)
        const publish = async (name: string, text: string) =>
          (await cluster.nodeOf(name)).ask('SPUBLISH', name, text)
        for (const name of names) {
          assert.equal(await publish(name, `to ${name}`), 1)
          assert.equal(await client.reply(), frame(['smessage', name, `to ${name}`], type))
        }
        const [moved = ''] = names
        await cluster.moveSlots(0, 2, [await cluster.slotOf(moved)])
        await until('it is heard where it is now', async () => (await publish(moved, 'x')) === 1)
        assert.equal(await client.reply(), frame(['smessage', moved, 'x'], type))
        if (protocol === '2')
          assert.match(await client.ask('GET', 'k'), /^-ERR Can't execute 'get'/)
        if (protocol === '2') assert.equal(await client.ask('PING', 'a'), frame(['pong', 'a']))
        else assert.equal(await client.ask('MULTI'), '+OK\r\n')
        if (protocol === '3') assert.equal(await client.ask('DISCARD'), '+OK\r\n')
        assert.equal(
          await client.ask('SUNSUBSCRIBE', moved),
          array(['sunsubscribe', moved], 2, type),
        )
        assert.equal(await publish(moved, 'y'), 0)
        client.send(encodeCommand(['SUNSUBSCRIBE']))
        assert.equal((await client.replies(2))[1]?.endsWith(':0\r\n'), true)
        assert.equal(await client.ask('ECHO', 'free'), '$4\r\nfree\r\n')
        await until('its connections are gone', () => rig.plane.view().pinnedConnections === 0)
      },
    )
  }

  await t.test('a subscriber in RESP3 may go back to RESP2, at all of its servers', async () => {
    const client = await rig.client()
    await client.ask('HELLO', '3')
    const names = await Promise.all([0, 1, 2].map((shard) => rig.keyOf(shard, 'spoken')))
    client.send(encodeCommand(['SSUBSCRIBE', ...names]))
    await client.replies(3)
    assert.match(await client.ask('HELLO', '2'), /^\*14\r\n.*\$5\r\nproto\r\n:2\r\n/s)
    for (const name of names) {
      assert.equal(await (await rig.cluster.nodeOf(name)).ask('SPUBLISH', name, 'in arrays'), 1)
      assert.equal(await client.reply(), frame(['smessage', name, 'in arrays']))
    }
    assert.match(await client.ask('HELLO', '3'), /^-ERR Can't execute 'hello'/)
    client.send(encodeCommand(['SUNSUBSCRIBE']))
    assert.equal((await client.replies(3))[2]?.endsWith(':0\r\n'), true)
    assert.equal(await client.ask('ECHO', 'free'), '$4\r\nfree\r\n')
  })

  await t.test('what servers tell of their own keys is heard from all of them, once', async () => {
    const client = await rig.client()
    const pattern = '__keyspace@0__:k1*'
    assert.equal(await client.ask('PSUBSCRIBE', pattern), array(['psubscribe', pattern], 1))
    for (const shard of [0, 1, 2]) {
      const key = await rig.keyOf(shard, 'k1')
      await (await rig.cluster.primaryOf(shard)).ask('SET', key, '1')
      assert.equal(
        await client.reply(),
        frame(['pmessage', pattern, `__keyspace@0__:${key}`, 'set']),
      )
    }
    assert.equal(await client.ask('PUNSUBSCRIBE'), array(['punsubscribe', pattern], 0))
    assert.equal(await client.ask('UNSUBSCRIBE'), '*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n')
  })

  await t.test(
    'large messages of several shards come whole, between replies, in RESP3',
    async () => {
      const client = await rig.client()
      await client.ask('HELLO', '3')
      const names = await Promise.all([0, 1, 2].map((shard) => rig.keyOf(shard, 'large')))
      client.send(encodeCommand(['SSUBSCRIBE', ...names]))
      await client.replies(3)
      const text = 'm'.repeat(300_000)
      const count = 10
      const published = names.map(async (name) => {
        const node = await rig.cluster.nodeOf(name)
        for (let left = count; left > 0; left -= 1) await node.ask('SPUBLISH', name, name + text)
      })
      const value = 'v'.repeat(200_000)
      for (let left = count; left > 0; left -= 1) client.send(encodeCommand(['ECHO', value]))
      const all = await client.replies(4 * count)
      await Promise.all(published)
      const expected = [`$${value.length}\r\n${value}\r\n`]
      for (const name of names) expected.push(frame(['smessage', name, name + text], '>'))
      for (const one of expected) assert.equal(all.filter((reply) => reply === one).length, count)
    },
  )
})

test('a subscriber hears classic channels and patterns wherever they are published, and moves on', async (t) => {
  const rig = await startClusterRig(t, { replicasPerPrimary: 1, nodeTimeoutMs: 500 })
  const { cluster } = rig
  const clients = await Promise.all([1, 2, 3].map(() => rig.client()))
  for (const client of clients) {
    assert.equal(await client.ask('SUBSCRIBE', 'news'), array(['subscribe', 'news'], 1))
    assert.equal(await client.ask('PSUBSCRIBE', 'n?wer'), array(['psubscribe', 'n?wer'], 2))
  }
  const hear = async (client: Client) => {
    assert.equal(await client.reply(), frame(['message', 'news', 'a']))
    assert.equal(await client.reply(), frame(['pmessage', 'n?wer', 'newer', 'b']))
  }
  for (const shard of [0, 1, 2]) {
    const node = await cluster.primaryOf(shard)
    await node.ask('PUBLISH', 'news', 'a')
    await node.ask('PUBLISH', 'newer', 'b')
    await Promise.all(clients.map(hear))
  }
  const killed = await cluster.killPrimary(0)
  const node = await cluster.primaryOf(1)
  // Who was connected to the killed one is connected to another.
  await until('all are subscribed again', async () => {
    const counts = await Promise.all(
      cluster.present.map(async (one) => (await one.ask('PUBSUB', 'NUMSUB', 'news')) as unknown[]),
    )
    return counts.reduce((sum, [, count]) => sum + Number(count), 0) === clients.length
  })
  await node.ask('PUBLISH', 'news', 'a')
  await node.ask('PUBLISH', 'newer', 'b')
  await Promise.all(clients.map(hear))
  await cluster.primaryIsNot(killed)
})
