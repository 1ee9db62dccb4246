import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isForeignOpening, splitInline } from './inline.ts'

const cases: readonly (readonly [string, readonly string[] | undefined])[] = [
  ['', []],
  ['  PING  ', ['PING']],
  ['SET a "b c"', ['SET', 'a', 'b c']],
  [String.raw`ECHO "\x41\n\r\t\a\b\q\""`, ['ECHO', 'A\n\r\t\x07\bq"']],
  [String.raw`ECHO 'it\'s' '\n'`, ['ECHO', "it's", String.raw`\n`]],
  ['SET "" \'\'', ['SET', '', '']],
  ['a"b"', ['ab']],
  ['"a"b', undefined],
  ['"a', undefined],
  ["'a", undefined],
  [String.raw`"a\x4`, undefined],
]
for (const [line, words] of cases) {
  test(`${JSON.stringify(line)} is split as the server does`, () => {
    assert.deepEqual(splitInline(line), words)
  })
}

test('any bytes that are quoted come back as they were', () => {
  const word = fc
    .uint8Array({ maxLength: 20 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'))
  const quote = (text: string) =>
    `"${text.replace(/[^a-z]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`
  fc.assert(
    fc.property(fc.array(word), (words) => {
      assert.deepEqual(splitInline(words.map(quote).join(' ')), words)
    }),
  )
})

test('openings of other protocols are known, memcached’s get is a command', () => {
  for (const line of [
    'GET / HTTP/1.1',
    'post /',
    'Host: x',
    'SSH-2.0-x',
    'PROXY TCP4',
    'HTTP/1.1 200',
  ]) {
    assert.ok(isForeignOpening(line.split(' ')), line)
  }
  assert.ok(!isForeignOpening(['get', 'foo']))
})
