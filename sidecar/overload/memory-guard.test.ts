import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryCollectMs } from '../../common/limits.ts'
import { MemoryGuard } from './memory-guard.ts'

const megabyte = 1 << 20
const bytesMax = 100 * megabyte

function guardOf(heldMegabytes: readonly number[], garbageMegabytes = 0) {
  const cuts: number[] = []
  const world = { baseMegabytes: 50, keptMegabytes: 0, garbageMegabytes, collections: 0 }
  const open = new Set(heldMegabytes.keys())
  const held = (index: number) => (heldMegabytes[index] ?? 0) * megabyte
  const guard = new MemoryGuard({
    holders: () =>
      [...open].map((index) => ({
        heldBytes: held(index),
        cutForMemory: () => {
          open.delete(index)
          cuts.push(heldMegabytes[index] ?? 0)
        },
      })),
    residentBytes: () =>
      (world.baseMegabytes + world.keptMegabytes + world.garbageMegabytes) * megabyte +
      [...open].reduce((sum, index) => sum + held(index), 0),
    liveBytes: () =>
      world.keptMegabytes === 0
        ? (world.baseMegabytes - 50) * megabyte +
          [...open].reduce((sum, index) => sum + held(index), 0)
        : 0,
    collect: () => {
      world.garbageMegabytes = 0
      world.collections += 1
    },
  })
  return { guard, cuts, world }
}

test('the largest clients go until what is left is below the bound', () => {
  const { guard, cuts } = guardOf([2, 20, 10, 8])
  guard.tick(0, bytesMax)
  assert.deepEqual(cuts, [20])
  assert.equal(guard.isFull, false)
})

test('nobody goes for garbage, nor for memory that no client holds', () => {
  const garbage = guardOf([2, 20], 25)
  garbage.guard.tick(0, bytesMax)
  assert.deepEqual(garbage.cuts, [])
  assert.equal(garbage.world.collections, 1)
  const small = guardOf([0.001, 0.01])
  small.world.baseMegabytes = 99
  small.guard.tick(0, bytesMax)
  assert.deepEqual(small.cuts, [])
})

test('new clients are refused close to the bound and taken again afterwards', () => {
  const { guard, world } = guardOf([])
  world.baseMegabytes = 96
  guard.tick(0, bytesMax)
  assert.equal(guard.isFull, true)
  world.baseMegabytes = 80
  guard.tick(memoryCollectMs, bytesMax)
  assert.equal(guard.isFull, false)
})

test('memory that is only kept by the allocator keeps nobody out', () => {
  const { guard, world } = guardOf([])
  world.keptMegabytes = 48
  guard.tick(0, bytesMax)
  assert.equal(guard.isFull, false)
})

test('what grows fast is cut before it is at the bound', () => {
  const { guard, cuts, world } = guardOf([10])
  guard.tick(0, bytesMax)
  world.baseMegabytes = 73
  world.garbageMegabytes = 0
  guard.tick(100, bytesMax)
  assert.deepEqual(cuts, [])
  world.baseMegabytes = 84
  guard.tick(200, bytesMax)
  assert.deepEqual(cuts, [10])
})
