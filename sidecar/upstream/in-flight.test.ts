import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InFlightRing } from './in-flight.ts'

test('replies go to whoever asked, in order, however runs come and go', () => {
  const step = fc.record({
    owner: fc.nat(3),
    count: fc.integer({ min: 1, max: 5 }),
    answers: fc.nat(8),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const ring = new InFlightRing<number>()
      const owed: number[] = []
      for (const { owner, count, answers } of steps) {
        ring.push(owner, count)
        for (let index = 0; index < count; index += 1) owed.push(owner)
        for (let index = 0; index < answers && owed.length > 0; index += 1) {
          assert.equal(ring.owner, owed.shift())
          assert.ok(ring.count >= 1)
          ring.answer(1)
        }
        assert.equal(ring.commandCount, owed.length)
      }
      const drained: number[] = []
      ring.drain((owner, count) => {
        for (let index = 0; index < count; index += 1) drained.push(owner)
      })
      assert.deepEqual(drained, owed)
      assert.equal(ring.owner, undefined)
    }),
  )
})

test('what a client was owed can be made over to another, in its place', () => {
  const ring = new InFlightRing<string>()
  for (const owner of ['a', 'b', 'a', 'c', 'a']) ring.push(owner, 2)
  ring.answer(1)
  ring.replace('a', 'nobody')
  const left: string[] = []
  ring.drain((owner, count) => left.push(`${owner} ${count}`))
  assert.deepEqual(left, ['nobody 1', 'b 2', 'nobody 2', 'c 2', 'nobody 2'])
})
