import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Splicer } from './splicer.ts'

/** The same numbers for the same seed. */
function randomOf(seed: number): (max: number) => number {
  let state = seed
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * max)
  }
}

function splicerInto(written: Buffer[]): Splicer {
  return new Splicer({
    write: (bytes) => written.push(Buffer.from(bytes)),
    overflow: () => assert.fail('too much waits'),
  })
}

test('a frame is never interrupted, whoever sends it in whichever pieces', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = randomOf(seed)
    const written: Buffer[] = []
    const splicer = splicerInto(written)
    const sources = [{}, {}, 'replies'].map((source, index) => {
      const frames = Array.from({ length: 5 }, (_, number) => {
        const text = `${index}-${number}`.padEnd(5 + random(20), 'x')
        return Buffer.from(`$${text.length}\r\n${text}\r\n`)
      })
      return { source, frames, at: 0 }
    })
    for (let left = sources.length; left > 0; ) {
      const one = sources[random(sources.length)]
      const [frame] = one?.frames ?? []
      if (one === undefined || frame === undefined) continue
      const end = Math.min(frame.length, one.at + 1 + random(20))
      const piece = frame.subarray(one.at, end)
      if (typeof one.source === 'string') splicer.passReplies(piece)
      else splicer.pass(one.source, piece, end === frame.length)
      one.at = end
      if (end < frame.length) continue
      one.at = 0
      one.frames.shift()
      if (one.frames.length === 0) left -= 1
    }
    assert.ok(splicer.isIdle)
    const text = Buffer.concat(written).toString()
    const found = [...text.matchAll(/\$(\d+)\r\n((\d)-(\d)x*)\r\n/g)]
    assert.equal(found.map(([whole]) => whole).join(''), text, `seed ${seed}`)
    for (const [, length, body] of found) assert.equal(body?.length, Number(length))
    for (const index of ['0', '1', '2']) {
      const own = found.filter(([, , , source]) => source === index)
      assert.deepEqual(
        own.map(([, , , , number]) => number),
        ['0', '1', '2', '3', '4'],
        `seed ${seed}`,
      )
    }
  }
})

test('what waits behind a frame that does not end is bounded', () => {
  let overflows = 0
  const splicer = new Splicer({ write() {}, overflow: () => (overflows += 1) })
  const [one, other] = [{}, {}]
  splicer.pass(one, Buffer.from('$100\r\n'), false)
  assert.ok(splicer.isMidFrame && splicer.isMidFrameOf(one) && !splicer.isMidFrameOf(other))
  const mebibyte = Buffer.alloc(1024 * 1024)
  for (let count = 0; count < 65; count += 1) splicer.pass(other, mebibyte, true)
  assert.equal(overflows, 1)
})
