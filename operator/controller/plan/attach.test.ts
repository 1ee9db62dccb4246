import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RedisProxyStatus } from '../../api/redis-proxy.ts'
import { facts, follower, history, joined, kinds, parkedAt, planFor, steady } from './fixture.ts'

const after = (over: Partial<NonNullable<RedisProxyStatus['lastFailover']>> = {}) =>
  steady({
    epoch: 5,
    primary: { address: 'b:1', runId: 'run-b', replId: 'new', since: '2026-01-01T00:00:00Z' },
    members: joined('a', 'b', 'c'),
    lastFailover: {
      kind: 'Failover',
      reason: 'x',
      from: 'a:1',
      fromReplId: history,
      to: 'b:1',
      epoch: 5,
      detectedAt: '2026-01-01T00:00:00Z',
      completedAt: '2026-01-01T00:00:00Z',
      durationMs: 1,
      branchOffset: 100,
      ...over,
    },
  })
const b = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 })

test('lost: exact, because an old primary that comes back as one is parked before it is counted', () => {
  const back = planFor({ servers: { a: facts({ offset: 6740 }), b }, status: after() })
  assert.deepEqual(kinds(back), ['park a:1'])
  assert.equal(back.status.lastFailover?.lostBytes, undefined)
  const counted = planFor({ servers: { a: parkedAt(6740), b }, status: after() })
  assert.equal(counted.status.lastFailover?.lostBytes, 6640)
  assert.deepEqual(kinds(counted), ['replicate a:1'])
  const none = planFor({ servers: { a: parkedAt(90), b }, status: after() })
  assert.equal(none.status.lastFailover?.lostBytes, 0)
})

test('lost: a restarted server counts anew, which is said once and stays', () => {
  const a = facts({ runId: 'run-a2', replId: 'other', offset: 7 })
  const { lastFailover } = planFor({ servers: { a, b }, status: after() }).status
  assert.equal(lastFailover?.lostBytes, undefined)
  assert.match(lastFailover?.lostUnknown ?? '', /restarted/)
  const known = planFor({ servers: { a, b }, status: after({ lostBytes: 3 }) }).status
  assert.equal(known.lastFailover?.lostBytes, 3)
  assert.equal(known.lastFailover.lostUnknown, undefined)
  const follows = follower({ replId: 'new', source: { host: 'b', port: 1 } })
  const { lastFailover: still } = planFor({ servers: { a: follows, b }, status: after() }).status
  assert.equal(still?.lostBytes, undefined)
  assert.match(still?.lostUnknown ?? '', /followed the new one/)
})

test('lost: of each failover, however many came after it', () => {
  const first = after().lastFailover
  assert.ok(first)
  const { lostBytes: _none, ...last } = { ...first, from: 'c:1', fromReplId: 'h2', epoch: 6 }
  const status = { ...after(), lastFailover: last, failovers: [{ ...first, branchOffset: 100 }] }
  const result = planFor({ servers: { a: parkedAt(6740), b }, status })
  assert.equal(result.status.failovers?.[0]?.lostBytes, 6640)
  assert.equal(result.status.lastFailover?.lostBytes, undefined)
  const own = { ...status, lastFailover: { ...last, from: 'b:1', to: 'c:1' } }
  const again = planFor({ servers: { a: parkedAt(6740), b }, status: own })
  assert.match(again.status.lastFailover?.lostUnknown ?? '', /became the primary again/)
})

test('diverged: joins again, or is kept as it is where the user wants that', () => {
  const servers = { a: facts({ offset: 6740 }), b }
  const spec = 'failover: {divergedPrimary: Quarantine}'
  const kept = planFor({ servers, status: after(), spec })
  assert.deepEqual(kinds(kept), ['park a:1'])
  assert.equal(kept.status.members?.[0]?.state, 'Quarantined')
  const parked = { a: parkedAt(6740), b }
  const still = planFor({ servers: parked, status: { ...after(), ...kept.status }, spec })
  assert.deepEqual(still.actions, [])
  assert.equal(still.status.members?.[0]?.state, 'Quarantined')
  const released = planFor({ servers: parked, status: { ...after(), ...kept.status } })
  assert.deepEqual(kinds(released), ['replicate a:1'])
  const same = planFor({ servers: { a: facts({ offset: 100 }), b }, status: after(), spec })
  assert.deepEqual(kinds(same), ['park a:1'])
  const counted = planFor({ servers: { a: parkedAt(100), b }, status: after(), spec })
  assert.deepEqual(kinds(counted), ['replicate a:1'])
})

test('joining: so many at a time, and one that is synchronising counts', () => {
  const servers = { a: parkedAt(50), b, c: parkedAt(60, { runId: 'run-c' }) }
  assert.deepEqual(kinds(planFor({ servers, status: after() })), ['replicate a:1'])
  const spec = 'failover: {parallelSyncs: 2}'
  assert.equal(planFor({ servers, status: after(), spec }).actions.length, 2)
  const syncing = follower({ isSyncing: true, isLinkUp: false, source: { host: 'b', port: 1 } })
  const busy = planFor({ servers: { ...servers, a: syncing }, status: after() })
  assert.deepEqual(busy.actions, [])
  assert.equal(busy.status.phase, 'Rejoining')
})

test('attach: a replica of a replica is made one of the primary, one that names it differently is left alone', () => {
  const a = facts({ runId: 'run-a' })
  const status = steady({ members: joined('a', 'b', 'c') })
  const c = follower({ runId: 'run-c', source: { host: 'b', port: 1 } })
  const chained = planFor({ servers: { a, b: follower({ runId: 'run-b' }), c }, status })
  assert.deepEqual(
    kinds(chained).filter((kind) => kind.startsWith('replicate')),
    ['replicate c:1'],
  )
  const alias = follower({ runId: 'run-b', source: { host: 'alias-of-a', port: 1 } })
  const named = planFor({ servers: { a, b: alias, c: follower({ runId: 'run-c' }) }, status })
  assert.deepEqual(
    kinds(named).filter((kind) => kind.startsWith('replicate')),
    [],
  )
  const left = follower({ replId: 'new', runId: 'run-c', source: { host: 'z.ns.svc', port: 1 } })
  const moved = planFor({ servers: { b, c: left }, status: after({ from: 'z:1' }) })
  assert.deepEqual(
    kinds(moved).filter((kind) => kind.startsWith('replicate')),
    ['replicate c:1'],
  )
})
