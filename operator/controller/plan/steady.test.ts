import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Seen,
  condition,
  down,
  facts,
  fencing,
  follower,
  history,
  joined,
  kinds,
  nowMs,
  parkedAt,
  planFor,
  steady,
} from './fixture.ts'

test('steady: a healthy primary with attached replicas needs nothing', () => {
  const result = planFor({
    servers: { a: facts(), b: follower({ runId: 'run-b' }) },
    status: steady(),
  })
  assert.deepEqual(result.actions, [])
  assert.equal(condition(result, 'Ready'), 'True/Ready')
  assert.equal(condition(result, 'ReplicationHealthy'), 'True/AllAttached')
})

test('steady: the history that the primary has now is recorded', () => {
  const result = planFor({ servers: { a: facts({ replId: 'new' }) }, status: steady() })
  assert.equal(result.status.primary?.replId, 'new')
  assert.equal(result.status.epoch, 4)
})

test('steady: an old primary that returns becomes a replica and what it lost is counted exactly', () => {
  const lastFailover = {
    reason: 'x',
    from: 'b:1',
    to: 'a:1',
    epoch: 4,
    detectedAt: 'x',
    completedAt: 'x',
    durationMs: 1,
    fromReplId: 'old',
    branchOffset: 80,
  }
  const a = facts({ replId2: 'old', secondReplOffset: 81 })
  const returned = facts({ runId: 'run-b', replId: 'old', offset: 95 })
  const status = steady({ members: joined('b'), lastFailover })
  assert.deepEqual(kinds(planFor({ servers: { a, b: returned }, status })), ['park b:1'])
  const parked = parkedAt(95, { runId: 'run-b', replId: 'old' })
  const result = planFor({ servers: { a, b: parked }, status })
  assert.deepEqual(kinds(result), ['replicate b:1'])
  assert.equal(result.status.lastFailover?.lostBytes, 15)
})

test('steady: a stranger with data is not touched, an empty one is taken in', () => {
  const strange = facts({ runId: 'run-b', replId: 'other' })
  const left = planFor({ servers: { a: facts(), b: strange }, status: steady() })
  assert.deepEqual(left.actions, [])
  assert.equal(left.status.members?.[1]?.state, 'Stray')
  const taken = planFor({
    servers: { a: facts(), b: { ...strange, keyCount: 0 } },
    status: steady(),
  })
  assert.deepEqual(kinds(taken), ['replicate b:1'])
})

test('steady: a replica whose link is coming up is left to itself, a parked one is attached', () => {
  const coming = follower({ isLinkUp: false, runId: 'run-b' })
  assert.deepEqual(planFor({ servers: { a: facts(), b: coming }, status: steady() }).actions, [])
  const result = planFor({
    servers: { a: facts(), b: parkedAt(9, { runId: 'run-b' }) },
    status: steady(),
  })
  assert.deepEqual(kinds(result), ['replicate b:1'])
})

test('down: refused and lost by its replicas is down after the short wait', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const early = planFor({ servers: { a: down('refused', 299), b: lostIt }, status: steady() })
  assert.equal(early.status.phase, 'Suspect')
  assert.equal(early.requeueAfterMs, 1)
  assert.equal(early.suspectForMs, 5000)
  const due = planFor({ servers: { a: down('refused', 300), b: lostIt }, status: steady() })
  assert.equal(due.status.phase, 'Fencing')
  assert.equal(due.status.epoch, 5)
  assert.equal(due.status.primary, undefined)
  assert.equal(due.status.intent?.fromRunId, 'run-a')
  assert.deepEqual(kinds(due), ['park b:1'])
})

test('down: gone after it hung up is down as if it refused, though its address leads nowhere now', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const gone = { ...down('timeout', 300), refusedSinceMs: nowMs - 300 }
  const phase = (servers: Record<string, Seen>) =>
    planFor({ servers, status: steady() }).status.phase
  assert.equal(phase({ a: gone, b: lostIt }), 'Fencing')
  assert.equal(phase({ a: down('timeout', 300), b: lostIt }), 'Suspect')
  assert.equal(phase({ a: gone, b: follower({ runId: 'run-b', lastIoSeconds: 0 }) }), 'Suspect')
})

