import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestMemory } from './kept-bytes.ts'

const request = (text: string) => {
  const bytes = Buffer.from(text)
  return { bytes, start: 0, end: bytes.length }
}

test('requests lie behind each other until the last who reads them has left', () => {
  const memory = new RequestMemory()
  const slab = memory.keep(request('first'))
  assert.equal(memory.keep(request('second')), slab)
  assert.equal(slab.bytes.toString('latin1', 0, slab.used), 'firstsecond')
  slab.leave()
  assert.equal(memory.keep(request('third')).used, 'firstsecondthird'.length)
  slab.leave()
  slab.leave()
  assert.equal(memory.keep(request('again')), slab)
  assert.equal(slab.bytes.toString('latin1', 0, slab.used), 'again')
})

test('memory that is full is used again, and no more of it is kept than is of use', () => {
  const memory = new RequestMemory()
  const part = request('x'.repeat(4000))
  const fill = () => new Set(Array.from({ length: 100 }, () => memory.keep(part)))
  const leave = (slabs: ReturnType<typeof fill>) => {
    for (const slab of slabs) while (slab.used > 0) slab.leave()
  }
  const before = fill()
  leave(before)
  const known = [...fill()].filter((slab) => before.has(slab))
  assert.ok(known.length > 1 && known.length < before.size, String(known.length))
})

test('a large request has memory of its own, which goes with it', () => {
  const memory = new RequestMemory()
  const large = memory.keep(request('y'.repeat(10_000)))
  assert.equal(large.bytes.length, 10_000)
  large.leave()
  assert.notEqual(memory.keep(request('y'.repeat(10_000))), large)
})
