import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keySlot } from '../../common/redis/slots.ts'
import { encodeCommand } from '../resp/encode.ts'
import { frameArguments } from '../resp/arguments.ts'
import { mergeReplies } from './merge/merge-replies.ts'
import { RoutePlanner } from './plan.ts'
import { keyOrder, splitCommand } from './split.ts'

const planner = new RoutePlanner()
const words = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const keys = fc.array(
  fc.oneof(
    words,
    fc.constantFrom('a', 'b', '{a}1', '{b}x').map((word) => Buffer.from(word)),
  ),
  {
    minLength: 1,
    maxLength: 40,
  },
)
const shardCounts = fc.integer({ min: 1, max: 7 })

function placesOf(shardCount: number, isRing: boolean) {
  const shardOf = (hash: number) => hash % shardCount
  return {
    kind: isRing ? ('ring' as const) : ('cluster' as const),
    hashOf: keySlot,
    isTogether: (hash: number, other: number) =>
      isRing ? shardOf(hash) === shardOf(other) : hash === other,
    shardOf,
  }
}

test('every key is asked once, with its own, and its answer comes to its place', () => {
  fc.assert(
    fc.property(keys, shardCounts, fc.boolean(), (asked, shardCount, isRing) => {
      const places = placesOf(shardCount, isRing)
      const bytes = Buffer.concat([Buffer.from('xx'), encodeCommand(['mget', ...asked])])
      if (planner.plan(places, bytes, 2, bytes.length) !== 'split') return
      assert.ok(planner.traits)
      const parts = splitCommand(planner.frame, planner.traits, places)
      const replies = parts.map((part) => {
        const each = part.commands.map(({ start, end, hash }) => {
          const [name, ...own] = frameArguments(part.bytes, start, Number.POSITIVE_INFINITY)
          assert.equal(String(name), 'mget')
          assert.equal(start + encodeCommand(['mget', ...own]).length, end)
          assert.equal(places.shardOf(hash), part.shard)
          for (const key of own) assert.ok(places.isTogether(hash, keySlot(key, 0, key.length)))
          return encodeCommand(own)
        })
        assert.equal(part.commands.at(-1)?.end, part.bytes.length)
        return Buffer.concat(each)
      })
      // An answer is the key itself, so that the whole is the list of the keys.
      const whole = mergeReplies('positional', replies, { keyOrder: keyOrder(parts) })
      assert.deepEqual(whole, encodeCommand(asked))
    }),
  )
})

test('values and what follows them go with every key', () => {
  fc.assert(
    fc.property(keys, shardCounts, (asked, shardCount) => {
      const places = placesOf(shardCount, false)
      const pairs = asked.flatMap((key) => [key, Buffer.concat([Buffer.from('v'), key])])
      const bytes = encodeCommand(['MSETEX', String(asked.length), ...pairs, 'EX', '100'])
      if (planner.plan(places, bytes, 0, bytes.length) !== 'split') return
      assert.ok(planner.traits)
      const seen: string[] = []
      for (const part of splitCommand(planner.frame, planner.traits, places)) {
        for (const { start, end } of part.commands) {
          const [name, count, ...rest] = frameArguments(part.bytes, start, 1000)
          assert.deepEqual([String(name), Number(count)], ['MSETEX', (rest.length - 2) / 2])
          assert.deepEqual(rest.slice(-2).map(String), ['EX', '100'])
          assert.equal(encodeCommand([name ?? '', count ?? '', ...rest]).length, end - start)
          for (let at = 0; at < rest.length - 2; at += 2) {
            const [key, value] = [rest[at]?.toString('latin1'), rest[at + 1]?.toString('latin1')]
            assert.equal(value, `v${key}`)
            seen.push(key ?? '')
          }
        }
      }
      const all = asked.map((key) => key.toString('latin1'))
      assert.deepEqual(seen.toSorted(), all.toSorted())
    }),
  )
})
