/** Bytes of requests and replies that are kept until it is their turn, with as few objects as can be. */
import { type ByteRange, copyRange, viewOf } from '../../net/byte-range.ts'

/** Bytes of replies, of which `count` ended in them. */
export interface ReplyRange extends ByteRange {
  readonly count: number
}

/** Replies that came together, gone through one range after the other. */
export class ReplyPiece implements ReplyRange {
  bytes: Buffer = Buffer.alloc(0)
  start = 0
  end = 0
  count = 0
  private limit = 0
  /** Of what came, before what `bytes` begin with. */
  private shift = 0
  private isOwn = false

  begin(bytes: Buffer): void {
    this.bytes = bytes
    this.start = 0
    this.end = 0
    this.limit = bytes.length
    this.shift = 0
    this.isOwn = false
  }

  get isEnd(): boolean {
    return this.end === this.limit
  }

  /** Goes on to what ends at `end` of what came. */
  next(end: number, count: number): void {
    this.start = this.end
    this.end = end - this.shift
    this.count = count
  }

  /** The same for all that is left. */
  rest(count: number): void {
    this.next(this.limit + this.shift, count)
  }

  /** Has the bytes from here on stay what they are. */
  own(): void {
    if (this.isOwn) return
    const { bytes, start, limit } = this
    this.bytes = Buffer.from(viewOf({ bytes, start, end: limit }))
    this.shift += start
    this.end -= start
    this.limit -= start
    this.start = 0
    this.isOwn = true
  }
}

/** Memory of new requests; larger ones have memory of their own. */
const slabBytes = 16 * 1024

/** Copies of what clients sent, kept until it is answered: many small ones in one piece of memory. */
export class RequestMemory {
  private slab = Buffer.allocUnsafeSlow(slabBytes)
  private used = 0

  /** A copy of a part of `source`. */
  keep(source: ByteRange): ByteRange {
    const length = source.end - source.start
    if (length > slabBytes / 4) {
      return { bytes: Buffer.from(viewOf(source)), start: 0, end: length }
    }
    if (length > slabBytes - this.used) {
      this.slab = Buffer.allocUnsafeSlow(slabBytes)
      this.used = 0
    }
    const start = this.used
    this.used += length
    copyRange(source, this.slab, start)
    return { bytes: this.slab, start, end: this.used }
  }
}
