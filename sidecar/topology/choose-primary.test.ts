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

const heard = (lineage: string, formerLineage?: string, isLinkUp = true) => ({
  info: {
    ...({
      role: 'replica',
      lineage,
      offset: 0,
      isLinkUp,
      isSyncing: false,
      followers: [],
    } as const),
    ...(formerLineage !== undefined && { formerLineage }),
  },
})

test('a lone master that fewer replicas hear than another is not the primary', () => {
  const liar = { ...master(1), ...heard('b') }
  const follower = { ...replica(2), runId: 'f', ...heard('a') }
  assert.equal(choosePrimary([liar, follower, away(3)], undefined).kind, 'none')
  assert.equal(choosePrimary([liar, follower, away(3)], at(3)).kind, 'keep')
  // What replicas heard before counts no more, and what it was before it was promoted does.
  const deaf = { ...follower, ...heard('a', undefined, false) }
  assert.equal(choosePrimary([liar, deaf, away(3)], at(3)).kind, 'primary')
  const promoted = { ...master(1), ...heard('b', 'a') }
  assert.equal(choosePrimary([promoted, follower, away(3)], at(3)).kind, 'primary')
})

test('of several masters the one that most replicas hear is the primary, if none is present', () => {
  const masters = [
    { ...master(1), ...heard('b') },
    { ...master(2), ...heard('a') },
  ]
  const follower = { ...replica(3), ...heard('a') }
  const choice = choosePrimary([...masters, follower], undefined)
  assert.equal(choice.kind === 'primary' && choice.primary.port, 2)
  const present = choosePrimary([...masters, follower], at(1))
  assert.equal(present.kind === 'primary' && present.primary.port, 1)
  const other = { ...replica(4), runId: 'other', ...heard('b') }
  assert.equal(choosePrimary([...masters, follower, other], undefined).kind, 'none')
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
