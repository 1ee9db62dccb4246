import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createNameFilter } from '../route/name-filter.ts'
import { FrameStream } from './frame-stream.ts'
import { RequestScanner, ScanStop } from './request-scanner.ts'

const limits = {
  argumentCountMax: 2_147_483_647,
  argumentBytesMax: 1 << 29,
  excess: 'invalid',
} as const
const newScanner = () => new RequestScanner(new Uint8Array(16_384), limits)

const words = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 })

function encode(frame: readonly Uint8Array[]): Buffer {
  const bulks = frame.flatMap((word) => [
    Buffer.from(`$${word.length}\r\n`),
    word,
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([Buffer.from(`*${frame.length}\r\n`), ...bulks])
}

/** Frames found when the bytes come in the given pieces, and the reason why the scan stopped. */
function scanPieces(bytes: Buffer, cuts: readonly number[]): { frames: string[]; stop: ScanStop } {
  const scanner = newScanner()
  const frames: string[] = []
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])]
  let start = 0
  let stop: ScanStop = ScanStop.more
  for (const end of ends.toSorted((a, b) => a - b)) {
    stop = ScanStop.more
    while (start < end) {
      stop = scanner.scan(bytes, start, end, 1)
      const isSpecial = stop === ScanStop.special
      const next = isSpecial ? scanner.frameEnd : scanner.position
      if (isSpecial || scanner.count === 1) frames.push(bytes.toString('latin1', start, next))
      start = next
      if (isSpecial) continue
      if (stop !== ScanStop.limit) break
    }
    if (stop !== ScanStop.more && stop !== ScanStop.limit) break
  }
  return { frames, stop }
}

test('whatever the pieces, the same frames are found', () => {
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      (frames, cuts) => {
        const encoded = frames.map(encode)
        const found = scanPieces(Buffer.concat(encoded), cuts)
        assert.deepEqual(
          found.frames,
          encoded.map((frame) => frame.toString('latin1')),
        )
      },
    ),
  )
})

/** The grammar, written down independently: what a valid run of frames is. */
function isValidFrame(text: string): boolean {
  const head = /^\*([1-9]\d{0,9})\r\n/.exec(text)
  if (head === null) return false
  let at = head[0].length
  for (let index = 0; index < Number(head[1]); index += 1) {
    const bulk = /^\$(0|[1-9]\d{0,9})\r\n/.exec(text.slice(at, at + 14))
    if (bulk === null) return false
    at += bulk[0].length + Number(bulk[1])
    if (text.slice(at, at + 2) !== '\r\n') return false
    at += 2
  }
  return at === text.length
}

test('no byte that is changed, dropped or added makes an invalid frame pass', () => {
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('change', 'drop', 'add'),
    byte: fc.oneof(fc.constantFrom(...Buffer.from('*$\r\n0123456789-+ ')), fc.nat(255)),
  })
  const cuts = fc.array(fc.nat(), { maxLength: 5 })
  fc.assert(
    fc.property(
      fc.array(words, { minLength: 1, maxLength: 4 }),
      edit,
      cuts,
      (frames, edit, cuts) => {
        const bytes = Array.from(Buffer.concat(frames.map(encode)))
        const at = edit.at % bytes.length
        if (edit.kind === 'change') bytes[at] = edit.byte
        else if (edit.kind === 'drop') bytes.splice(at, 1)
        else bytes.splice(at, 0, edit.byte)
        for (const frame of scanPieces(Buffer.from(bytes), cuts).frames) {
          assert.ok(isValidFrame(frame), JSON.stringify(frame))
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('random bytes never crash, hang or pass', () => {
  const likely = fc.constantFrom(...Buffer.from('*$\r\n0123456789-'))
  const bytes = fc.array(fc.oneof(likely, fc.nat(255)), { maxLength: 200 })
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
      for (const frame of scanPieces(
        Buffer.concat([Buffer.from('*1\r\n'), Buffer.from(bytes)]),
        cuts,
      ).frames) {
        assert.ok(isValidFrame(frame), JSON.stringify(frame))
      }
    }),
    { numRuns: 2000 },
  )
})

test('a scan stops before a name that holds a NUL, whatever the filter says', () => {
  for (const name of ['ACL\0x', 'CONFIG\0abcN', 'BLPOP\0', 'CONFIG\0\0', 'SHUTDOWN\0zzzzzzzzzS']) {
    const bytes = encode([Buffer.from(name), Buffer.from('a')])
    const scanner = new RequestScanner(createNameFilter(), limits)
    assert.equal(scanner.scan(bytes, 0, bytes.length, 100), ScanStop.special, JSON.stringify(name))
  }
})

test('a scan stops before a command that is not ordinary and knows its name', () => {
  const scanner = new RequestScanner(createNameFilter(), limits)
  const get = encode([Buffer.from('GET'), Buffer.from('a')])
  const bytes = Buffer.concat([get, get, encode([Buffer.from('bLpOp'), Buffer.from('l')])])
  assert.equal(scanner.scan(bytes, 0, bytes.length, 100), ScanStop.special)
  assert.equal(scanner.count, 2)
  assert.equal(scanner.position, 2 * get.length)
  assert.equal(bytes.toString('latin1', scanner.nameStart, scanner.nameEnd), 'bLpOp')
  assert.equal(scanner.argumentCount, 2)
  assert.equal(scanner.frameEnd, bytes.length)
})

test('the name of a frame that came in pieces is found after its bytes have moved', () => {
  const scanner = new RequestScanner(createNameFilter(), limits)
  const frame = encode([Buffer.from('BLPOP'), Buffer.from('list'), Buffer.from('0')])
  const early = Buffer.concat([Buffer.from('#####'), frame.subarray(0, 20)])
  assert.equal(scanner.scan(early, 5, early.length, 10), ScanStop.more)
  assert.equal(scanner.scan(frame, 0, frame.length, 10), ScanStop.special)
  assert.equal(frame.toString('latin1', scanner.nameStart, scanner.nameEnd), 'BLPOP')
})

test('a frame passes a stream in any pieces, and only a valid one does', () => {
  fc.assert(
    fc.property(words, fc.array(fc.nat(), { maxLength: 20 }), fc.nat(), (frame, cuts, seed) => {
      const whole = encode(frame)
      const bytes = whole.subarray(whole.indexOf('\r\n') + 2)
      const broken = Buffer.from(bytes)
      const at = seed % broken.length
      broken[at] = (broken[at] as number) ^ 1
      assert.equal(streamPieces(bytes, frame.length, cuts).text, bytes.toString('latin1'))
      const result = streamPieces(broken, frame.length, cuts)
      const passed = `*${frame.length}\r\n${result.text}`
      if (result.state === 'done') assert.ok(isValidFrame(passed), JSON.stringify(passed))
    }),
  )
})

function streamPieces(bytes: Buffer, count: number, cuts: readonly number[]) {
  const stream = new FrameStream(count, 1 << 29)
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length]
  let start = 0
  let text = ''
  for (const end of ends.toSorted((a, b) => a - b)) {
    if (end < start) continue
    const state = stream.advance(bytes, start, end)
    text += bytes.toString('latin1', start, stream.position)
    start = stream.position
    if (state !== 'more') return { state, text }
  }
  return { state: 'more' as const, text }
}
