import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuantity, quantityBytes } from './quantity.ts'

test('quantities of memory are bytes', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['192Mi', 201_326_592],
    ['1Gi', 2 ** 30],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['200M', 200_000_000],
    ['134217728', 134_217_728],
    ['1500m', 1],
  ]
  for (const [text, bytes] of cases) {
    assert.ok(isQuantity(text), text)
    assert.equal(quantityBytes(text), bytes, text)
  }
})

test('what is no quantity is refused', () => {
  for (const text of ['', 'lots', '64mb', '-1', '1.', '.5Gi', '01', '64 Mi']) {
    assert.equal(isQuantity(text), false, text)
  }
  assert.throws(() => quantityBytes('lots'), RangeError)
  assert.throws(() => quantityBytes('1Xi'), RangeError)
})
