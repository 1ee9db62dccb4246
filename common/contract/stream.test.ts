import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamError } from '../errors.ts'
import { streamLineBytesMax } from '../limits.ts'
import { LineDecoder, type SidecarMessage, encodeLine, sidecarMessageKinds } from './stream.ts'

const decoder = () => new LineDecoder<SidecarMessage>(sidecarMessageKinds)

const plain = { noNullPrototype: true }
const message: fc.Arbitrary<SidecarMessage> = fc.oneof(
  fc.record({ kind: fc.constant('ping' as const) }, plain),
  fc.record({ kind: fc.constant('ack' as const), version: fc.nat(), epoch: fc.nat() }, plain),
  fc.record(
    {
      kind: fc.constant('hello' as const),
      sidecar: fc.record({ id: fc.string(), version: fc.string() }, plain),
    },
    plain,
  ),
)

test('messages arrive whole and in order, however their bytes are split', () => {
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(200)), (messages, cuts) => {
      const text = messages.map(encodeLine).join('')
      const points = [...new Set(cuts.map((cut) => Math.min(cut, text.length)))].sort(
        (a, b) => a - b,
      )
      const pieces = [...points, text.length].map((end, index) =>
        text.slice(points[index - 1] ?? 0, end),
      )
      const line = decoder()
      assert.deepEqual(
        pieces.flatMap((piece) => line.push(piece)),
        messages,
      )
    }),
  )
})

test('a line that never ends is cut off at its bound', () => {
  const line = decoder()
  assert.throws(() => line.push('x'.repeat(streamLineBytesMax + 1)), StreamError)
})

for (const text of ['not json\n', '[]\n', '{"kind":"order"}\n', 'null\n']) {
  test(`${JSON.stringify(text)} is not a message`, () => {
    assert.throws(() => decoder().push(text), { code: 'RM_STREAM_LINE' })
  })
}
