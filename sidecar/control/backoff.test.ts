import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff } from './backoff.ts'

test('the longest wait doubles up to the bound, and begins anew after a success', () => {
  const longest = new Backoff({ minMs: 100, maxMs: 1000 }, { random: () => 1 })
  const waits = [1, 2, 3, 4, 5, 6].map(() => longest.nextMs())
  assert.deepEqual(waits, [100, 200, 400, 800, 1000, 1000])
  longest.reset()
  assert.equal(longest.nextMs(), 100)
})

test('the jitter covers everything between the bounds', () => {
  const shortest = new Backoff({ minMs: 100, maxMs: 1000 }, { random: () => 0 })
  assert.deepEqual([shortest.nextMs(), shortest.nextMs()], [100, 100])
})
