/**
 * What a client sent and was not dealt with yet. A chunk is used where it lies; only what remains of it is copied,
 * into a buffer that grows by doubling, so that one byte at a time costs no more than its share.
 *
 * Slices that were handed out stay valid: bytes are only ever added behind `end`, or in a new buffer.
 */

const empty = Buffer.alloc(0)
const spareBytesMin = 1024

export class Input {
  bytes: Buffer = empty
  start = 0
  end = 0
  /** Whether `bytes` is our own and has room behind `end`. */
  private isOwned = false

  get length(): number {
    return this.end - this.start
  }

  append(chunk: Buffer): void {
    if (this.length === 0) {
      this.bytes = chunk
      this.start = 0
      this.end = chunk.length
      this.isOwned = false
      return
    }
    if (!this.isOwned || this.bytes.length - this.end < chunk.length) this.grow(chunk.length)
    chunk.copy(this.bytes, this.end)
    this.end += chunk.length
  }

  /** Makes what remains of the last chunk its own: the chunk is only lent. */
  keep(): void {
    if (this.length > 0 && !this.isOwned) this.move(Math.max(spareBytesMin, this.length))
  }

  /** Puts `bytes` before all others. */
  prepend(bytes: Buffer): void {
    const rest = this.bytes.subarray(this.start, this.end)
    this.bytes = rest.length === 0 ? bytes : Buffer.concat([bytes, rest])
    this.start = 0
    this.end = this.bytes.length
    this.isOwned = false
  }

  slice(from: number, to: number): Buffer {
    return from === 0 && to === this.bytes.length ? this.bytes : this.bytes.subarray(from, to)
  }

  clear(): void {
    this.bytes = empty
    this.start = 0
    this.end = 0
    this.isOwned = false
  }

  private grow(added: number): void {
    this.move(Math.max(spareBytesMin, 2 * (this.length + added)))
  }

  private move(byteCount: number): void {
    const { length } = this
    const larger = Buffer.allocUnsafeSlow(byteCount)
    this.bytes.copy(larger, 0, this.start, this.end)
    this.bytes = larger
    this.start = 0
    this.end = length
    this.isOwned = true
  }
}
