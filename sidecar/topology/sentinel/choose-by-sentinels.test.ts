import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Opinion, chooseBySentinels } from './choose-by-sentinels.ts'

const says = (port: number, configEpoch: number): Opinion => ({
  primary: { host: 'h', port },
  configEpoch,
})

test('what most agree on is the primary', () => {
  const verdict = chooseBySentinels([says(1, 4), says(1, 4), says(2, 3)], 3, 0)
  assert.deepEqual(verdict, { ...says(1, 4), isMajority: true })
})

test('one that claims a newer failover than all others does not move anyone', () => {
  assert.deepEqual(chooseBySentinels([says(1, 4), says(1, 4), says(9, 999)], 3, 4), {
    ...says(1, 4),
    isMajority: true,
  })
})

test('while a failover is not known to most, nothing is decided', () => {
  assert.equal(chooseBySentinels([says(1, 4), says(2, 5)], 3, 4), undefined)
})

test('where most cannot be asked, the newest that is said counts, as what it is', () => {
  assert.deepEqual(chooseBySentinels([says(2, 5)], 3, 4), { ...says(2, 5), isMajority: false })
  assert.deepEqual(chooseBySentinels([says(1, 4), says(2, 5)], 5, 4)?.primary.port, 2)
  assert.equal(chooseBySentinels([says(1, 5), says(2, 5)], 5, 4), undefined)
})

test('nothing older than what was followed counts, whoever says it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.nat(9)), { maxLength: 7 }),
      fc.nat(7),
      fc.nat(9),
      (pairs, absent, floor) => {
        const opinions = pairs.map(([port, epoch]) => says(port, epoch))
        const verdict = chooseBySentinels(opinions, opinions.length + absent, floor)
        assert.ok(verdict === undefined || verdict.configEpoch >= floor)
      },
    ),
  )
})
