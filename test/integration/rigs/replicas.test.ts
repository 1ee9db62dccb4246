/** Replicas that lag, load and return when they are told to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startReplicated } from '../../support/replicas.ts'
import { until } from '../../support/servers.ts'

test('replicas lag, load, lose their link and are in step again', async (t) => {
  const rig = await startReplicated({ hasLinks: true })
  t.after(() => rig.stop())
  const [first, second] = rig.replicas
  assert.ok(first && second)
  const { primary } = rig

  rig.pauseLink(first)
  await primary.command('SET', 'key', 'new')
  await rig.inStep(second)
  assert.equal(await second.server.command('GET', 'key'), '$3\r\nnew\r\n')
  assert.equal(await first.server.command('GET', 'key'), '$-1\r\n')
  rig.resumeLink(first)
  await rig.inStep(first)
  assert.equal(await first.server.command('GET', 'key'), '$3\r\nnew\r\n')

  rig.pause(first)
  await primary.command('SET', 'key', 'newer')
  await until('the primary sees that it stays behind', async () => {
    const text = await primary.command('INFO', 'replication')
    const offsets = [...text.matchAll(/offset=(\d+)/g)].map(([, offset]) => Number(offset))
    return offsets.length === 2 && offsets[0] !== offsets[1]
  })
  rig.resume(first)
  await rig.inStep(first)

  await rig.startLoading(second)
  assert.equal(await second.server.info('loading'), '1')
  assert.equal(await first.server.info('loading'), '0')
  await rig.endLoading(second)
  assert.equal(await second.server.command('DBSIZE'), ':30001\r\n')

  await rig.removeReplica(second)
  await rig.addReplica()
  assert.equal(rig.replicas.length, 2)
})
