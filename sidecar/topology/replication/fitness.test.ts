import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replicaSilentMs } from '../../../common/limits.ts'
import { type Learnt, type PrimaryState, type ReplicaState, judge } from './fitness.ts'

const bounds = { lagMsMax: 10_000, lagBytesMax: 100 }
const learnt: Learnt = {
  role: 'replica',
  lineage: 'a',
  offset: 1000,
  isLinkUp: true,
  isSyncing: false,
}
const primary: PrimaryState = { isUp: true, last: { lineage: 'a', offset: 1000 } }
const replica: ReplicaState = { learnt, freshAsOfMs: 50, askedAtMs: undefined }
const changed = (changes: Partial<Learnt>): ReplicaState => ({
  ...replica,
  learnt: { ...learnt, ...changes },
})
const reasonOf = (state: ReplicaState, of = primary) => {
  const { untilMs, reason } = judge(state, of, bounds)
  return untilMs === Number.NEGATIVE_INFINITY ? reason : undefined
}

test('a replica in step is fit until what it has is too old', () => {
  assert.deepEqual(judge(replica, primary, bounds), { untilMs: 10_050, reason: 'lagSeconds' })
})

test('a replica that owes an answer is fit until it owes it for too long', () => {
  const { untilMs, reason } = judge({ ...replica, askedAtMs: 60 }, primary, bounds)
  assert.deepEqual({ untilMs, reason }, { untilMs: 60 + replicaSilentMs, reason: 'silent' })
})

test('a replica of which nothing is known, that syncs, was promoted or is of another lineage is not fit', () => {
  assert.equal(reasonOf({ ...replica, learnt: undefined }), 'unknown')
  assert.equal(reasonOf({ ...replica, freshAsOfMs: Number.NEGATIVE_INFINITY }), 'unknown')
  assert.equal(reasonOf(changed({ isSyncing: true, isLinkUp: false })), 'syncing')
  assert.equal(reasonOf(changed({ role: 'primary' })), 'promoted')
  assert.equal(reasonOf(changed({ lineage: 'b' })), 'lineage')
})

test('a replica without its primary is not fit while the primary can be reached, and fit while nobody can', () => {
  assert.equal(reasonOf(changed({ isLinkUp: false })), 'linkDown')
  assert.equal(reasonOf(changed({ isLinkUp: false }), { ...primary, isUp: false }), undefined)
  assert.equal(reasonOf(changed({ isLinkUp: false }), { isUp: false, last: undefined }), undefined)
})

test('the bound in bytes is that of the replication stream', () => {
  assert.equal(reasonOf(changed({ offset: 900 })), undefined)
  assert.equal(reasonOf(changed({ offset: 899 })), 'lagBytes')
  assert.equal(reasonOf(changed({ offset: 1200 })), undefined)
})
