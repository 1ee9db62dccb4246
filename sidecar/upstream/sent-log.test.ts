import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sentLogBytesMax, sentPieceBytesMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { SentLog } from './sent-log.ts'

const get = (key: string) => encodeCommand(['GET', key])
const words = (bytes: Buffer | undefined) =>
  bytes?.toString('latin1').match(/[a-z]\d+/g) ?? undefined

test('the last commands are found, whoever they are of', () => {
  const log = new SentLog()
  log.note(Buffer.concat([get('a1'), get('a2')]), 2)
  log.note(Buffer.concat([get('b1'), get('b2'), get('b3')]), 3)
  const sent = log.last(4)
  assert.deepEqual(words(sent.take(1)), ['a2'])
  assert.deepEqual(words(sent.take(3)), ['b1', 'b2', 'b3'])
})

test('what went in a large piece is not kept, and what came before it neither', () => {
  const log = new SentLog()
  log.note(get('a1'), 1)
  log.note(get('x'.repeat(sentPieceBytesMax)), 1)
  log.note(get('b1'), 1)
  const sent = log.last(3)
  assert.equal(sent.take(1), undefined)
  assert.equal(sent.take(1), undefined)
  assert.deepEqual(words(sent.take(1)), ['b1'])
})

test('a part of a run that is not known makes the run unknown, not the next one', () => {
  const log = new SentLog()
  log.note(get('x'.repeat(sentPieceBytesMax)), 1)
  log.note(Buffer.concat([get('a1'), get('b1')]), 2)
  const sent = log.last(3)
  assert.equal(sent.take(2), undefined)
  assert.deepEqual(words(sent.take(1)), ['b1'])
})

test('as much is kept as the bound says, and what is kept is right', () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(pieces, fc.nat(), (counts, seed) => {
      const log = new SentLog()
      const all: string[] = []
      for (const count of counts) {
        const keys = Array.from({ length: count }, (_, index) => `k${all.length + index}`)
        all.push(...keys)
        log.note(Buffer.concat(keys.map(get)), count)
      }
      const asked = seed % (all.length + 1)
      const expected = all.slice(all.length - asked)
      const sent = log.last(asked)
      let known = 0
      for (const key of expected) {
        const found = words(sent.take(1))
        if (found === undefined) continue
        known += 1
        assert.deepEqual(found, [key])
      }
      const bytes = expected.reduce((sum, key) => sum + get(key).length, 0)
      if (bytes <= sentLogBytesMax / 2 - sentPieceBytesMax) assert.equal(known, asked)
      assert.ok(known * get('k1').length <= sentLogBytesMax)
    }),
    { numRuns: 60 },
  )
})
