import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameSorter, type Sorting } from './frame-sorter.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const frames = {
  confirmation: [
    `3\r\n${bulk('subscribe')}${bulk('a')}:1\r\n`,
    `3\r\n${bulk('punsubscribe')}$-1\r\n:0\r\n`,
    `3\r\n${bulk('ssubscribe')}${bulk('a'.repeat(100))}:12\r\n`,
  ],
  message: [
    `3\r\n${bulk('message')}${bulk('a')}${bulk('subscribe')}`,
    `4\r\n${bulk('pmessage')}${bulk('a*')}${bulk('ab')}${bulk('x'.repeat(300))}`,
  ],
  reply: [
    '-ERR no\r\n',
    '+OK\r\n',
    `*2\r\n${bulk('pong')}${bulk('')}`,
    bulk('subscribe'),
    '*0\r\n',
  ],
} as const

type Piece = { readonly kind: keyof typeof frames; readonly index: number }

function sorted(bytes: Buffer, cuts: readonly number[], sorting: Sorting): string[] {
  const found: string[] = []
  let part = ''
  const sorter = new FrameSorter({
    onReplyFrame: (slice, count) => {
      part += slice.toString('latin1')
      if (count === 1) found.push(`reply ${part}`)
      if (count === 1) part = ''
    },
    onMessageFrame: (slice) => found.push(`message ${slice.toString('latin1')}`),
    onConfirmationFrame: (frame) => found.push(`confirmation ${frame.toString('latin1')}`),
  })
  let start = 0
  for (const cut of [...cuts.toSorted((left, right) => left - right), bytes.length]) {
    if (cut > start) assert.ok(sorter.receive(bytes.subarray(start, cut), { sorting }))
    start = Math.max(start, cut)
  }
  assert.equal(sorter.isMidFrame, false)
  return found
}

for (const sorting of ['pushes', 'arrays'] as const) {
  const mark = sorting === 'pushes' ? '>' : '*'
  const textOf = ({ kind, index }: Piece) => {
    const text = frames[kind][index % frames[kind].length] ?? ''
    return kind === 'reply' ? text : mark + text
  }
  test(`frames are told apart however they are split, by ${sorting}`, () => {
    const piece = fc.record({
      kind: fc.constantFrom('confirmation', 'message', 'reply' as const),
      index: fc.nat(10),
    })
    const cuts = fc.array(fc.nat(2000), { maxLength: 30 })
    fc.assert(
      fc.property(fc.array(piece as fc.Arbitrary<Piece>, { maxLength: 12 }), cuts, (list, at) => {
        const bytes = Buffer.from(list.map(textOf).join(''), 'latin1')
        const found = sorted(
          bytes,
          at.map((cut) => Math.min(cut, bytes.length)),
          sorting,
        )
        const join = (kind: string) =>
          found.flatMap((one) => (one.startsWith(`${kind} `) ? [one.slice(kind.length + 1)] : []))
        for (const kind of ['confirmation', 'reply'] as const) {
          assert.deepEqual(join(kind), list.filter((one) => one.kind === kind).map(textOf))
        }
        const messages = list.filter((one) => one.kind === 'message').map(textOf)
        assert.equal(join('message').join(''), messages.join(''))
      }),
    )
  })
}

test('an array is a reply where nothing is subscribed', () => {
  const bytes = Buffer.from(`*3\r\n${bulk('message')}${bulk('a')}${bulk('b')}`)
  assert.deepEqual(sorted(bytes, [], 'pushes'), [`reply ${bytes.toString()}`])
})

test('a confirmation without end is refused', () => {
  const sorter = new FrameSorter({
    onReplyFrame() {},
    onMessageFrame() {},
    onConfirmationFrame() {},
  })
  assert.ok(
    sorter.receive(Buffer.from(`>3\r\n${bulk('subscribe')}$900000000\r\n`), { sorting: 'pushes' }),
  )
  const piece = Buffer.alloc(1024 * 1024, 'x')
  assert.equal(sorter.receive(piece, { sorting: 'pushes' }), false)
})
