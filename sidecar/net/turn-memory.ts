/**
 * Memory of bytes that are needed until the end of the turn and no longer, as nearly all are: it is used again and
 * again, so that nothing has to be allocated, and collected, for each read and write.
 *
 * Whoever keeps such bytes for longer has to copy them (`ownBytes`), or tell (`leave`).
 */

/** Small: whatever stays behind of a turn keeps all of it. */
const slabBytes = 16 * 1024
/** For the replies to many pipelines; larger pieces, and those that come when it is full, have memory of their own. */
const largeSlabBytes = 64 * 1024

/** Memory that is handed out from its start to its end, and then anew. */
class Slab {
  private memory: Buffer | undefined
  private used = 0
  private readonly byteCount: number

  constructor(byteCount: number) {
    this.byteCount = byteCount
  }

  take(byteCount: number): Buffer | undefined {
    if (byteCount > this.byteCount - this.used) return undefined
    this.memory ??= Buffer.allocUnsafeSlow(this.byteCount)
    const start = this.used
    this.used += byteCount
    return this.memory.subarray(start, this.used)
  }

  owns(bytes: Buffer): boolean {
    return bytes.buffer === this.memory?.buffer
  }

  /** Leaves its memory to those who have it. */
  leave(): void {
    this.memory = undefined
    this.used = 0
  }

  reset(): void {
    this.used = 0
  }
}

export class TurnMemory {
  private readonly small = new Slab(slabBytes)
  private readonly large = new Slab(largeSlabBytes)

  /** `byteCount` bytes that hold anything. */
  take(byteCount: number): Buffer {
    const slab = byteCount > slabBytes / 2 ? this.large : this.small
    return slab.take(byteCount) ?? Buffer.allocUnsafeSlow(byteCount)
  }

  copy(bytes: Buffer): Buffer {
    const taken = this.take(bytes.length)
    taken.set(bytes)
    return taken
  }

  concat(slices: readonly Buffer[], byteCount: number): Buffer {
    const taken = this.take(byteCount)
    let at = 0
    for (const slice of slices) {
      taken.set(slice, at)
      at += slice.length
    }
    return taken
  }

  owns(bytes: Buffer): boolean {
    return this.small.owns(bytes) || this.large.owns(bytes)
  }

  /** `bytes` are kept after this turn: their memory is left to them. */
  leave(bytes: Buffer): void {
    if (this.small.owns(bytes)) this.small.leave()
    else if (this.large.owns(bytes)) this.large.leave()
  }

  /** The turn is over. */
  reset(): void {
    this.small.reset()
    this.large.reset()
  }
}

/** Of this thread: all its connections have their turns together. */
export const turnMemory = new TurnMemory()

/** What `readBytes` reads into; what is in it is valid during one callback only. */
export const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Whether `bytes` are of this callback only. */
export function isLent(bytes: Buffer): boolean {
  return bytes.buffer === readBuffer.buffer
}

/** `bytes`, or a copy for this turn if they are of this callback only. */
export function turnBytes(bytes: Buffer): Buffer {
  return isLent(bytes) ? turnMemory.copy(bytes) : bytes
}

/** `bytes`, or a copy if they would not stay what they are. */
export function ownBytes(bytes: Buffer): Buffer {
  return isLent(bytes) || turnMemory.owns(bytes) ? Buffer.from(bytes) : bytes
}

/** The same, and a copy as well of a small part of a large chunk, which would be kept with it. */
export function compactBytes(bytes: Buffer): Buffer {
  return bytes.length * 2 < bytes.buffer.byteLength ? Buffer.from(bytes) : ownBytes(bytes)
}
