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
/** Pieces of memory that wait to be used again. */
const slabsKept = 8

/** Memory that requests lie in, one behind the other, until all of them are answered. */
export class RequestSlab {
  readonly bytes: Buffer
  used = 0
  private readonly memory: RequestMemory
  private userCount = 0

  constructor(memory: RequestMemory, bytes: Buffer) {
    this.memory = memory
    this.bytes = bytes
  }

  /** Someone reads of it until they `leave`. */
  join(): void {
    this.userCount += 1
  }

  leave(): void {
    this.userCount -= 1
    if (this.userCount === 0) this.memory.takeBack(this)
  }
}

/** Copies of what clients sent, kept until it is answered: many small ones in one piece of memory. */
export class RequestMemory {
  private slab = this.newSlab()
  private readonly spare: RequestSlab[] = []

  /** A copy of a part of `source`: it ends at `used` of what is given, which the caller has joined. */
  keep(source: ByteRange): RequestSlab {
    const length = source.end - source.start
    const slab = length > slabBytes / 4 ? this.ownSlab(length) : this.slabFor(length)
    slab.join()
    copyRange(source, slab.bytes, slab.used)
    slab.used += length
    return slab
  }

  /** Nobody reads of it any more. */
  takeBack(slab: RequestSlab): void {
    slab.used = 0
    const isLarge = slab.bytes.length !== slabBytes
    if (slab === this.slab || isLarge || this.spare.length === slabsKept) return
    this.spare.push(slab)
  }

  private slabFor(length: number): RequestSlab {
    if (length > slabBytes - this.slab.used) this.slab = this.spare.pop() ?? this.newSlab()
    return this.slab
  }

  private newSlab(): RequestSlab {
    return this.ownSlab(slabBytes)
  }

  private ownSlab(byteCount: number): RequestSlab {
    return new RequestSlab(this, Buffer.allocUnsafeSlow(byteCount))
  }
}
