import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, down, facts, follower, parkedAt, planFor } from './fixture.ts'

test('adoption: one primary among all that answer is taken as it is', () => {
  const result = planFor({ servers: { b: follower({ runId: 'run-b' }), a: facts() } })
  assert.equal(result.status.primary?.address, 'a:1')
  assert.equal(result.status.epoch, 1)
  assert.deepEqual(result.actions, [])
})

test('adoption: with members missing, a primary with an attached replica is enough', () => {
  const result = planFor({
    servers: { a: facts(), b: follower({ runId: 'run-b' }), c: down('refused', 5000) },
  })
  assert.equal(result.status.primary?.address, 'a:1')
})

test('adoption: with members missing, a lone primary is taken only after a wait', () => {
  const servers = { a: facts(), b: down('timeout', 5000) }
  const early = planFor({ servers })
  assert.equal(early.status.phase, 'Waiting')
  assert.equal(condition(early, 'PrimaryAvailable'), 'False/WaitingForMembers')
  assert.equal(planFor({ servers, watchedForMs: 10_000 }).status.primary?.address, 'a:1')
})

test('adoption: of several primaries the only one that is not empty', () => {
  const result = planFor({
    servers: { a: facts({ keyCount: 0, replId: 'x' }), b: facts({ runId: 'run-b', replId: 'y' }) },
  })
  assert.equal(result.status.primary?.address, 'b:1')
})

test('adoption: of several empty primaries the first endpoint', () => {
  const empty = { keyCount: 0 }
  const result = planFor({
    servers: { a: facts(empty), b: facts({ ...empty, runId: 'run-b', replId: 'y' }) },
  })
  assert.equal(result.status.primary?.address, 'a:1')
})

test('adoption: several primaries with data stall, whatever else is there', () => {
  const result = planFor({ servers: { a: facts(), b: facts({ runId: 'run-b', replId: 'y' }) } })
  assert.equal(result.status.phase, 'Stalled')
  assert.equal(condition(result, 'SinglePrimary'), 'False/MultiplePrimaries')
  assert.equal(condition(result, 'Ready'), 'False/MultiplePrimaries')
  assert.deepEqual(result.actions, [])
})

test('adoption: a member that loads is waited for', () => {
  const result = planFor({ servers: { a: facts({ isLoading: true }) } })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/Loading')
})

test('bootstrap: the replica with most history, recorded before it is promoted', () => {
  const result = planFor({
    servers: { a: parkedAt(10, { runId: 'run-a' }), b: parkedAt(20, { runId: 'run-b' }) },
  })
  assert.equal(result.status.intent?.target, 'b:1')
  assert.equal(result.status.intent?.targetRunId, 'run-b')
  assert.equal(result.status.primary, undefined)
  assert.deepEqual(result.actions, [{ kind: 'promote', address: 'b:1', runId: 'run-b' }])
})

test('bootstrap: data outranks offsets of an empty history, and ties go to the first endpoint', () => {
  const filled = planFor({
    servers: { a: parkedAt(90, { keyCount: 0 }), b: parkedAt(1, { runId: 'run-b' }) },
  })
  assert.equal(filled.status.intent?.target, 'b:1')
  const tie = planFor({ servers: { a: parkedAt(1), b: parkedAt(1, { runId: 'run-b' }) } })
  assert.equal(tie.status.intent?.target, 'a:1')
})

test('bootstrap: not while someone is missing, not of a set led from outside, not where switched off', () => {
  const missing = planFor({
    servers: { a: parkedAt(1), b: down('refused', 60_000) },
    watchedForMs: 60_000,
  })
  assert.equal(condition(missing, 'PrimaryAvailable'), 'False/WaitingForMembers')
  const outside = planFor({ servers: { a: follower({ source: { host: 'other', port: 9 } }) } })
  assert.equal(condition(outside, 'Stalled'), 'True/PrimaryNotListed')
  const observed = planFor({ servers: { a: parkedAt(1) }, spec: 'failover: {policy: Observe}' })
  assert.deepEqual(observed.actions, [])
})
