/** Sentinels that know their servers, and put another in the place of a primary. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSentinels } from '../../support/sentinel.ts'

test('Sentinels fail over when asked and when the primary is gone', async (t) => {
  const rig = await startSentinels({ password: 'pw', sentinelPassword: 'other' })
  t.after(() => rig.stop())
  const [first] = rig.servers
  assert.ok(first)
  assert.equal(await rig.primary(), first)
  const client = rig.client()
  t.after(() => client.disconnect())
  await client.set('key', 'value')
  assert.equal(await client.call('WAIT', '2', '5000'), 2)

  const second = await rig.failover()
  assert.notEqual(second, first)
  assert.match(await second.command('ROLE'), /master/)
  assert.equal(await second.command('GET', 'key'), '$5\r\nvalue\r\n')

  const killed = await rig.killPrimary()
  assert.equal(killed, second)
  const third = await rig.primaryIsNot(killed)
  assert.equal(await third.command('GET', 'key'), '$5\r\nvalue\r\n')
  assert.equal(await client.get('key'), 'value')
})
