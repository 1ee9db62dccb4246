import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc16, findHashTag, keySlot, slotCount } from './slots.ts'

const slotOf = (key: string) => {
  // Other bytes around it must not count.
  const bytes = Buffer.from(`{}${key}}x`, 'latin1')
  return keySlot(bytes, 2, bytes.length - 2)
}

test('the checksum is CRC-16/XMODEM', () => {
  assert.equal(crc16(Buffer.from('123456789'), 0, 9), 0x31c3)
  assert.equal(crc16(Buffer.alloc(0), 0, 0), 0)
})

test('the first tag that is not empty decides the slot, and only the first brace is looked at', () => {
  assert.equal(slotOf('{user1000}.following'), slotOf('user1000'))
  assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'))
  assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'))
  for (const whole of ['foo{}{bar}', '{', '}', '{}', 'foo{bar', 'a}b{c', '']) {
    const bytes = Buffer.from(whole, 'latin1')
    assert.equal(slotOf(whole), crc16(bytes, 0, bytes.length) % slotCount, whole)
  }
})

test('a ring may have other tags', () => {
  const tagOf = (key: string, open: string, close: string) => {
    const bytes = Buffer.from(key)
    const part = { start: 0, end: bytes.length }
    findHashTag(bytes, part, { open: open.charCodeAt(0), close: close.charCodeAt(0) })
    return bytes.toString('latin1', part.start, part.end)
  }
  assert.equal(tagOf('a[b]c', '[', ']'), 'b')
  assert.equal(tagOf('user:$1$:x', '$', '$'), '1')
  assert.equal(tagOf('a$$b$c$', '$', '$'), 'a$$b$c$')
  assert.equal(tagOf('a{b}', '[', ']'), 'a{b}')
  assert.equal(tagOf('a[b', '[', ']'), 'a[b')
})
