import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Observation, choosePrimary } from './choose-primary.ts'

const at = (port: number) => ({ host: 'h', port })
const master = (port: number, runId = `run${port}`): Observation => ({
  ...at(port),
  kind: 'master',
  runId,
})
const replica = (port: number): Observation => ({ ...at(port), kind: 'replica', runId: 'r' })
const away = (port: number): Observation => ({ ...at(port), kind: 'unreachable', reason: 'away' })

test('exactly one master is the primary, with the run-id of its process', () => {
  assert.deepEqual(choosePrimary([replica(1), master(2), away(3)], undefined), {
    kind: 'primary',
    primary: { host: 'h', port: 2, runId: 'run2' },
  })
})

test('of several masters the present one stays', () => {
  assert.deepEqual(choosePrimary([master(1), master(2)], at(2)), {
    kind: 'primary',
    primary: { host: 'h', port: 2, runId: 'run2' },
  })
})

test('of several masters none is chosen when the present one is not among them', () => {
  const choice = choosePrimary([master(1), master(2)], at(3))
  assert.deepEqual(choice, {
    kind: 'none',
    reason: 'several servers say that they are masters: h:1, h:2',
  })
})

test('one process under two names is one master', () => {
  assert.equal(choosePrimary([master(1, 'same'), master(2, 'same')], undefined).kind, 'primary')
})

test('a primary that was made a replica is left, even if nobody follows it yet', () => {
  assert.equal(choosePrimary([replica(1), replica(2)], at(1)).kind, 'none')
})

test('a primary that cannot be asked is kept while no other server is a master', () => {
  assert.equal(choosePrimary([away(1), replica(2)], at(1)).kind, 'keep')
  assert.equal(choosePrimary([away(1), master(2)], at(1)).kind, 'primary')
})

test('whatever is observed, a chosen primary said that it is a master', () => {
  const kinds = fc.constantFrom(master, replica, away)
  fc.assert(
    fc.property(fc.array(kinds, { maxLength: 6 }), fc.nat(6), (made, present) => {
      const observations = made.map((make, index) => make(index))
      const choice = choosePrimary(observations, at(present))
      if (choice.kind !== 'primary') return
      const chosen = observations.find(({ port }) => port === choice.primary.port)
      assert.equal(chosen?.kind, 'master')
    }),
  )
})
