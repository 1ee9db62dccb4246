import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerFacts } from '../observation.ts'
import {
  type Seen,
  condition,
  down,
  facts,
  fencing,
  follower,
  history,
  kinds,
  parkedAt,
  planFor,
  steady,
} from './fixture.ts'

test('fence: no proof, no promotion', () => {
  const result = planFor({
    servers: { a: down('timeout', 9000), b: parkedAt(9, { runId: 'run-b' }) },
    status: fencing(),
    sidecars: [{ id: 'p', acked: { version: 1, epoch: 4 }, primary: 'ok', connectedAtMs: 0 }],
    expected: ['p'],
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/WaitingForFencing')
  assert.deepEqual(result.actions, [])
})

test('fence: a sidecar that exists and is not connected counts as one that still writes', () => {
  const servers = { a: down('timeout', 9000), b: parkedAt(9, { runId: 'run-b' }) }
  const sidecars = [
    { id: 'p', acked: { version: 1, epoch: 5 }, primary: 'ok' as const, connectedAtMs: 0 },
  ]
  const waiting = planFor({ servers, status: fencing(), sidecars, expected: ['p', 'q'] })
  assert.equal(condition(waiting, 'PrimaryAvailable'), 'False/WaitingForFencing')
  const proven = planFor({ servers, status: fencing(), sidecars, expected: ['p'] })
  assert.deepEqual(kinds(proven), ['promote b:1'])
})

test('fence: each proof lets the choice begin', () => {
  const b = parkedAt(9, { runId: 'run-b' })
  const proofs: Seen[] = [
    down('refused', 400),
    facts({ runId: 'run-a2', isLoading: true }),
    parkedAt(5),
  ]
  for (const a of proofs) {
    const result = planFor({
      servers: { a, b },
      status: fencing(),
      sidecars: [],
      expected: ['deaf'],
    })
    assert.equal(result.status.intent?.target, 'b:1')
    assert.equal(result.status.phase, 'Promoting')
  }
})

test('fence: who answers is parked before anyone is chosen', () => {
  const result = planFor({
    servers: {
      a: down('refused', 400),
      b: parkedAt(9, { runId: 'run-b' }),
      c: follower({ runId: 'run-c' }),
    },
    status: fencing(),
  })
  assert.deepEqual(kinds(result), ['park c:1'])
  assert.equal(result.status.intent?.target, undefined)
})

test('select: the furthest of the same history that may be promoted', () => {
  const chosen = (servers: Record<string, Seen>) =>
    planFor({ servers: { a: down('refused', 400), ...servers }, status: fencing() }).status.intent
      ?.target
  const b = (offset: number, over: Partial<ServerFacts> = {}) =>
    parkedAt(offset, { runId: 'run-b', ...over })
  const c = (offset: number, over: Partial<ServerFacts> = {}) =>
    parkedAt(offset, { runId: 'run-c', ...over })
  assert.equal(chosen({ b: b(9), c: c(10) }), 'c:1')
  assert.equal(chosen({ b: b(10), c: c(10) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { replId: 'other' }) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { priority: 0 }) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { isSyncing: true }) }), 'b:1')
  const branched = { replId: 'new', replId2: history, secondReplOffset: 6 }
  assert.equal(
    chosen({ b: b(9), c: c(99, branched) }),
    'b:1',
    'a branch counts up to where it left',
  )
  assert.equal(chosen({ b: b(4), c: c(99, branched) }), 'c:1')
})

test('select: the lost primary that came back first among equals', () => {
  const result = planFor({
    servers: { b: parkedAt(9, { runId: 'run-b' }), a: parkedAt(9) },
    status: fencing(),
  })
  assert.equal(result.status.intent?.target, 'a:1')
})

test('select: all restarted, the lost primary with its data; an empty one only if nobody has any', () => {
  const restarted = (runId: string, keyCount: number) =>
    parkedAt(0, { runId, replId: runId, keyCount })
  const chosen = (b: Seen, a: number) =>
    planFor({ servers: { a: restarted('run-a2', a), b }, status: fencing() }).status.intent?.target
  assert.equal(chosen(restarted('run-b2', 100), 90), 'a:1')
  assert.equal(chosen(restarted('run-b2', 0), 0), 'a:1')
  assert.equal(chosen(restarted('run-b2', 100), 0), 'b:1')
  assert.equal(chosen(down('refused', 900), 0), undefined)
})

test('promote: repeated on the same process until it is seen as a primary, then recorded', () => {
  const status = fencing({ target: 'b:1', targetRunId: 'run-b' })
  const again = planFor({
    servers: { a: down('refused', 900), b: parkedAt(9, { runId: 'run-b' }) },
    status,
  })
  assert.deepEqual(kinds(again), ['promote b:1'])
  const b = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 10 })
  const done = planFor({ servers: { a: down('refused', 900), b }, status })
  assert.deepEqual(done.status.primary, {
    address: 'b:1',
    runId: 'run-b',
    replId: 'new',
    since: '2026-01-02T03:04:05.000Z',
  })
  assert.equal(done.status.intent, undefined)
  assert.equal(done.status.epoch, 5)
  assert.equal(done.status.lastFailover?.durationMs, 1000)
})

test('promote: a target that was restarted or is gone is dropped, and another chosen', () => {
  const status = fencing({ target: 'b:1', targetRunId: 'run-b' })
  const a = down('refused', 900)
  for (const b of [
    facts({ runId: 'run-b2', replId: 'x' }),
    down('refused', 400),
    down('timeout', 4000),
  ]) {
    const result = planFor({ servers: { a, b }, status })
    assert.equal(result.status.phase, 'Fencing')
    assert.equal(result.status.intent?.target, undefined)
    assert.equal(result.status.intent?.targetRunId, undefined)
    assert.deepEqual(result.actions, [])
  }
  const patient = planFor({ servers: { a, b: down('timeout', 400) }, status })
  assert.equal(patient.status.intent?.target, 'b:1')
})

test('a time of transition changes only with the status of its condition', () => {
  const given = { servers: { a: facts() }, status: steady() }
  const first = planFor(given)
  const old = '2020-01-01T00:00:00Z'
  const conditions = (first.status.conditions ?? []).map((each) => ({
    ...each,
    lastTransitionTime: old,
  }))
  const same = planFor({ ...given, status: { ...first.status, conditions } })
  assert.ok(same.status.conditions?.every(({ lastTransitionTime }) => lastTransitionTime === old))
  const changed = planFor({
    servers: { a: down('refused', 10) },
    status: { ...first.status, conditions },
  })
  const ready = changed.status.conditions?.find(({ type }) => type === 'Ready')
  assert.equal(ready?.lastTransitionTime, '2026-01-02T03:04:05Z')
})
