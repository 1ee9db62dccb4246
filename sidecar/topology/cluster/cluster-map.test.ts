import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { slotCount } from '../../../common/redis/slots.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { ClusterMap } from './cluster-map.ts'
import { type MadeNode, answerOf, idOf, portOf } from './fixture.ts'
import { judge } from './merge.ts'
import type { MergedNode } from './nodes.ts'

/** A map whose servers are told apart and nothing else. */
function newMap(): ClusterMap {
  const servers = new Map<number, ServerConnections>()
  return new ClusterMap(({ port }) => {
    const known = servers.get(port) ?? ({ address: String(port) } as ServerConnections)
    servers.set(port, known)
    return known
  })
}

/** All primaries say the same. */
function learn(map: ClusterMap, nodes: readonly MadeNode[], look: number): boolean {
  const answers = nodes
    .filter(({ follows }) => follows === undefined)
    .map(({ number }) => answerOf(number, nodes))
  const present = new Set(map.shards.map(({ primaryId }) => primaryId))
  const judgement = judge(answers, present)
  assert.equal(judgement.kind, 'settled')
  return map.learn(judgement, judgement.answers, look)
}

function nodeOf(map: ClusterMap, number: number): MergedNode {
  const node = map.nodeAt({ host: `10.0.0.${number}`, port: portOf(number) })
  assert(node)
  return node
}

const half = slotCount / 2
const start: readonly MadeNode[] = [
  { number: 1, slots: [[0, half - 1]] },
  { number: 2, slots: [[half, slotCount - 1]] },
  { number: 3, follows: 1 },
  { number: 4 },
]

test('a look that finds what is known changes nothing', () => {
  const map = newMap()
  assert.equal(learn(map, start, 1), true)
  const { shards } = map
  assert.equal(learn(map, start, 2), false)
  assert.equal(map.shards, shards)
  assert.equal(map.hasGaps, false)
})

test('a replica that took over leads the shard, which stays the same', () => {
  const map = newMap()
  learn(map, start, 1)
  const shard = map.slots[0]
  const after: readonly MadeNode[] = [
    { number: 1, follows: 3 },
    { number: 2, slots: [[half, slotCount - 1]] },
    { number: 3, epoch: 9, slots: [[0, half - 1]] },
  ]
  assert.equal(learn(map, after, 2), true)
  assert.equal(map.slots[0], shard)
  assert.equal(shard?.primaryId, idOf(3))
  assert.equal(map.shards.length, 2)
})

for (const isTold of [false, true]) {
  const by = isTold ? 'a redirect' : 'a look'
  test(`a shard stays the same if its roles were seen to have changed before ${by} tells of it`, () => {
    const map = newMap()
    learn(map, start, 1)
    const shard = map.slots[0]
    const after: readonly MadeNode[] = [
      { number: 1, follows: 3 },
      { number: 2, slots: [[half, slotCount - 1]] },
      { number: 3, epoch: 9, slots: [[0, half - 1]] },
    ]
    // Nothing could be concluded from these.
    map.learn(undefined, [answerOf(3, after)], 2)
    if (isTold) assert.equal(map.believe(5, nodeOf(map, 3), 2), true)
    else assert.equal(learn(map, after, 3), true)
    assert.equal(map.slots[0], shard)
    assert.equal(shard?.primaryId, idOf(3))
    assert.equal(map.shards.length, 2)
  })
}

for (const isTold of [false, true]) {
  const by = isTold ? 'a redirect' : 'a look'
  test(`a shard stays the same if both were seen as primaries before ${by} tells who has its slots`, () => {
    const map = newMap()
    learn(map, start, 1)
    const shard = map.slots[0]
    const both: readonly MadeNode[] = [
      { number: 1, slots: [[0, half - 1]] },
      { number: 2, slots: [[half, slotCount - 1]] },
      { number: 3, epoch: 9 },
    ]
    learn(map, both, 2)
    assert.equal(map.slots[0], shard)
    const after: readonly MadeNode[] = [
      { number: 1 },
      { number: 2, slots: [[half, slotCount - 1]] },
      { number: 3, epoch: 9, slots: [[0, half - 1]] },
    ]
    if (isTold) assert.equal(map.believe(5, nodeOf(map, 3), 2), true)
    assert.equal(learn(map, after, 3), !isTold)
    assert.equal(map.slots[0], shard)
    assert.equal(shard?.primaryId, idOf(3))
    assert.equal(map.shards.length, 2)
  })
}

