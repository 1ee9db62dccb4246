/** The oracle of the alignment run must see what it is for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Batch, noVerdicts } from './batch.ts'

function batchOf(...replies: readonly string[]): Batch {
  const batch = new Batch()
  for (const reply of replies) batch.add('x', reply)
  batch.seal()
  return batch
}

test('right replies in any pieces are right', () => {
  const text = '+a\r\n$1\r\nb\r\n+c\r\n'
  for (let at = 0; at <= text.length; at += 1) {
    const batch = batchOf('+a\r\n', '$1\r\nb\r\n', '+c\r\n')
    const verdicts = noVerdicts()
    for (const part of [text.slice(0, at), text.slice(at)]) batch.take(Buffer.from(part), verdicts)
    assert.deepEqual(verdicts, { ...noVerdicts(), right: 3 })
    assert.ok(batch.isDone)
  }
})

test('another client’s reply is foreign, wherever the bytes are cut', () => {
  const text = '+a\r\n$1\r\nz\r\n+c\r\n'
  for (let at = 0; at <= text.length; at += 1) {
    const batch = batchOf('+a\r\n', '$1\r\nb\r\n', '+c\r\n')
    const verdicts = noVerdicts()
    for (const part of [text.slice(0, at), text.slice(at)]) batch.take(Buffer.from(part), verdicts)
    assert.equal(verdicts.foreign, 1)
    assert.equal(verdicts.right, 2)
    assert.match(verdicts.example, /z/)
  }
})

test('replies that are shifted by one are foreign', () => {
  const batch = batchOf('+a\r\n', '+b\r\n', '+c\r\n')
  const verdicts = noVerdicts()
  batch.take(Buffer.from('+b\r\n+c\r\n'), verdicts)
  assert.equal(verdicts.foreign, 2)
})

test('a reply too many is foreign; errors and lost values are not', () => {
  const batch = batchOf('+a\r\n', '$1\r\nb\r\n')
  const verdicts = noVerdicts()
  batch.take(Buffer.from('-PROXY lost\r\n$-1\r\n+more\r\n'), verdicts)
  assert.deepEqual(
    { ...verdicts, example: '' },
    { right: 0, errors: 1, missing: 1, foreign: 1, example: '' },
  )
})

test('a client that tracks may be told to forget all, others may not', () => {
  for (const isTracking of [false, true]) {
    const batch = new Batch(isTracking)
    batch.add('x', '+a\r\n')
    batch.seal()
    const verdicts = noVerdicts()
    batch.take(Buffer.from('>2\r\n$10\r\ninvalidate\r\n_\r\n+a\r\n'), verdicts)
    assert.equal(verdicts.foreign > 0, !isTracking)
  }
})
