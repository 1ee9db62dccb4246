import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Choosable, preferenceGroups } from './preference.ts'

const one = (zone: string | undefined, latencyMs: number | undefined): Choosable => ({
  zone,
  latencyMs,
})
const all = [one('a', 0.2), one('b', 1.4), one('a', 0.4), one(undefined, undefined)]
const [first, second, third, fourth] = all

test('in turn, all replicas are alike', () => {
  assert.deepEqual(preferenceGroups(all, {}), [all])
  assert.deepEqual(preferenceGroups(all, { choose: 'roundRobin' }), [all])
})

test('by zone, those of the zone come first, and all where it has none', () => {
  assert.deepEqual(preferenceGroups(all, { choose: 'zone', zone: 'a' }), [
    [first, third],
    [second, fourth],
  ])
  assert.deepEqual(preferenceGroups(all, { choose: 'zone', zone: 'c' }), [all])
})

test('by latency, those about as fast as the fastest come first', () => {
  assert.deepEqual(preferenceGroups(all, { choose: 'latency' }), [
    [first, third],
    [second, fourth],
  ])
  assert.deepEqual(preferenceGroups([one('a', 10), one('b', 14)], { choose: 'latency' }).length, 1)
  assert.deepEqual(preferenceGroups([fourth as Choosable], { choose: 'latency' }), [[fourth]])
})
