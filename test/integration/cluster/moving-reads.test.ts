/** Reads of replicas while slots go from one shard to another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../support/servers.ts'
import type { Client } from '../sidecar/harness.ts'
import { startRig } from './rig.ts'

const roundCount = 100

test('keys are found while their slot is moved, although replicas are read from', async (t) => {
  const { cluster, client } = await startRig(
    t,
    { primaries: 2, replicasPerPrimary: 1 },
    { upstream: { reads: { policy: 'readsToReplicas' } } },
  )
  const key = await cluster.keyOf(0)
  const other = await cluster.keyOf(1)
  const [one, writer] = [await client(), await client()]
  assert.equal(await writer.ask('SET', key, 'v'), '+OK\r\n')
  const [replica] = await cluster.replicasOf(0)
  const callCount = async () => {
    const stats = String(await replica?.ask('INFO', 'commandstats'))
    return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }
  /** How many of some reads do not give the value. */
  const wrongOf = async (reader: Client, value: string) => {
    let wrongCount = 0
    for (let round = 0; round < roundCount; round += 1) {
      if ((await reader.ask('GET', key)) !== `$1\r\n${value}\r\n`) wrongCount += 1
      const several = `*2\r\n$1\r\n${value}\r\n$-1\r\n`
      if ((await reader.ask('MGET', key, other)) !== several) wrongCount += 1
    }
    return wrongCount
  }
  const isReadFrom = async () => {
    const before = await callCount()
    await wrongOf(one, 'v')
    return (await callCount()) > before
  }
  await until('a replica is read from', isReadFrom)
  const move = await cluster.slotMove(await cluster.slotOf(key), 1)
  await move.open()
  await until('it is known', async () => !(await isReadFrom()))
  await move.moveKeys()
  assert.equal(await wrongOf(one, 'v'), 0, 'while it is moved')
  await writer.ask('SET', key, 'w')
  assert.equal(await wrongOf(writer, 'w'), 0, 'its own write')
  await move.close()
  assert.equal(await wrongOf(one, 'w'), 0, 'after it was moved')
  const [heir] = await cluster.replicasOf(1)
  await until('the other replica is read from', async () => {
    await wrongOf(one, 'w')
    return /cmdstat_get:calls=/.test(String(await heir?.ask('INFO', 'commandstats')))
  })
})
