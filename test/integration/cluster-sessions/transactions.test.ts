/** Transactions of clients that know no cluster, before a real one whose slots move meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCommand, until } from '../sidecar/harness.ts'
import { startClusterRig } from './rig.ts'

test('transactions find their servers, and go over with their slots', async (t) => {
  const rig = await startClusterRig(t)

  await t.test(
    'a transaction goes to the server of its first key, whatever comes before that',
    async () => {
      const client = await rig.client()
      for (const shard of [0, 1, 2]) {
        const key = await rig.keyOf(shard, 'k0')
        assert.equal(await client.ask('MULTI'), '+OK\r\n')
        assert.equal(await client.ask('ECHO', 'a'), '+QUEUED\r\n')
        assert.equal(await client.ask('SET', key, `v${shard}`), '+QUEUED\r\n')
        assert.equal(await client.ask('GET', key), '+QUEUED\r\n')
        assert.equal(await client.ask('EXEC'), `*3\r\n$1\r\na\r\n+OK\r\n$2\r\nv${shard}\r\n`)
        assert.equal(await (await rig.cluster.primaryOf(shard)).ask('GET', key), `v${shard}`)
      }
      const key = await rig.keyOf(1, 'k0')
      const whole = [['MULTI'], ['INCR', 'n{x}'], ['INCR', 'n{x}'], ['EXEC']]
      client.send(whole.map(encodeCommand).join(''))
      assert.deepEqual(await client.replies(4), [
        '+OK\r\n',
        '+QUEUED\r\n',
        '+QUEUED\r\n',
        '*2\r\n:1\r\n:2\r\n',
      ])
      assert.equal(await client.ask('MULTI'), '+OK\r\n')
      assert.equal(await client.ask('EXEC'), '*0\r\n')
      assert.equal(await client.ask('MULTI'), '+OK\r\n')
      assert.equal(await client.ask('DISCARD'), '+OK\r\n')
      assert.equal(await client.ask('EXEC'), '-ERR EXEC without MULTI\r\n')
      assert.equal(await client.ask('MULTI'), '+OK\r\n')
      assert.match(await client.ask('NOSUCH'), /^-ERR unknown command/)
      assert.equal(await client.ask('SET', key, 'no'), '+QUEUED\r\n')
      assert.match(await client.ask('EXEC'), /^-EXECABORT/)
      assert.equal(await (await rig.cluster.primaryOf(1)).ask('GET', key), 'v1')
    },
  )

  await t.test('keys of two slots in one transaction are refused as in a cluster', async () => {
    const client = await rig.client()
    const [one, two] = [await rig.keyOf(0, 'k1'), await rig.keyOf(1, 'k1')]
    const crossSlot = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    await client.ask('MULTI')
    assert.equal(await client.ask('SET', one, '1'), '+QUEUED\r\n')
    assert.equal(await client.ask('SET', two, '1'), crossSlot)
    assert.match(await client.ask('EXEC'), /^-EXECABORT/)
    await client.ask('MULTI')
    assert.equal(await client.ask('MSET', one, '1', two, '1'), crossSlot)
    assert.match(await client.ask('EXEC'), /^-EXECABORT/)
    assert.equal(await (await rig.cluster.primaryOf(0)).ask('EXISTS', one), 0)
    assert.equal(await client.ask('WATCH', one, two), crossSlot)
    assert.equal(await client.ask('WATCH', one), '+OK\r\n')
    assert.equal(await client.ask('WATCH', two), crossSlot)
    await client.ask('MULTI')
    assert.equal(await client.ask('SET', two, '1'), crossSlot)
    assert.match(await client.ask('EXEC'), /^-EXECABORT/)
  })

  await t.test('WATCH sees what others write, and an empty transaction tells of it', async () => {
    const [client, other] = [await rig.client(), await rig.cluster.primaryOf(1)]
    const key = await rig.keyOf(1, 'k2')
    for (const commands of [[['SET', key, 'mine']], []]) {
      assert.equal(await client.ask('WATCH', key), '+OK\r\n')
      await other.ask('SET', key, 'theirs')
      await client.ask('MULTI')
      for (const words of commands) assert.equal(await client.ask(...words), '+QUEUED\r\n')
      assert.equal(await client.ask('EXEC'), '*-1\r\n')
      assert.equal(await other.ask('GET', key), 'theirs')
    }
    assert.equal(await client.ask('WATCH', key), '+OK\r\n')
    assert.equal(await client.ask('UNWATCH'), '+OK\r\n')
    await other.ask('SET', key, 'theirs')
    await client.ask('MULTI')
    await client.ask('SET', key, 'mine')
    assert.equal(await client.ask('EXEC'), '*1\r\n+OK\r\n')
  })

  for (const point of ['before', 'queued', 'whole'] as const) {
    await t.test(`a transaction goes over with a slot that moves: ${point}`, async () => {
      const client = await rig.client()
      const key = await rig.keyOf(0, point)
      const { cluster } = rig
      const slot = await cluster.slotOf(key)
      await client.ask('MULTI')
      if (point === 'before') await cluster.moveSlots(0, 1, [slot])
      assert.equal(await client.ask('RPUSH', key, 'a'), '+QUEUED\r\n')
      if (point === 'queued') await cluster.moveSlots(0, 1, [slot])
      assert.equal(await client.ask('RPUSH', key, 'b'), '+QUEUED\r\n')
      if (point === 'whole') await cluster.moveSlots(0, 1, [slot])
      assert.equal(await client.ask('EXEC'), '*2\r\n:1\r\n:2\r\n')
      assert.deepEqual(await (await cluster.nodeOf(key)).ask('LRANGE', key, '0', '-1'), ['a', 'b'])
      assert.equal((await cluster.nodeOf(key)).shard, 1)
    })
  }

  await t.test('a transaction in a slot that is being moved is run where the key is', async () => {
    const client = await rig.client()
    const key = await rig.keyOf(0, 'k4')
    const { cluster } = rig
    const move = await cluster.slotMove(await cluster.slotOf(key), 1)
    await move.open()
    const commands = [['MULTI'], ['INCR', key], ['INCR', key], ['EXEC']]
    client.send(commands.map(encodeCommand).join(''))
    const all = ['+OK\r\n', '+QUEUED\r\n', '+QUEUED\r\n', '*2\r\n:1\r\n:2\r\n']
    assert.deepEqual(await client.replies(4), all)
    await move.moveKeys()
    await move.close()
    assert.equal(await (await cluster.primaryOf(1)).ask('GET', key), '2')
  })

  await t.test('who watched a key whose slot moves is told that it was touched', async () => {
    const client = await rig.client()
    const { cluster } = rig
    const key = await rig.keyOf(0, 'k5')
    await (await cluster.primaryOf(0)).ask('SET', key, '1')
    assert.equal(await client.ask('WATCH', key), '+OK\r\n')
    await cluster.moveSlots(0, 1, [await cluster.slotOf(key)])
    await client.ask('MULTI')
    assert.equal(await client.ask('SET', key, '2'), '+QUEUED\r\n')
    assert.equal(await client.ask('EXEC'), '*-1\r\n')
    assert.equal(await (await cluster.primaryOf(1)).ask('GET', key), '1')
    assert.equal(await client.ask('WATCH', key), '+OK\r\n')
    await client.ask('MULTI')
    await client.ask('SET', key, '3')
    assert.equal(await client.ask('EXEC'), '*1\r\n+OK\r\n')
  })
})

test('a transaction outlives the server that queued it, unless EXEC was sent', async (t) => {
  const rig = await startClusterRig(t, { replicasPerPrimary: 1, nodeTimeoutMs: 500 })
  const client = await rig.client()
  const { cluster } = rig
  const key = await rig.keyOf(0)
  await client.ask('MULTI')
  assert.equal(await client.ask('RPUSH', key, 'a'), '+QUEUED\r\n')
  const killed = await cluster.killPrimary(0)
  assert.equal(await client.ask('RPUSH', key, 'b'), '+QUEUED\r\n')
  assert.equal(await client.ask('EXEC'), '*2\r\n:1\r\n:2\r\n')
  const heir = await cluster.primaryIsNot(killed)
  assert.deepEqual(await heir.ask('LRANGE', key, '0', '-1'), ['a', 'b'])
  await until('it is over', () => rig.plane.view().inFlightCommands === 0)
})
