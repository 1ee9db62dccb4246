import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuantity } from './quantity.ts'

test('quantities are told from what is none', () => {
  for (const text of ['192Mi', '1Gi', '1.5Gi', '200M', '134217728', '25m', '0']) {
    assert.ok(isQuantity(text), text)
  }
  for (const text of ['', 'lots', '64mb', '-1', '1.', '.5Gi', '01', '64 Mi']) {
    assert.equal(isQuantity(text), false, text)
  }
})
