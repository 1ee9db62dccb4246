/** The checkers of the histories find what they are there to find. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkKeeping, findOverlaps, findUsurpers, lostBytesSeen, troubleOf } from './checks.ts'
import { type RegisterOp, isLinearizable } from './linearizable.ts'
import { scheduleOf } from './schedule.ts'
import type { Op } from './workload.ts'

const op = (fields: Partial<Op>): Op => ({
  client: 'w11',
  kind: 'push',
  key: 'push:w11',
  value: '1',
  startMs: 0,
  endMs: 1,
  outcome: 'ok',
  ...fields,
})

const nothing = {
  lists: new Map(),
  sets: new Map(),
  strings: new Set<string>(),
  counters: new Map(),
}

test('an acknowledged write that is not there is lost; an unknown one is not', () => {
  const ops = [op({ value: '1' }), op({ value: '2', outcome: 'unknown' }), op({ value: '3' })]
  const found = checkKeeping(ops, { ...nothing, lists: new Map([['push:w11', ['1']]]) })
  assert.deepEqual(found.lost, [ops[2]])
  assert.deepEqual(found.doubled, [])
})

test('what is there twice, and what is there although it was refused, is told', () => {
  const ops = [op({}), op({ kind: 'set', key: 'set:w11:2', value: '2', outcome: 'refused' })]
  const found = checkKeeping(ops, {
    ...nothing,
    lists: new Map([['push:w11', ['1', '1']]]),
    strings: new Set(['set:w11:2']),
  })
  assert.deepEqual(found.doubled, ['push:w11 1'])
  assert.deepEqual(found.refusedButDone, [ops[1]])
})

test('a counter below what was acknowledged has lost, one above what was sent has counted twice', () => {
  const counts = [
    op({ kind: 'count', key: 'count:a' }),
    op({ kind: 'count', key: 'count:a', outcome: 'unknown' }),
  ]
  const at = (value: number) =>
    checkKeeping(counts, { ...nothing, counters: new Map([['count:a', value]]) })
  assert.equal(at(0).lostCounts, 1)
  assert.deepEqual(
    [at(1), at(2)].map(({ doubled }) => doubled),
    [[], []],
  )
  assert.deepEqual(at(3).doubled, ['count:a 3'])
})

test('two processes that run writes at once overlap; one after the other does not', () => {
  const tenures = [
    { epoch: 1, runId: 'a', fromMs: 0 },
    { epoch: 2, runId: 'b', fromMs: 100 },
    { epoch: 3, runId: 'a', fromMs: 200 },
  ]
  const clean = [
    { runId: 'a', atMs: 99 },
    { runId: 'b', atMs: 101 },
    { runId: 'a', atMs: 201 },
  ]
  assert.deepEqual(findOverlaps(tenures, clean), [])
  const late = findOverlaps(tenures, [...clean, { runId: 'a', atMs: 150 }])
  assert.deepEqual(
    late.map(({ ms }) => ms),
    [49],
  )
  assert.deepEqual(findUsurpers(tenures, [...clean, { runId: 'c', atMs: 1 }]), ['c'])
})

test('lost bytes are the difference of the two histories', () => {
  const sample = { server: 's', atMs: 0, isPrimary: true, replId2: '', secondReplOffset: -1 }
  const samples = [
    { ...sample, runId: 'a', replId: 'x', offset: 150 },
    { ...sample, runId: 'b', replId: 'y', replId2: 'x', secondReplOffset: 101, offset: 120 },
  ]
  assert.equal(lostBytesSeen(samples, { from: 'a', to: 'b', replId: 'x' }), 50)
  assert.equal(lostBytesSeen(samples, { from: 'c', to: 'b', replId: 'x' }), undefined)
})

test('a stall lasts from one good answer of a client to its next', () => {
  const ops = [
    op({ startMs: 0, endMs: 10 }),
    op({ startMs: 11, endMs: 500, outcome: 'unknown', error: 'PROXY RM_UPSTREAM_LOST …' }),
    op({ startMs: 501, endMs: 510 }),
  ]
  assert.deepEqual(troubleOf(ops), {
    errors: 1,
    errorsByCode: { RM_UPSTREAM_LOST: 1 },
    longestStallMs: 500,
  })
})

const put = (value: string, startMs: number, endMs: number): RegisterOp => ({
  kind: 'put',
  value,
  startMs,
  endMs,
})
const read = (value: string, startMs: number, endMs: number): RegisterOp => ({
  kind: 'read',
  value,
  startMs,
  endMs,
})

test('a register that is read back as it was written is linearizable', () => {
  assert.equal(isLinearizable([read('', 0, 1), put('a', 2, 3), read('a', 4, 5)]), 'yes')
  // Two at the same time, in either order.
  assert.equal(isLinearizable([put('a', 0, 9), put('b', 1, 8), read('a', 10, 11)]), 'yes')
})

test('a stale read, and a value that goes away again, are not', () => {
  assert.equal(isLinearizable([put('a', 0, 1), put('b', 2, 3), read('a', 4, 5)]), 'no')
  const flicker = [put('a', 0, 1), put('b', 2, Infinity), read('b', 4, 5), read('a', 6, 7)]
  assert.equal(isLinearizable(flicker), 'no')
})

test('a write of unknown outcome may take effect late or never', () => {
  const writes = [put('a', 0, 1), put('b', 2, Infinity)]
  assert.equal(isLinearizable([...writes, read('a', 4, 5), read('b', 6, 7)]), 'yes')
  assert.equal(isLinearizable([...writes, read('a', 4, 5), read('a', 6, 7)]), 'yes')
})

test('a schedule is the same for the same seed, within its bounds', () => {
  const options = { servers: 3, sidecars: 2, emptyMax: 1, durationMs: { min: 8000, max: 20_000 } }
  for (let seed = 1; seed <= 200; seed += 1) {
    const schedule = scheduleOf(seed, options)
    assert.deepEqual(schedule, scheduleOf(seed, options))
    const { planned, durationMs } = schedule
    assert.ok(planned.length >= 3 && planned.length <= 8, `seed ${seed}`)
    assert.ok(planned.every(({ atMs }) => atMs < durationMs))
    const empty = planned.filter(({ fault }) => fault.kind === 'kill' && fault.back !== 'data')
    assert.ok(empty.length <= 1, `seed ${seed}`)
  }
})
