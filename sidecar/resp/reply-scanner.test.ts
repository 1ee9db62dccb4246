import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ReplyScanner } from './reply-scanner.ts'

const newScanner = (allowsPushes = false) => new ReplyScanner({ allowsPushes, lineBytesMax: 1000 })

const line = fc.stringMatching(/^[a-zA-Z0-9 .]{0,12}$/)
const bulk = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const leaf = fc.oneof(
  line.map((text) => `+${text}\r\n`),
  line.map((text) => `-ERR ${text}\r\n`),
  fc.integer().map((value) => `:${value}\r\n`),
  fc.double().map((value) => `,${value}\r\n`),
  fc.bigInt().map((value) => `(${value}\r\n`),
  fc.constantFrom('_\r\n', '#t\r\n', '#f\r\n', '$-1\r\n', '*-1\r\n', '*0\r\n', '%0\r\n', '~0\r\n'),
  bulk.map((text) => `$${text.length}\r\n${text}\r\n`),
  bulk.map((text) => `!${text.length}\r\n${text}\r\n`),
  bulk.map((text) => `=${text.length + 4}\r\ntxt:${text}\r\n`),
)
const { reply } = fc.letrec<{ reply: string }>((tie) => ({
  reply: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .array(tie('reply'), { maxLength: 4 })
      .map((items) => `*${items.length}\r\n${items.join('')}`),
    fc
      .array(tie('reply'), { maxLength: 4 })
      .map((items) => `~${items.length}\r\n${items.join('')}`),
    fc
      .array(fc.tuple(tie('reply'), tie('reply')), { maxLength: 3 })
      .map((items) => `%${items.length}\r\n${items.flat().join('')}`),
    fc
      .tuple(tie('reply'), tie('reply'), tie('reply'))
      .map(([key, value, item]) => `|1\r\n${key}${value}${item}`),
  ),
}))

/** Replies that end in each piece, with their total text. */
function scanPieces(bytes: Buffer, cuts: readonly number[], allowsPushes = false) {
  const scanner = newScanner(allowsPushes)
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length]
  const found: number[] = []
  let at = 0
  for (const end of ends.toSorted((a, b) => a - b)) {
    while (at < end) {
      if (!scanner.scan(bytes, at, end, 1)) return { found, isValid: false, isMidReply: false }
      at = scanner.position
      if (scanner.count === 1) found.push(at)
    }
  }
  return { found, isValid: true, isMidReply: scanner.isMidReply }
}

test('replies of every type are told apart whatever the pieces', () => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (replies, cuts) => {
        let end = 0
        const ends = replies.map((text) => (end += text.length))
        const result = scanPieces(Buffer.from(replies.join(''), 'latin1'), cuts)
        assert.deepEqual(result, { found: ends, isValid: true, isMidReply: false })
      },
    ),
    { numRuns: 1000 },
  )
})

test('random bytes never crash or hang', () => {
  const likely = fc.constantFrom(...Buffer.from('+-:$*%~|>_#,(!=\r\n0123456789'))
  const bytes = fc.array(fc.oneof(likely, fc.nat(255)), { maxLength: 200 })
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
      const { found } = scanPieces(Buffer.from(bytes), cuts, true)
      assert.ok(found.every((end) => end <= bytes.length))
    }),
    { numRuns: 2000 },
  )
})

test('depth costs nothing: a million levels are one reply', () => {
  const bytes = Buffer.from(`${'*1\r\n'.repeat(1_000_000)}:1\r\n`)
  const scanner = newScanner()
  assert.ok(scanner.scan(bytes, 0, bytes.length, 1))
  assert.equal(scanner.count, 1)
  assert.equal(scanner.position, bytes.length)
})

test('pushes pass uncounted where they may come, and are malformed where they may not', () => {
  const bytes = Buffer.from('>2\r\n+message\r\n+x\r\n+OK\r\n')
  assert.deepEqual(scanPieces(bytes, [], true).found, [bytes.length])
  assert.equal(scanPieces(bytes, []).isValid, false)
})

for (const text of [
  '?1\r\n',
  '$-2\r\n',
  '*-2\r\n',
  '%-1\r\n',
  '$x\r\n',
  '$\r\n',
  '$3\r\nabcd\r\n',
  '+a\nb\r\n',
  '+a\rb\r\n',
  '*1\r\n>0\r\n',
  '*9999999999999\r\n',
  `+${'x'.repeat(1001)}\r\n`,
]) {
  test(`${JSON.stringify(text.slice(0, 20))} is malformed`, () => {
    assert.equal(scanPieces(Buffer.from(text), []).isValid, false)
  })
}

test('a READONLY error is noticed, one inside a reply is not', () => {
  const scanner = newScanner()
  const nested = Buffer.from('*1\r\n-READONLY no\r\n')
  scanner.scan(nested, 0, nested.length, 1)
  assert.equal(scanner.sawReadOnly, false)
  const plain = Buffer.from("-READONLY You can't write\r\n")
  scanner.scan(plain, 0, plain.length, 1)
  assert.equal(scanner.sawReadOnly, true)
})

test('an error that is cut anywhere is passed over again as a whole', () => {
  const text = "+OK\r\n-READONLY You can't write against a read only replica.\r\n:1\r\n"
  const bytes = Buffer.from(text)
  const errorAt = text.indexOf('-')
  const errorEnd = text.indexOf(':')
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const scanner = newScanner()
    assert.ok(scanner.scan(bytes, 0, cut, Number.POSITIVE_INFINITY))
    const { count } = scanner
    const isTorn = cut > errorAt && cut < errorEnd
    assert.equal(scanner.takeBackError(), isTorn)
    if (isTorn) assert.deepEqual([scanner.position, scanner.errorCount], [errorAt, 0])
    scanner.sawReadOnly = cut >= errorEnd && scanner.sawReadOnly
    assert.ok(scanner.scan(bytes, scanner.position, bytes.length, Number.POSITIVE_INFINITY))
    assert.equal(count + scanner.count, 3)
    assert.equal(scanner.sawReadOnly, true, `cut at ${cut}`)
    assert.equal(scanner.isMidReply, false)
  }
})

test('a message within a reply is not one of its values, a confirmation is malformed there', () => {
  const message = '>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n'
  const pattern = '>4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nx\r\n'
  const bytes = Buffer.from(
    `*2\r\n${message}:1\r\n${pattern}${message}*1\r\n${message}+a\r\n+OK\r\n`,
  )
  const cuts = Array.from({ length: bytes.length }, (_, index) => index)
  for (const pieces of [[], cuts]) {
    const { found, isValid } = scanPieces(bytes, pieces, true)
    assert.ok(isValid)
    assert.deepEqual(found, [bytes.length - 5, bytes.length])
    assert.ok(!scanPieces(bytes, pieces).isValid, 'not where no messages may come')
  }
  const confirmation = '>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n'
  for (const inner of [confirmation, '>1\r\n:1\r\n', '>1\r\n*1\r\n:1\r\n']) {
    assert.ok(!scanPieces(Buffer.from(`*1\r\n${inner}`), [], true).isValid)
  }
})
