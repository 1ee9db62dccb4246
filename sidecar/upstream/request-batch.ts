/**
 * Commands of many clients on their way to one server: copied into one piece of memory, so that they go out in one
 * call, and whose they are.
 */
import { type ByteRange, copyRange } from '../net/byte-range.ts'
import { nobody, type ReplySink } from './reply-sink.ts'

/** Memory of a new batch, and what is kept of one that was large. */
const memoryBytesMin = 16 * 1024
const memoryBytesKept = 256 * 1024
const entriesKept = 1024

export class RequestBatch {
  byteCount = 0
  commandCount = 0
  private memory = Buffer.allocUnsafeSlow(memoryBytesMin)
  /** Entries up to `entryCount` are meant: lists that shrink would have to grow again in every turn. */
  private sinks: ReplySink[] = []
  private counts: number[] = []
  private ends: number[] = []
  private entryCount = 0

  get isEmpty(): boolean {
    return this.entryCount === 0
  }

  /** Takes a copy of `count` whole commands of `sink`. */
  add(sink: ReplySink, bytes: Buffer, count: number): void {
    const end = this.byteCount + bytes.length
    if (end > this.memory.length) this.grow(end)
    this.memory.set(bytes, this.byteCount)
    this.note(sink, count, end)
  }

  /** The same of a part of a buffer. */
  addRange(sink: ReplySink, request: ByteRange, count: number): void {
    const end = this.byteCount + request.end - request.start
    if (end > this.memory.length) this.grow(end)
    copyRange(request, this.memory, this.byteCount)
    this.note(sink, count, end)
  }

  private note(sink: ReplySink, count: number, end: number): void {
    this.byteCount = end
    this.commandCount += count
    const at = this.entryCount
    this.sinks[at] = sink
    this.counts[at] = count
    this.ends[at] = end
    this.entryCount = at + 1
  }

  /** All bytes, valid until the next `add` after `clear`. */
  bytes(): Buffer {
    return this.memory.subarray(0, this.byteCount)
  }

  forEachOwner(each: (sink: ReplySink, count: number) => void): void {
    const { sinks, counts, entryCount } = this
    for (let index = 0; index < entryCount; index += 1) {
      each(sinks[index] as ReplySink, counts[index] as number)
    }
  }

  /** Empties it; `isKept`: someone keeps `bytes()`. */
  clear(isKept: boolean): void {
    if (isKept || this.memory.length > memoryBytesKept) {
      this.memory = Buffer.allocUnsafeSlow(memoryBytesMin)
    }
    this.byteCount = 0
    this.commandCount = 0
    if (this.entryCount > entriesKept) this.sinks = []
    // Of clients that are gone nothing is to be kept.
    else this.sinks.fill(nobody, 0, this.entryCount)
    this.entryCount = 0
  }

  /** Empties it and gives every client its commands back, the last first, so that each can put them before others. */
  giveBack(): void {
    const { sinks, counts, ends, entryCount } = this
    const all = this.bytes()
    this.sinks = []
    this.counts = []
    this.ends = []
    this.clear(true)
    for (let index = entryCount - 1; index >= 0; index -= 1) {
      const start = index === 0 ? 0 : (ends[index - 1] as number)
      const bytes = all.subarray(start, ends[index] as number)
      sinks[index]?.giveBack(bytes, counts[index] as number)
    }
  }

  replace(sink: ReplySink, other: ReplySink): void {
    for (let index = 0; index < this.entryCount; index += 1) {
      if (this.sinks[index] === sink) this.sinks[index] = other
    }
  }

  private grow(byteCount: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.memory.length, byteCount))
    larger.set(this.memory.subarray(0, this.byteCount))
    this.memory = larger
  }
}