test('a redirect to the replica of the shard makes it the primary of all of its slots', () => {
  const map = newMap()
  learn(map, start, 1)
  assert.equal(map.believe(5, nodeOf(map, 3), 1), true)
  assert.equal(map.slots[half - 1]?.primaryId, idOf(3))
  assert.equal(map.slots[half]?.primaryId, idOf(2))
})

test('a redirect moves its slot only, once between two looks', () => {
  const map = newMap()
  learn(map, start, 1)
  assert.equal(map.believe(5, nodeOf(map, 4), 1), true)
  assert.equal(map.slots[5]?.primaryId, idOf(4))
  assert.equal(map.slots[6]?.primaryId, idOf(1))
  assert.equal(map.believe(5, nodeOf(map, 2), 1), false)
  assert.equal(map.slots[5]?.primaryId, idOf(4))
})

test('a look that began before a redirect does not undo it, the next one does', () => {
  const map = newMap()
  learn(map, start, 1)
  map.believe(5, nodeOf(map, 4), 2)
  learn(map, start, 2)
  assert.equal(map.slots[5]?.primaryId, idOf(4))
  assert.equal(learn(map, start, 3), true)
  assert.equal(map.slots[5]?.primaryId, idOf(1))
  assert.equal(map.shards.length, 2)
})

test('a place is known by its names, and a missing host by its port', () => {
  const map = newMap()
  learn(map, start, 1)
  assert.equal(map.nodeAt({ host: '', port: portOf(2) })?.id, idOf(2))
  assert.equal(map.nodeAt({ host: '?', port: portOf(2) })?.id, idOf(2))
  assert.equal(map.nodeAt({ host: '10.0.0.9', port: portOf(2) }), undefined)
  assert.equal(map.nodeAt({ host: '', port: 1 }), undefined)
})

test('whatever is learnt and told, shards are those that own slots, with one name each', () => {
  const cuts = fc.array(fc.nat(slotCount - 1), { minLength: 1, maxLength: 4 })
  const told = fc.array(fc.tuple(fc.nat(slotCount - 1), fc.integer({ min: 1, max: 5 })))
  fc.assert(
    fc.property(fc.array(fc.tuple(cuts, told), { minLength: 1, maxLength: 5 }), (rounds) => {
      const map = newMap()
      for (const [look, [cuts, redirects]] of rounds.entries()) {
        learn(map, divided(cuts), look + 1)
        for (const [slot, number] of redirects) {
          const node = map.nodeAt({ host: `10.0.0.${number}`, port: portOf(number) })
          if (node !== undefined) map.believe(slot, node, look + 1)
        }
        const ids = new Set(map.shards.map(({ id }) => id))
        assert.equal(ids.size, map.shards.length)
        const primaries = new Set(map.shards.map(({ primaryId }) => primaryId))
        assert.equal(primaries.size, map.shards.length)
        for (const shard of new Set(map.slots)) assert(shard && map.shards.includes(shard))
      }
    }),
    { numRuns: 40 },
  )
})

/** The slots cut at these places; node 5 never owns any. */
function divided(cuts: readonly number[]): MadeNode[] {
  const ends = [...new Set(cuts)].toSorted((a, b) => a - b)
  const parts = [...ends, slotCount - 1].map(
    (end, at) => [at === 0 ? 0 : (ends[at - 1] ?? 0) + 1, end] as const,
  )
  const filled = parts.filter(([first, last]) => first <= last)
  return [...filled.map((part, at) => ({ number: at + 1, slots: [part] })), { number: 6 }]
}
