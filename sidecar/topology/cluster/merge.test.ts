import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { slotCount } from '../../../common/redis/slots.ts'
import { type MadeNode, answerOf, idOf } from './fixture.ts'
import { type Judgement, judge } from './merge.ts'

const all = [0, slotCount - 1] as const
const nobodyKnown = new Set<string>()

function ownerOf({ slots, owners }: Judgement, slot: number): string | undefined {
  return owners[slots[slot] as number]
}

const thirds: readonly MadeNode[] = [
  { number: 1, slots: [[0, 5460]] },
  { number: 2, slots: [[5461, 10_922]] },
  { number: 3, slots: [[10_923, 16_383]] },
]
const present = new Set(thirds.map(({ number }) => idOf(number)))

test('two of three that agree are enough', () => {
  const judgement = judge([answerOf(1, thirds), answerOf(2, thirds)], nobodyKnown)
  assert.equal(judgement.kind, 'settled')
  assert.equal(ownerOf(judgement, 0), idOf(1))
  assert.equal(ownerOf(judgement, 16_383), idOf(3))
})

test('one of three is not', () => {
  assert.equal(judge([answerOf(1, thirds)], nobodyKnown).kind, 'minority')
  assert.equal(judge([], nobodyKnown).kind, 'minority')
})

test('replicas have no say', () => {
  const nodes = [...thirds, { number: 4, follows: 1 }, { number: 5, follows: 2 }]
  const judgement = judge([answerOf(1, nodes), answerOf(4, nodes), answerOf(5, nodes)], nobodyKnown)
  assert.equal(judgement.kind, 'minority')
})

const afterFailover: readonly MadeNode[] = [
  { number: 1, flags: 'fail' },
  { number: 2, slots: [[5461, 10_922]] },
  { number: 3, slots: [[10_923, 16_383]] },
  { number: 4, epoch: 9, slots: [[0, 5460]] },
]

test('a primary that was cut off and is followed by another has lost its slots', () => {
  const cutOff = answerOf(1, [
    { number: 1, slots: [[0, 5460]] },
    { number: 2, slots: [[5461, 10_922]], flags: 'fail' },
    { number: 3, slots: [[10_923, 16_383]], flags: 'fail?' },
    { number: 4, follows: 1, flags: 'fail?' },
  ])
  const judgement = judge([cutOff, answerOf(2, afterFailover), answerOf(3, afterFailover)], present)
  assert.equal(judgement.kind, 'settled')
  assert.equal(ownerOf(judgement, 0), idOf(4))
  assert.equal(judge([cutOff], present).kind, 'minority')
})

test('a replica that made itself primary in a minority does not win, however high its epoch', () => {
  const taken = answerOf(4, [
    { number: 1, slots: [], flags: 'fail?' },
    { number: 2, slots: [[5461, 10_922]], flags: 'fail?' },
    { number: 3, slots: [[10_923, 16_383]], flags: 'fail?' },
    { number: 4, epoch: 99, slots: [[0, 5460]] },
  ])
  const others = [1, 2, 3].map((self) => answerOf(self, [...thirds, { number: 4, follows: 1 }]))
  for (const heard of [others, others.slice(0, 2), others.slice(1)]) {
    const judgement = judge([taken, ...heard], present)
    assert.equal(judgement.kind, 'settled')
    assert.equal(ownerOf(judgement, 0), idOf(1))
  }
})

test('where news is on its way, the higher epoch has it', () => {
  const before = [
    { number: 1, slots: [all] },
    { number: 2, slots: [] },
  ]
  const moved: readonly MadeNode[] = [
    { number: 1, slots: [[1, 16_383]] },
    { number: 2, epoch: 5, slots: [[0, 0]] },
  ]
  const judgement = judge([answerOf(1, before), answerOf(2, moved)], nobodyKnown)
  assert.equal(judgement.kind, 'majority')
  assert.equal(ownerOf(judgement, 0), idOf(2))
  assert.equal(ownerOf(judgement, 1), idOf(1))
})

