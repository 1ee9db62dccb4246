import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, down, facts, fencing, parkedAt, planFor } from './fixture.ts'

const gone = facts({ runId: 'run-a2', isLoading: true })
const b = (offset: number, over = {}) => parkedAt(offset, { runId: 'run-b', ...over })
const c = (offset: number, over = {}) => parkedAt(offset, { runId: 'run-c', ...over })
const targetOf = (given: Omit<Parameters<typeof planFor>[0], 'status'>, intent = {}) =>
  planFor({ ...given, status: fencing(intent) }).status.intent?.target

test('the furthest is chosen, and of equals the one of the lower replica-priority', () => {
  const servers = { a: gone, b: b(9, { priority: 1 }), c: c(10, { priority: 100 }) }
  assert.equal(targetOf({ servers }), 'c:1')
  assert.equal(targetOf({ servers: { ...servers, b: b(10, { priority: 1 }) } }), 'b:1')
})

test('with prefer: Priority the lower priority is chosen, and what it lacks is lost', () => {
  const servers = { a: gone, b: b(9, { priority: 1 }), c: c(10, { priority: 100 }) }
  assert.equal(targetOf({ servers, spec: 'failover: {prefer: Priority}' }), 'b:1')
})

test('whoever lacks more than maxLoss is not promoted, and the condition says how much it is', () => {
  const given = { servers: { a: gone, b: b(900) }, spec: 'failover: {maxLoss: {bytes: "100"}}' }
  assert.equal(targetOf(given, { fromOffset: 1000 }), 'b:1')
  assert.equal(targetOf(given, { fromOffset: 1001 }), undefined)
  const result = planFor({ ...given, status: fencing({ fromOffset: 1001 }) })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/NoEligibleCandidate')
  assert.equal(result.status.phase, 'Selecting')
  assert.match(result.status.conditions?.[1]?.message ?? '', /b:1 lacks 101 bytes/)
})

test('a thin data set is not promoted, unless it has processed all that the primary had', () => {
  const servers = (offset: number, keyCount: number) => ({ a: gone, b: b(offset, { keyCount }) })
  const intent = { fromOffset: 1000, fromKeys: 1000 }
  assert.equal(targetOf({ servers: servers(999, 499) }, intent), undefined)
  assert.equal(targetOf({ servers: servers(999, 500) }, intent), 'b:1')
  assert.equal(targetOf({ servers: servers(1000, 0) }, intent), 'b:1')
  const spec = 'failover: {minDatasetPercent: 0}'
  assert.equal(targetOf({ servers: servers(999, 0), spec }, intent), 'b:1')
  assert.equal(targetOf({ servers: servers(999, 0) }, { fromOffset: 1000, fromKeys: 99 }), 'b:1')
})

test('with W confirmations of N replicas, N − W + 1 must answer', () => {
  const unreachable = down('timeout', 60_000)
  const servers = { a: gone, b: b(9), c: unreachable, d: unreachable }
  assert.equal(targetOf({ servers }, { waitReplicas: 3 }), 'b:1')
  assert.equal(targetOf({ servers }, { waitReplicas: 2 }), undefined)
  const two = { ...servers, c: c(10) }
  assert.equal(targetOf({ servers: two }, { waitReplicas: 2 }), 'c:1')
  assert.equal(targetOf({ servers: two }, { waitReplicas: 1 }), undefined)
  // One that came back empty has confirmed writes that it has no more.
  const empty = { ...servers, c: c(0, { replId: 'other', keyCount: 0 }) }
  assert.equal(targetOf({ servers: empty }, { waitReplicas: 2 }), undefined)
})

test('the lost process itself has every confirmed write', () => {
  const servers = { a: parkedAt(20), b: down('timeout', 60_000) }
  assert.equal(targetOf({ servers }, { waitReplicas: 1 }), 'a:1')
})

test('with everyone back and too few answers, the lost primary is the keeper if it is as full as anyone', () => {
  const restarted = (keyCount: number) => parkedAt(0, { runId: 'run-a2', replId: 'x', keyCount })
  const other = parkedAt(0, { runId: 'run-c', replId: 'y', keyCount: 5 })
  const at = (keyCount: number) => ({ a: restarted(keyCount), b: b(9), c: other })
  assert.equal(targetOf({ servers: at(5) }, { waitReplicas: 1 }), 'a:1')
  assert.equal(targetOf({ servers: at(4) }, { waitReplicas: 1 }), undefined)
  const away = { ...at(5), c: down('timeout', 60_000) }
  assert.equal(targetOf({ servers: away }, { waitReplicas: 1 }), undefined)
})

test('a person may choose in so many words', () => {
  const other = b(0, { replId: 'other', keyCount: 0 })
  const servers = { a: down('timeout', 60_000), b: other, c: down('timeout', 60_000) }
  const operation = { name: 'op', kind: 'Promote', to: 'b:1', accept: ['DataLoss'] } as const
  assert.equal(targetOf({ servers }), undefined)
  assert.equal(targetOf({ servers, operation }), 'b:1')
  assert.equal(targetOf({ servers, operation: { ...operation, to: 'c:1' } }), undefined)
})

test('an empty one is not chosen beside data that may not be promoted', () => {
  const servers = {
    a: parkedAt(5, { runId: 'run-a2', replId: 'x', priority: 0 }),
    b: b(0, { replId: 'y', keyCount: 0 }),
  }
  const result = planFor({ servers, status: fencing() })
  assert.equal(result.status.intent?.target, undefined)
  assert.match(condition(result, 'PrimaryAvailable'), /NoEligibleCandidate/)
  const empty = {
    a: parkedAt(5, { runId: 'run-a2', replId: 'x', priority: 0, keyCount: 0 }),
    b: servers.b,
  }
  assert.equal(targetOf({ servers: empty }), 'b:1')
})
