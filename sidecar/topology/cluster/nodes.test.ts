import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MadeNode, answerOf, idOf } from './fixture.ts'
import { mergeNodes } from './nodes.ts'

const nothingKnown = () => undefined
const two: readonly MadeNode[] = [
  { number: 1, slots: [[0, 100]] },
  { number: 2, follows: 1 },
]

test('a node’s own word goes before that of others', () => {
  const promoted: readonly MadeNode[] = [
    { number: 1, follows: 2 },
    { number: 2, slots: [[0, 100]] },
  ]
  const nodes = mergeNodes([answerOf(1, two), answerOf(2, promoted)], nothingKnown)
  assert.equal(nodes.get(idOf(2))?.isPrimary, true)
  assert.equal(nodes.get(idOf(1))?.isPrimary, true)
})

test('an address that is still named is kept, one that nobody names is left', () => {
  const present = { host: '10.0.0.2', port: 7002 }
  const kept = mergeNodes([answerOf(1, two)], (id) => (id === idOf(2) ? present : undefined))
  assert.deepEqual(kept.get(idOf(2))?.address, present)
  const old = { host: '10.9.9.9', port: 1 }
  const left = mergeNodes([answerOf(1, two)], (id) => (id === idOf(2) ? old : undefined))
  assert.deepEqual(left.get(idOf(2))?.address, present)
})

test('an address at which another node answers is not used', () => {
  const stranger = answerOf(3, [{ number: 3 }], { host: '10.0.0.2', port: 7002 })
  const nodes = mergeNodes([answerOf(1, two), stranger], nothingKnown)
  assert.equal(nodes.get(idOf(2))?.address, undefined)
  assert.deepEqual(nodes.get(idOf(3))?.aliases, [
    { host: '10.0.0.3', port: 7003 },
    { host: '10.0.0.2', port: 7002 },
  ])
})

test('where one was asked is one of its names', () => {
  const asked = { host: 'seed.example', port: 6379 }
  const nodes = mergeNodes([answerOf(1, two, asked)], nothingKnown)
  assert.deepEqual(nodes.get(idOf(1))?.address, { host: '10.0.0.1', port: 7001 })
  assert.deepEqual(nodes.get(idOf(1))?.aliases.at(-1), asked)
})

test('a node has failed if most say so, and not if it answers', () => {
  const without = (number: number) =>
    answerOf(number, [
      { number: 1, slots: [[0, 1]] },
      { number: 2, slots: [[2, 3]] },
      { number: 3, slots: [[4, 5]], flags: 'fail' },
    ])
  const three = mergeNodes([without(1), without(2)], nothingKnown).get(idOf(3))
  assert.equal(three?.isFailed, true)
  const own = answerOf(3, [{ number: 3, slots: [[4, 5]] }, { number: 1 }])
  assert.equal(mergeNodes([without(1), own], nothingKnown).get(idOf(3))?.isFailed, false)
})