test('another cluster at the old addresses is not ours', () => {
  const foreign = [{ number: 77, slots: [all] }]
  const there = { host: '10.0.0.1', port: 7001, isSeed: false }
  assert.equal(judge([answerOf(77, foreign, there)], present).kind, 'minority')
  const ours = judge(
    [answerOf(77, foreign, there), answerOf(2, thirds), answerOf(3, thirds)],
    present,
  )
  assert.equal(ownerOf(ours, 0), idOf(1))
})

test('a cluster that took the place of the old one is found by its name', () => {
  const judgement = judge([answerOf(77, [{ number: 77, slots: [all] }])], present)
  assert.equal(judgement.kind, 'settled')
  assert.equal(ownerOf(judgement, 0), idOf(77))
})

test('slots that nobody has belong to nobody', () => {
  const nodes = [{ number: 1, slots: [[5, 6]] as const }]
  const judgement = judge([answerOf(1, nodes)], nobodyKnown)
  assert.equal(ownerOf(judgement, 4), undefined)
  assert.equal(ownerOf(judgement, 5), idOf(1))
})

/** A cluster of `count` primaries, each with its part of the slots, moved on by `turn`. */
function cluster(count: number, turn = 0): MadeNode[] {
  const size = Math.floor(slotCount / count)
  return Array.from({ length: count }, (_, at) => {
    const part = (at + turn) % count
    const last = part === count - 1 ? slotCount - 1 : (part + 1) * size - 1
    return { number: at + 1, slots: [[part * size, last]] }
  })
}

const property = { numRuns: 60 }

test('in whatever order the answers come, the judgement is the same', () => {
  const cases = fc.integer({ min: 1, max: 7 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      turns: fc.array(fc.nat(count), { minLength: count, maxLength: count }),
      order: fc.shuffledSubarray(Array.from({ length: count }, (_, at) => at)),
    }),
  )
  fc.assert(
    fc.property(cases, ({ count, turns, order }) => {
      const answers = turns.map((turn, at) => answerOf(at + 1, cluster(count, turn)))
      const some = order.map((at) => answers[at] as (typeof answers)[number])
      const sorted = some.toSorted((a, b) => a.self.port - b.self.port)
      const [one, other] = [judge(some, nobodyKnown), judge(sorted, nobodyKnown)]
      assert.equal(one.kind, other.kind)
      for (let slot = 0; slot < slotCount; slot += 97) {
        assert.equal(ownerOf(one, slot), ownerOf(other, slot))
      }
    }),
    property,
  )
})

test('what a majority says of a slot holds, whatever the others say', () => {
  const cases = fc.integer({ min: 1, max: 9 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      liars: fc.integer({ min: 0, max: Math.ceil(count / 2) - 1 }),
      turn: fc.nat(count),
      epoch: fc.nat(1000),
    }),
  )
  fc.assert(
    fc.property(cases, ({ count, liars, turn, epoch }) => {
      const answers = Array.from({ length: count }, (_, at) => {
        const isLiar = at < liars
        const nodes = isLiar
          ? cluster(count, turn).map((node) => ({ ...node, epoch: epoch + node.number }))
          : cluster(count)
        return answerOf(at + 1, nodes)
      })
      const judgement = judge(answers, nobodyKnown)
      const right = judge(answers.slice(liars), nobodyKnown)
      assert.equal(judgement.kind, 'settled')
      for (let slot = 0; slot < slotCount; slot += 97) {
        assert.equal(ownerOf(judgement, slot), ownerOf(right, slot))
      }
    }),
    property,
  )
})

test('fewer than a majority decide nothing', () => {
  const cases = fc
    .integer({ min: 2, max: 12 })
    .chain((count) =>
      fc.record({ count: fc.constant(count), heard: fc.nat(Math.floor(count / 2)) }),
    )
  fc.assert(
    fc.property(cases, ({ count, heard }) => {
      const answers = cluster(count)
        .slice(0, heard)
        .map(({ number }) => answerOf(number, cluster(count)))
      assert.equal(judge(answers, nobodyKnown).kind, 'minority')
    }),
    property,
  )
})
