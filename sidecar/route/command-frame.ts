/**
 * One request frame of a run, as places in its bytes: where its arguments are and which of them are keys. The framing
 * was validated by the scanner. One object is used for all frames; nothing is copied, nothing allocated once its arrays
 * are large enough. What it says holds until the next `read`.
 */
import { frameArgumentsKept } from '../../common/limits.ts'

const carriageReturn = 13
const lineFeed = 10
const zero = 48

export class CommandFrame {
  bytes: Buffer = Buffer.alloc(0)
  start = 0
  /** Behind the frame’s last byte; of a frame that is not whole the end of what there is. */
  end = 0
  /** As announced, name included. */
  argumentCount = 0
  /** Those that are there; fewer than announced when the frame is not whole. */
  seenCount = 0
  /** Set by `findKeys`. */
  keyCount = 0

  private starts = new Int32Array(frameArgumentsFirst)
  private ends = new Int32Array(frameArgumentsFirst)
  private keys = new Int32Array(frameArgumentsFirst)

  get isWhole(): boolean {
    return this.seenCount === this.argumentCount
  }

  /** Reads the frame that begins at `start`; `limit` is where the bytes end. */
  read(bytes: Buffer, start: number, limit: number): void {
    let at = start + 1
    let count = 0
    while (at < limit && bytes[at] !== carriageReturn) {
      count = count * 10 + (bytes[at] as number) - zero
      at += 1
    }
    at += 2
    this.bytes = bytes
    this.start = start
    this.argumentCount = count
    this.keyCount = 0
    this.reserve(count)
    const { starts, ends } = this
    let index = 0
    while (index < count) {
      let cursor = at + 1
      let length = 0
      while (cursor < limit && bytes[cursor] !== carriageReturn) {
        length = length * 10 + (bytes[cursor] as number) - zero
        cursor += 1
      }
      cursor += 2
      const next = cursor + length + 2
      if (next > limit) break
      starts[index] = cursor
      ends[index] = cursor + length
      at = next
      index += 1
    }
    this.seenCount = index
    this.end = index === count ? at : limit
  }

  /** Where argument `index` begins, 0 being the name. */
  argumentStart(index: number): number {
    return this.starts[index] as number
  }

  argumentEnd(index: number): number {
    return this.ends[index] as number
  }

  /** Where the `$` before the argument is. */
  headerStart(index: number): number {
    if (index > 0) return this.argumentEnd(index - 1) + 2
    return this.bytes.indexOf(lineFeed, this.start) + 1
  }

  /** Index of the argument that is key `index`. */
  keyArgument(index: number): number {
    return this.keys[index] as number
  }

  keyStart(index: number): number {
    return this.starts[this.keys[index] as number] as number
  }

  keyEnd(index: number): number {
    return this.ends[this.keys[index] as number] as number
  }

  addKey(argument: number): void {
    if (this.keyCount === this.keys.length) {
      // Specifications may overlap, so that there are more keys than arguments.
      const larger = new Int32Array(this.keys.length * 2)
      larger.set(this.keys)
      this.keys = larger
    }
    this.keys[this.keyCount] = argument
    this.keyCount += 1
  }

  dropKeys(): void {
    this.keyCount = 0
  }

  /** Whether an argument is a word of lower-case letters, in any case. */
  isWord(index: number, word: string): boolean {
    const start = this.argumentStart(index)
    if (this.argumentEnd(index) - start !== word.length) return false
    for (let at = 0; at < word.length; at += 1) {
      if (((this.bytes[start + at] as number) | 32) !== word.charCodeAt(at)) return false
    }
    return true
  }

  /** A canonical decimal number of few digits, as servers read a count; -1 for anything else. */
  number(index: number): number {
    const start = this.argumentStart(index)
    const end = this.argumentEnd(index)
    const length = end - start
    if (length === 0 || length > 9 || (length > 1 && this.bytes[start] === zero)) return -1
    let value = 0
    for (let at = start; at < end; at += 1) {
      const digit = (this.bytes[at] as number) - zero
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }

  /** Bytes of an argument, a view. */
  argument(index: number): Buffer {
    return this.bytes.subarray(this.argumentStart(index), this.argumentEnd(index))
  }

  private reserve(count: number): void {
    const size = this.starts.length
    const isLargeInVain = size > frameArgumentsKept && count <= frameArgumentsKept
    if (count <= size && !isLargeInVain) return
    let wanted = frameArgumentsFirst
    while (wanted < count) wanted *= 2
    this.starts = new Int32Array(wanted)
    this.ends = new Int32Array(wanted)
    this.keys = new Int32Array(wanted)
  }
}

/** Arguments that there is room for from the start. */
const frameArgumentsFirst = 64
