/**
 * Chunks in which large values pass: each belongs to one write, and is used again when that is done. A value of any
 * size then passes through the same few chunks, and leaves nothing to be collected.
 */
import { readBuffer } from './turn-memory.ts'

const chunkBytes = readBuffer.length
/** Chunks that are kept for later; there may be as many in use as there are writes. */
const freeCountMax = 16

export class ChunkPool {
  private readonly free: Buffer[] = []

  /** A copy of `bytes`, which are not more than a read gives. */
  copy(bytes: Buffer): Buffer {
    const chunk = this.free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
    chunk.set(bytes)
    return chunk.subarray(0, bytes.length)
  }

  /** Nobody uses the copy any more. */
  giveBack(copy: Buffer): void {
    if (this.free.length < freeCountMax) this.free.push(Buffer.from(copy.buffer))
  }
}

export const chunkPool = new ChunkPool()
