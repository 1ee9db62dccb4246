/** The connections to every server of a backend: made when asked for, ended when they are not wanted any more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import { silentLog } from '../../../common/log.ts'
import { FileWatch } from '../../../common/secret-files.ts'
import { newCounters } from '../../../sidecar/data-plane.ts'
import { Turn } from '../../../sidecar/net/turn.ts'
import { UpstreamAccess } from '../../../sidecar/upstream/access.ts'
import { ScriptMemory } from '../../../sidecar/upstream/script-memory.ts'
import { ServerPool } from '../../../sidecar/upstream/server-pool.ts'
import { startServer } from '../../support/servers.ts'
import { configFor, until } from './harness.ts'

test('servers are connected when asked for and left when nobody wants them', async (t) => {
  const servers = [await startServer(), await startServer()] as const
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  const counters = newCounters()
  const events = { onReady() {}, onReserve() {}, onViewChange() {}, onReadOnly() {} }
  const pool = new ServerPool(events, {
    clock: systemClock,
    access: new UpstreamAccess(new FileWatch(silentLog, counters), {}),
    counters,
    turn: new Turn(),
    random: Math.random,
    scripts: new ScriptMemory(),
    log: silentLog,
  })
  t.after(() => pool.disconnect())
  const [one, other] = servers.map(({ host, port }) => ({ host, port }))
  if (one === undefined || other === undefined) throw new Error('no server')
  assert.equal(pool.get(one, 'member'), undefined, 'nothing is known of how servers are reached')
  pool.use(configFor(servers[0]))
  const first = pool.get(one, 'member')
  const second = pool.get(other, 'primary')
  if (first === undefined || second === undefined) throw new Error('no connections')
  assert.equal(pool.get(one, 'member'), first)
  assert.notEqual(pool.get(other, 'reader'), second, 'another role is another thing')
  await until('both are there', () => first.isReady && second.isReady)
  pool.retain(new Set([first]))
  assert.equal(pool.get(other, 'primary'), second, 'it was wanted again in time')
  pool.retain(new Set([first]))
  pool.watchLiveness(systemClock.monotonicMs())
  assert.equal(second.isReady, false, 'nothing was in flight')
  assert.equal(first.isReady, true)
  pool.retain(new Set(), true)
  assert.equal(first.isReady, false)
  assert.deepEqual([...pool.all()], [pool.primary])
})