test('fence: an address that leads nowhere is no proof that the process is gone', () => {
  const gone = { ...down('timeout', 900), refusedSinceMs: nowMs - 900 }
  const servers = { a: gone, b: parkedAt(9, { runId: 'run-b' }) }
  const result = planFor({ servers, status: fencing(), expected: ['p'] })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/WaitingForFencing')
})

test('followed: not while the old primary may still take writes', () => {
  const gone = { ...down('timeout', 900), refusedSinceMs: nowMs - 900 }
  const b = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 })
  const servers = { a: gone, b }
  const fenced = planFor({ servers, status: steady() })
  assert.equal(fenced.status.primary, undefined)
  assert.equal(fenced.status.phase, 'Fencing')
  const proven = planFor({ servers, status: steady(), fates: { a: 'its container ended' } })
  assert.equal(proven.status.primary?.address, 'b:1')
})

test('down: no answer is down after downAfter', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const servers = (ms: number) => ({ a: down('timeout', ms), b: lostIt })
  assert.equal(planFor({ servers: servers(2999), status: steady() }).status.phase, 'Suspect')
  assert.equal(planFor({ servers: servers(3000), status: steady() }).status.phase, 'Fencing')
})

test('down: a replica that still hears from it means that we are the isolated one', () => {
  const result = planFor({
    servers: { a: down('timeout', 9000), b: follower({ runId: 'run-b', lastIoSeconds: 2 }) },
    status: steady(),
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'Unknown/OperatorIsolated')
  assert.deepEqual(result.actions, [])
  assert.equal(result.status.epoch, 4)
})

test('down: a link that is up and silent proves nothing until a live primary would have pinged', () => {
  const silent = follower({ runId: 'run-b', lastIoSeconds: 14 })
  const servers = (ms: number) => ({ a: down('timeout', ms), b: silent })
  assert.equal(planFor({ servers: servers(14_000), status: steady() }).status.phase, 'Suspect')
  assert.equal(planFor({ servers: servers(15_000), status: steady() }).status.phase, 'Fencing')
})

test('down: refused credentials are no death', () => {
  const result = planFor({ servers: { a: down('auth', 60_000), b: follower() }, status: steady() })
  assert.equal(condition(result, 'PrimaryAvailable'), 'Unknown/Unauthorized')
})

test('down: without a candidate nothing is given up', () => {
  const result = planFor({
    servers: { a: down('refused', 9000), b: follower({ replId: 'other', isLinkUp: false }) },
    status: steady(),
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/NoEligibleCandidate')
  assert.equal(result.status.primary?.address, 'a:1')
})

for (const spec of ['failover: {policy: Observe}', 'suspend: true']) {
  test(`down: with ${spec} nothing is done`, () => {
    const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
    const result = planFor({
      servers: { a: down('refused', 9000), b: lostIt },
      status: steady(),
      spec,
    })
    assert.equal(condition(result, 'PrimaryAvailable'), 'False/PrimaryDown')
    assert.deepEqual(result.actions, [])
    assert.equal(result.status.epoch, 4)
    const begun = planFor({
      servers: { a: down('refused', 9000), b: lostIt },
      status: fencing(),
      spec,
    })
    assert.deepEqual(begun.actions, [])
    assert.equal(begun.status.phase, 'Fencing')
  })
}

test('restarted: everyone is parked first, the restarted one too', () => {
  const result = planFor({
    servers: {
      a: facts({ runId: 'run-a2', replId: 'x', keyCount: 0 }),
      b: follower({ runId: 'run-b', isLinkUp: false }),
    },
    status: steady(),
  })
  assert.equal(result.status.phase, 'Fencing')
  assert.deepEqual(kinds(result), ['park a:1', 'park b:1'])
})

test('restarted: a standalone server is recorded again at once', () => {
  const result = planFor({
    servers: { a: facts({ runId: 'run-a2', replId: 'x' }) },
    backend: 'mode: Standalone',
    status: steady(),
  })
  assert.equal(result.status.epoch, 5)
  assert.equal(result.status.primary?.runId, 'run-a2')
  assert.deepEqual(result.actions, [])
})

test('followed: a switchover made by someone else is obeyed once the old primary is out', () => {
  const result = planFor({
    servers: {
      a: follower({ source: { host: 'b', port: 1 }, replId: 'new' }),
      b: facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 }),
    },
    status: steady(),
  })
  assert.equal(result.status.primary?.address, 'b:1')
  assert.equal(result.status.epoch, 5)
  assert.deepEqual(result.actions, [])
})

test('followed: not one that was restarted as a primary and lacks what another has', () => {
  const servers = {
    a: facts({ runId: 'run-a2', replId: 'fresh' }),
    b: facts({ runId: 'run-b2', replId: 'new', replId2: history, secondReplOffset: 81 }),
    c: follower({ runId: 'run-c', offset: 90 }),
  }
  const { status, actions } = planFor({ servers, status: steady({ members: joined('b', 'c') }) })
  assert.equal(status.primary, undefined)
  assert.equal(status.intent?.from, 'a:1')
  assert.ok(actions.every(({ kind }) => kind === 'park'))
})

test('followed: where writes are confirmed, not while one is missing that may have more', () => {
  const servers = {
    a: facts({ runId: 'run-a2', replId: 'fresh' }),
    b: facts({ runId: 'run-b2', replId: 'new', replId2: history, secondReplOffset: 81 }),
    c: down('timeout', 9000),
  }
  const at = (spec: string, c: Seen = servers.c) => {
    return planFor({ servers: { ...servers, c }, status: steady(), spec }).status
  }
  assert.equal(at('').primary?.address, 'b:1')
  const confirmed = 'proxy: {writes: {waitReplicas: 1}}'
  assert.equal(at(confirmed).primary, undefined)
  assert.equal(at(confirmed, follower({ runId: 'run-c', offset: 80 })).primary?.address, 'b:1')
})

test('members: one that shares the recorded history is of the set, also while there is no primary', () => {
  const servers = {
    a: down('timeout', 9000),
    b: parkedAt(90),
    c: facts({ keyCount: 9, replId: 'other' }),
  }
  const { members } = planFor({ servers, status: fencing() }).status
  assert.deepEqual(
    members?.map(({ joined }) => joined),
    [undefined, true, undefined],
  )
})

test('restarted elsewhere: fenced first, even where there is no other server', () => {
  const a = facts({ runId: 'run-a2' })
  const at = (host: string) => ({
    ...steady(),
    primary: { address: 'a:1', runId: 'run-a', replId: history, host, since: 'x' },
  })
  const same = planFor({ servers: { a }, backend: 'mode: Standalone', status: at('a') })
  assert.equal(same.status.primary?.runId, 'run-a2')
  const other = planFor({ servers: { a }, backend: 'mode: Standalone', status: at('10.0.0.9') })
  assert.equal(other.status.primary, undefined)
  assert.equal(other.status.phase, 'Fencing')
})

test('restarted, and nothing may be done: recorded again wherever it is and whatever it has', () => {
  const empty = facts({ runId: 'run-a2', replId: 'fresh', keyCount: 0, offset: 0 })
  for (const spec of ['failover: {policy: Observe}', 'suspend: true']) {
    for (const host of ['a', '10.0.0.9']) {
      const status = steady({
        primary: { address: 'a:1', runId: 'run-a', replId: history, host, since: 'x' },
      })
      const result = planFor({ servers: { a: empty, b: parkedAt(100) }, status, spec })
      assert.equal(result.status.primary?.runId, 'run-a2')
      assert.equal(result.status.epoch, 5)
      assert.deepEqual(result.actions, [])
    }
  }
})
