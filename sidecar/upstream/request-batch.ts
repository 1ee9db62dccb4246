/**
 * Commands of many clients on their way to one server: copied into one piece of memory, so that they go out in one
 * call, and whose they are.
 */
import type { ReplySink } from './reply-sink.ts'

/** Memory of a new batch, and what is kept of one that was large. */
const memoryBytesMin = 16 * 1024
const memoryBytesKept = 256 * 1024

export class RequestBatch {
  byteCount = 0
  commandCount = 0
  private memory = Buffer.allocUnsafeSlow(memoryBytesMin)
  private sinks: ReplySink[] = []
  private counts: number[] = []
  private ends: number[] = []

  get isEmpty(): boolean {
    return this.sinks.length === 0
  }

  /** Takes a copy of `count` whole commands of `sink`. */
  add(sink: ReplySink, bytes: Buffer, count: number): void {
    const end = this.byteCount + bytes.length
    if (end > this.memory.length) this.grow(end)
    this.memory.set(bytes, this.byteCount)
    this.byteCount = end
    this.commandCount += count
    this.sinks.push(sink)
    this.counts.push(count)
    this.ends.push(end)
  }

  /** All bytes, valid until the next `add` after `clear`. */
  bytes(): Buffer {
    return this.memory.subarray(0, this.byteCount)
  }

  forEachOwner(each: (sink: ReplySink, count: number) => void): void {
    const { sinks, counts } = this
    for (let index = 0; index < sinks.length; index += 1) {
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
    this.sinks.length = 0
    this.counts.length = 0
    this.ends.length = 0
  }

  /** Empties it and gives every client its commands back, the last first, so that each can put them before others. */
  giveBack(): void {
    const { sinks, counts, ends } = this
    const all = this.bytes()
    this.sinks = []
    this.counts = []
    this.ends = []
    this.clear(true)
    for (let index = sinks.length - 1; index >= 0; index -= 1) {
      const start = index === 0 ? 0 : (ends[index - 1] as number)
      const bytes = all.subarray(start, ends[index] as number)
      sinks[index]?.giveBack(bytes, counts[index] as number)
    }
  }

  replace(sink: ReplySink, other: ReplySink): void {
    for (let index = 0; index < this.sinks.length; index += 1) {
      if (this.sinks[index] === sink) this.sinks[index] = other
    }
  }

  private grow(byteCount: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.memory.length, byteCount))
    larger.set(this.memory.subarray(0, this.byteCount))
    this.memory = larger
  }
}
