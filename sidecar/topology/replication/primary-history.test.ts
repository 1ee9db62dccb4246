import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { primarySamplesMax } from '../../../common/limits.ts'
import { PrimaryHistory } from './primary-history.ts'

const never = Number.NEGATIVE_INFINITY

test('a replica is as fresh as the last time at which the primary had no more than it has', () => {
  const history = new PrimaryHistory()
  history.note(1, 'a', 100)
  history.note(2, 'a', 200)
  assert.equal(history.freshAsOfMs('a', 99), never)
  assert.equal(history.freshAsOfMs('a', 199), 1)
  assert.equal(history.freshAsOfMs('a', 200), 2)
  assert.equal(history.freshAsOfMs('b', 200), never)
})

test('while nothing is written a replica that has everything stays fresh', () => {
  const history = new PrimaryHistory()
  history.note(1, 'a', 100)
  history.note(9, 'a', 100)
  assert.equal(history.freshAsOfMs('a', 100), 9)
})

test('another history of writes, or one that went back, begins anew', () => {
  const history = new PrimaryHistory()
  history.note(1, 'a', 100)
  history.note(2, 'b', 100)
  assert.equal(history.freshAsOfMs('a', 100), never)
  history.note(3, 'b', 50)
  assert.equal(history.freshAsOfMs('b', 49), never)
  assert.equal(history.freshAsOfMs('b', 50), 3)
})

test('however much is remembered, it is bounded and never says more than was heard', () => {
  const rises = fc.array(fc.nat(3), { minLength: 1, maxLength: 500, size: 'max' })
  fc.assert(
    fc.property(rises, fc.nat(1000), (steps, offset) => {
      const history = new PrimaryHistory()
      let exactly = never
      let total = 0
      steps.forEach((step, atMs) => {
        total += step
        history.note(atMs, 'a', total)
        if (total <= offset) exactly = atMs
      })
      const found = history.freshAsOfMs('a', offset)
      assert.ok(found <= exactly)
      assert.equal(history.freshAsOfMs('a', total), steps.length - 1)
      assert.ok(JSON.stringify(history).split('atMs').length - 1 <= primarySamplesMax)
    }),
  )
})
