import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Input } from './input.ts'

test('bytes come out as they went in, and what was handed out never changes', () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 50 })
  const step = fc.record({ chunk, taken: fc.nat(60) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const input = new Input()
      const taken: { slice: Buffer; copy: Buffer }[] = []
      for (const { chunk, taken: count } of steps) {
        input.append(Buffer.from(chunk))
        const end = Math.min(input.end, input.start + count)
        const slice = input.slice(input.start, end)
        taken.push({ slice, copy: Buffer.from(slice) })
        input.start = end
        if (input.length === 0) input.clear()
      }
      for (const { slice, copy } of taken) assert.deepEqual(slice, copy)
      const all = Buffer.concat([
        ...taken.map(({ copy }) => copy),
        input.slice(input.start, input.end),
      ])
      assert.deepEqual(all, Buffer.concat(steps.map(({ chunk }) => chunk)))
    }),
  )
})

test('what is given back comes before what is there', () => {
  const input = new Input()
  input.append(Buffer.from('later'))
  input.prepend(Buffer.from('first '))
  assert.equal(input.slice(input.start, input.end).toString(), 'first later')
})
