/**
 * Memory of bytes that are needed until the end of the turn and no longer, as nearly all are: it is used again and
 * again, so that nothing has to be allocated, and collected, for each read and write.
 *
 * Whoever keeps such bytes for longer has to copy them (`ownBytes`), or tell (`leave`).
 */

/** Larger pieces have memory of their own. Small: whatever stays behind of a turn keeps all of it. */
const slabBytes = 16 * 1024

export class TurnMemory {
  private slab = Buffer.allocUnsafeSlow(slabBytes)
  private used = 0

  /** `byteCount` bytes that hold anything. */
  take(byteCount: number): Buffer {
    if (byteCount > slabBytes - this.used) return Buffer.allocUnsafeSlow(byteCount)
    const start = this.used
    this.used += byteCount
    return this.slab.subarray(start, this.used)
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
    return bytes.buffer === this.slab.buffer
  }

  /** `bytes` are kept after this turn: their memory is left to them. */
  leave(bytes: Buffer): void {
    if (!this.owns(bytes)) return
    this.slab = Buffer.allocUnsafeSlow(slabBytes)
    this.used = 0
  }

  /** The turn is over. */
  reset(): void {
    this.used = 0
  }
}

/** Of this thread: all its connections have their turns together. */
export const turnMemory = new TurnMemory()

/** What `readBytes` reads into; what is in it is valid during one callback only. */
export const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** `bytes`, or a copy for this turn if they are of this callback only. */
export function turnBytes(bytes: Buffer): Buffer {
  return bytes.buffer === readBuffer.buffer ? turnMemory.copy(bytes) : bytes
}

/** `bytes`, or a copy if they would not stay what they are. */
export function ownBytes(bytes: Buffer): Buffer {
  return bytes.buffer === readBuffer.buffer || turnMemory.owns(bytes) ? Buffer.from(bytes) : bytes
}

/** The same, and a copy as well of a small part of a large chunk, which would be kept with it. */
export function compactBytes(bytes: Buffer): Buffer {
  return bytes.length * 2 < bytes.buffer.byteLength ? Buffer.from(bytes) : ownBytes(bytes)
}
