import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nobody, type ReplySink } from './reply-sink.ts'
import { RequestBatch } from './request-batch.ts'

interface Taker extends ReplySink {
  given: string
}

function taker(): Taker {
  const self: Taker = {
    ...nobody,
    given: '',
    giveBack: (bytes, count) => {
      self.given = `${bytes.toString()}/${count} ${self.given}`
    },
  }
  return self
}

test('a batch keeps what it was given, whatever becomes of the memory it came in', () => {
  const batch = new RequestBatch()
  const lent = Buffer.alloc(3000)
  const expected: Buffer[] = []
  for (let index = 0; index < 300; index += 1) {
    const bytes = lent.subarray(0, 1 + ((index * 37) % 3000))
    bytes.fill(index)
    expected.push(Buffer.from(bytes))
    batch.add(nobody, bytes, 2)
  }
  assert.ok(batch.bytes().equals(Buffer.concat(expected)))
  assert.equal(batch.commandCount, 600)
  batch.clear(false)
  assert.ok(batch.isEmpty)
  assert.equal(batch.byteCount, 0)
})

test('every client gets its own commands back, the last first', () => {
  const batch = new RequestBatch()
  const [one, other] = [taker(), taker()]
  batch.add(one, Buffer.from('a'), 1)
  batch.add(other, Buffer.from('bb'), 2)
  batch.add(one, Buffer.from('ccc'), 3)
  batch.giveBack()
  assert.equal(one.given, 'a/1 ccc/3 ')
  assert.equal(other.given, 'bb/2 ')
  assert.ok(batch.isEmpty)
})

test('what was given back is not overwritten by what comes next', () => {
  const batch = new RequestBatch()
  let kept: Buffer = Buffer.alloc(0)
  const keeper = {
    ...nobody,
    giveBack: (bytes: Buffer) => {
      kept = bytes
    },
  }
  batch.add(keeper, Buffer.from('mine'), 1)
  batch.giveBack()
  batch.add(nobody, Buffer.from('over'), 1)
  assert.equal(kept.toString(), 'mine')
})

test('memory that someone keeps is not used again', () => {
  const batch = new RequestBatch()
  batch.add(nobody, Buffer.from('kept'), 1)
  const kept = batch.bytes()
  batch.clear(true)
  batch.add(nobody, Buffer.from('over'), 1)
  assert.equal(kept.toString(), 'kept')
})

test('a client that is gone gets nothing back', () => {
  const batch = new RequestBatch()
  const gone = taker()
  batch.add(gone, Buffer.from('a'), 1)
  batch.replace(gone, nobody)
  batch.giveBack()
  assert.equal(gone.given, '')
})
