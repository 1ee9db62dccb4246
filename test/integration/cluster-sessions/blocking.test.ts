/** Commands that wait, large ones and WAIT, before a real cluster whose slots move meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCommand, until } from '../sidecar/harness.ts'
import { type ClusterRig, startClusterRig } from './rig.ts'

/** Waits until so many clients are blocked at the primary of a shard. */
async function blockedAt({ cluster }: ClusterRig, shard: number, count: number): Promise<void> {
  const primary = await cluster.primaryOf(shard)
  await until(`${count} are blocked`, async () => {
    const info = String(await primary.ask('INFO', 'clients'))
    return info.includes(`blocked_clients:${count}\r\n`)
  })
}

test('commands that wait, and large ones, find their servers', async (t) => {
  const rig = await startClusterRig(t, { replicasPerPrimary: 1 })

  await t.test('a blocked client follows its key, with what is left of its time', async () => {
    const { cluster } = rig
    const key = await rig.keyOf(0, 'k0')
    const commands = [
      ['BLPOP', key, '0'],
      ['BLMPOP', '0', '1', key, 'LEFT'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', `{${key}}s`, '0'],
      ['BRPOPLPUSH', key, `{${key}}other`, '0'],
    ]
    const clients = await Promise.all(commands.map(() => rig.client()))
    for (const [index, words] of commands.entries()) {
      clients[index]?.send(encodeCommand(words))
      await blockedAt(rig, 0, index + 1)
    }
    const late = await rig.client()
    late.send(encodeCommand(['BLPOP', key, '1.5']))
    const since = performance.now()
    await blockedAt(rig, 0, 5)
    await cluster.moveSlots(0, 1, [await cluster.slotOf(key)])
    await blockedAt(rig, 1, 5)
    assert.equal(await late.reply(), '*-1\r\n')
    const tookMs = performance.now() - since
    assert.ok(tookMs >= 1400 && tookMs < 10_000, `${tookMs} ms`)
    const owner = await cluster.primaryOf(1)
    await owner.ask('RPUSH', key, 'a', 'b', 'c')
    await owner.ask('XADD', `{${key}}s`, '1-1', 'f', 'v')
    const replies = await Promise.all(clients.map((client) => client.reply()))
    // Who comes first to the new server is served first.
    const [popped = '', several = '', read = '', moved = ''] = replies
    const elements = [popped, several, moved].map((reply) => reply.split('\r\n').at(-2) ?? '')
    assert.deepEqual(elements.toSorted(), ['a', 'b', 'c'])
    assert.match(popped, new RegExp(`^\\*2\r\n\\$${key.length}\r\n${key}\r\n`))
    assert.match(several, /\*1\r\n\$1\r\n.\r\n$/)
    assert.match(read, /1-1/)
    assert.deepEqual(await owner.ask('LRANGE', `{${key}}other`, '0', '-1'), [elements[2]])
  })

  await t.test(
    'a client that blocks at one shard delays nobody, and is unblocked by its own id',
    async () => {
      const [client, other] = [await rig.client(), await rig.client()]
      const key = await rig.keyOf(2, 'k1')
      const id = (await client.ask('CLIENT', 'ID')).slice(1, -2)
      client.send(encodeCommand(['BLPOP', key, '0']) + encodeCommand(['PING']))
      await blockedAt(rig, 2, 1)
      assert.equal(await other.ask('CLIENT', 'UNBLOCK', id), ':1\r\n')
      assert.deepEqual(await client.replies(2), ['*-1\r\n', '+PONG\r\n'])
      const [one, two] = [await rig.keyOf(0, 'k1'), await rig.keyOf(1, 'k1')]
      assert.match(await client.ask('BLPOP', one, two, '0'), /^-CROSSSLOT/)
      client.send(encodeCommand(['BLPOP', key, '0']))
      await blockedAt(rig, 2, 1)
      client.socket.destroy()
      await blockedAt(rig, 2, 0)
    },
  )

  await t.test('a blocked client outlives a failover that was agreed on', async () => {
    const { cluster } = rig
    const client = await rig.client()
    const key = await rig.keyOf(1, 'k2')
    client.send(encodeCommand(['BLPOP', key, '0']))
    await blockedAt(rig, 1, 1)
    const heir = await cluster.failOver(1)
    await blockedAt(rig, 1, 1)
    await heir.ask('RPUSH', key, 'x')
    assert.equal(await client.reply(), `*2\r\n$${key.length}\r\n${key}\r\n$1\r\nx\r\n`)
  })

  await t.test(
    'a large value goes to the server of its key; one whose slot has moved is refused whole',
    async () => {
      const { cluster } = rig
      const client = await rig.client()
      const key = await rig.keyOf(1, 'k3')
      const value = 'v'.repeat(1_000_000)
      // A look from before the failover may have come after it; who has a primary by that is refused, too.
      await until('its primary is known', async () => {
        const reply = await client.ask('SET', key, value)
        assert.match(reply, /^(\+OK|-TRYAGAIN )/)
        return reply === '+OK\r\n'
      })
      assert.equal(await (await cluster.primaryOf(1)).ask('STRLEN', key), value.length)
      // A look around of its own may tell the sidecar of the move before the server does.
      const slot = await cluster.slotOf(key)
      await until('the server refuses it', async () => {
        await cluster.moveSlots(1, 2, [slot])
        const reply = await client.ask('SET', key, `${value}2`)
        if (reply !== '+OK\r\n') {
          assert.match(reply, /^-TRYAGAIN /)
          assert.equal(await (await cluster.primaryOf(2)).ask('STRLEN', key), value.length)
          return true
        }
        await cluster.moveSlots(2, 1, [slot])
        await until('it is written again', async () => {
          return (await client.ask('SET', key, value)) === '+OK\r\n'
        })
        return false
      })
      assert.equal(await client.ask('SET', key, `${value}2`), '+OK\r\n')
      assert.equal(await (await cluster.primaryOf(2)).ask('STRLEN', key), value.length + 1)
      await client.ask('MULTI')
      assert.equal(await client.ask('SET', key, value), '+QUEUED\r\n')
      assert.equal(await client.ask('STRLEN', key), '+QUEUED\r\n')
      assert.equal(await client.ask('EXEC'), '*2\r\n+OK\r\n:1000000\r\n')
      await client.ask('MULTI')
      assert.equal(await client.ask('SET', key, `${value}2`), '+QUEUED\r\n')
      await cluster.moveSlots(2, 0, [await cluster.slotOf(key)])
      assert.match(await client.ask('EXEC'), /^-EXECABORT .*nothing of it was run/)
      assert.equal(await (await cluster.primaryOf(0)).ask('STRLEN', key), value.length)
      assert.equal(await client.ask('PING'), '+PONG\r\n')
    },
  )

  await t.test('WAIT is what the shard with the fewest replicas says', async () => {
    const client = await rig.client()
    for (const shard of [0, 1, 2]) {
      await client.ask('MULTI')
      await client.ask('SET', await rig.keyOf(shard, 'k4'), '1')
      await client.ask('EXEC')
    }
    assert.equal(await client.ask('WAIT', '1', '5000'), ':1\r\n')
    const [replica] = await rig.cluster.replicasOf(1)
    if (replica !== undefined) rig.cluster.pause(replica)
    await client.ask('MULTI')
    await client.ask('SET', await rig.keyOf(1, 'k4'), '2')
    await client.ask('EXEC')
    assert.equal(await client.ask('WAIT', '1', '300'), ':0\r\n')
    assert.match(await client.ask('WAIT', 'x', '300'), /^-ERR/)
    if (replica !== undefined) rig.cluster.resume(replica)
  })
})

test('clients that are blocked for long outlive more than one change of their servers', async (t) => {
  const holdTimeoutMs = 3000
  const rig = await startClusterRig(t, { replicasPerPrimary: 1 }, { timing: { holdTimeoutMs } })
  const { cluster } = rig
  const [moved, led] = [await rig.keyOf(0), await rig.keyOf(1)]
  const slot = await cluster.slotOf(moved)
  const [mover, follower] = [await rig.client(), await rig.client()]
  mover.send(encodeCommand(['BLPOP', moved, '0']))
  await blockedAt(rig, 0, 1)
  follower.send(encodeCommand(['BLPOP', led, '0']))
  await blockedAt(rig, 1, 1)
  await cluster.moveSlots(0, 2, [slot])
  await blockedAt(rig, 2, 1)
  await cluster.failOver(1)
  await blockedAt(rig, 1, 1)
  const sinceMs = performance.now()
  await until('the next change is another one', () => performance.now() > sinceMs + holdTimeoutMs)
  await cluster.moveSlots(2, 0, [slot])
  await blockedAt(rig, 0, 1)
  const heir = await cluster.failOver(1)
  await blockedAt(rig, 1, 1)
  await heir.ask('RPUSH', led, 'x')
  await (await cluster.primaryOf(0)).ask('RPUSH', moved, 'y')
  assert.match(await follower.reply(), /\r\nx\r\n$/)
  assert.match(await mover.reply(), /\r\ny\r\n$/)
})
