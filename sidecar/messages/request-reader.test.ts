import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageKeysBytesMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { RequestReader, type SeenCommand } from './request-reader.ts'

function read(chunks: readonly Buffer[]) {
  const seen: SeenCommand[] = []
  const reader = new RequestReader((command) => seen.push(command))
  for (const chunk of chunks) reader.receive(chunk)
  return { seen, isLost: reader.isLost }
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let at = 0
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...chunks, bytes.subarray(at)]
}

test('however the bytes are cut, every command is told once and with its size', () => {
  const command = fc.array(fc.string({ maxLength: 40 }), { minLength: 1, maxLength: 5 })
  const sizes = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 6 }), sizes, (commands, at) => {
      const frames = commands.map((words) => encodeCommand(words))
      const { seen, isLost } = read(cut(Buffer.concat(frames), at))
      assert.equal(isLost, false)
      assert.deepEqual(
        seen.map(({ head, byteCount, argumentCount }) => [head, byteCount, argumentCount]),
        frames.map((frame, index) => [frame, frame.length, commands[index]?.length]),
      )
    }),
  )
})

test('of a large command only the beginning is kept', () => {
  const large = encodeCommand(['SET', 'key', 'x'.repeat(messageKeysBytesMax * 2)])
  const { seen } = read([large, encodeCommand(['PING'])])
  assert.deepEqual(
    seen.map(({ head, byteCount }) => [head.length, byteCount]),
    [
      [messageKeysBytesMax, large.length],
      [14, 14],
    ],
  )
})

test('inline commands are told, empty lines are not, and what is no RESP ends it', () => {
  const { seen } = read([Buffer.from('PING\r\n\r\nGET '), Buffer.from('a\r\n*0\r\n')])
  assert.deepEqual(
    seen.map(({ head, argumentCount, isInline }) => [head.toString(), argumentCount, isInline]),
    [
      ['PING\r\n', 1, true],
      ['GET a\r\n', 2, true],
    ],
  )
  assert.equal(read([Buffer.from('*1\r\nPING\r\n')]).isLost, true)
  assert.equal(read([Buffer.from('*x\r\n')]).isLost, true)
})
