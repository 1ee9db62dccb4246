import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statFields } from './process-figures.ts'
import { geometricMean, median, rotate, roundUp, spreadOf } from './statistics.ts'

test('the median is the middle value, or the mean of the two in the middle', () => {
  assert.equal(median([3]), 3)
  assert.equal(median([10, 9, 100]), 10)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.throws(() => median([]), RangeError)
})

test('a spread does not reorder its values', () => {
  const values = [5, 1, 9]
  assert.deepEqual(spreadOf(values), { median: 5, min: 1, max: 9 })
  assert.deepEqual(values, [5, 1, 9])
})

test('the geometric mean of a ratio and its inverse is one', () => {
  assert.ok(Math.abs(geometricMean([4, 0.25]) - 1) < 1e-12)
  assert.throws(() => geometricMean([]), RangeError)
  assert.throws(() => geometricMean([1, 0]), RangeError)
})

test('in as many turns as there are targets each is first once', () => {
  const targets = ['a', 'b', 'c']
  const first = [0, 1, 2, 3].map((turn) => rotate(targets, turn)[0])
  assert.deepEqual(first, ['a', 'b', 'c', 'a'])
  assert.deepEqual(rotate(targets, 4), ['b', 'c', 'a'])
  assert.deepEqual(rotate([], 3), [])
})

test('request counts are rounded up to two digits', () => {
  assert.equal(roundUp(109_050), 110_000)
  assert.equal(roundUp(1_807_500), 1_900_000)
  assert.equal(roundUp(7), 7)
})

test('a process name with blanks and parentheses does not shift the fields of /proc/PID/stat', () => {
  const fields = statFields('42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 111 222 33 44 20 0 1')
  assert.deepEqual(fields.slice(11, 15), [111, 222, 33, 44])
})
