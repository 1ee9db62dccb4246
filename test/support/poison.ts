/**
 * Makes use of memory after its time visible: what was lent is overwritten the moment that it may not be used any
 * more, and new memory does not begin with zeros. Importing it is enough; for programs:
 * `NODE_OPTIONS="--import=$PWD/test/support/poison.ts" …`
 */
import { ChunkPool } from '../../sidecar/net/chunk-pool.ts'
import { readBuffer, turnMemory } from '../../sidecar/net/turn-memory.ts'
import { RequestMemory } from '../../sidecar/session/routed/kept-bytes.ts'
import { RequestBatch } from '../../sidecar/upstream/request-batch.ts'

/** No byte of any protocol or test. */
export const poison = 0xdb
/** How often memory was overwritten, by whose it was. */
export const poisoned = { reads: 0, turns: 0, batches: 0, chunks: 0 }
/** The same for requests, which are kept until they are answered where there are several servers. */
export const poisonedRequests = { count: 0 }

/** All that is read goes to its taker as a part of the buffer; ticks come after the taker and before all else. */
readBuffer.subarray = (start, end) => {
  process.nextTick(() => {
    poisoned.reads += 1
    readBuffer.fill(poison)
  })
  return Buffer.prototype.subarray.call(readBuffer, start, end)
}

let taken: Buffer[] = []
replace(turnMemory, 'take', (take) => (byteCount) => {
  const bytes = take.call(turnMemory, byteCount)
  taken.push(bytes)
  return bytes
})
replace(turnMemory, 'reset', (reset) => () => {
  // What was left to someone, or has memory of its own, is not used again.
  for (const bytes of taken) if (turnMemory.owns(bytes)) bytes.fill(poison)
  taken = []
  poisoned.turns += 1
  reset.call(turnMemory)
})

replace(RequestBatch.prototype, 'clear', (clear) => {
  return function poisonAndClear(this: RequestBatch, isKept) {
    if (!isKept) this.bytes().fill(poison)
    poisoned.batches += 1
    clear.call(this, isKept)
  }
})

replace(ChunkPool.prototype, 'giveBack', (giveBack) => {
  return function poisonAndGiveBack(this: ChunkPool, copy) {
    copy.fill(poison)
    poisoned.chunks += 1
    giveBack.call(this, copy)
  }
})

replace(RequestMemory.prototype, 'takeBack', (takeBack) => {
  return function poisonAndTakeBack(this: RequestMemory, slab) {
    slab.bytes.fill(poison)
    poisonedRequests.count += 1
    takeBack.call(this, slab)
  }
})

replace(Buffer, 'allocUnsafeSlow', (allocate) => (byteCount) => allocate(byteCount).fill(poison))

function replace<T, K extends keyof T>(target: T, name: K, make: (original: T[K]) => T[K]): void {
  target[name] = make(target[name])
}
