/**
 * The commands that were sent last over one connection, as bytes: a copy per write, none per command. Who is owed
 * replies is known elsewhere, oldest first, and so is how many commands these are; the last ones noted here are theirs.
 *
 * Bounded: what was sent in a large piece is not kept, and neither is what lies too far back.
 */
import { sentLogBytesMax, sentPieceBytesMax } from '../../common/limits.ts'
import { CommandFrame } from '../route/command-frame.ts'

const memoryBytesMin = 1024

/** Memory that is filled from the front, with whole commands. */
class Page {
  byteCount = 0
  commandCount = 0
  private memory: Buffer | undefined

  hasRoom(byteCount: number): boolean {
    return this.byteCount + byteCount <= sentLogBytesMax / 2
  }

  add(bytes: Buffer, commandCount: number): void {
    const end = this.byteCount + bytes.length
    if (this.memory === undefined || end > this.memory.length) this.grow(end)
    this.memory?.set(bytes, this.byteCount)
    this.byteCount = end
    this.commandCount += commandCount
  }

  clear(): void {
    this.byteCount = 0
    this.commandCount = 0
  }

  copy(): Buffer {
    return Buffer.from(this.memory?.subarray(0, this.byteCount) ?? [])
  }

  private grow(byteCount: number): void {
    const size = this.memory === undefined ? memoryBytesMin : 2 * this.memory.length
    const larger = Buffer.allocUnsafeSlow(Math.max(size, byteCount))
    this.memory?.copy(larger, 0, 0, this.byteCount)
    this.memory = larger
  }
}

export class SentLog {
  /** What is in `before` was sent before what is in `present`, and nothing between. */
  private before = new Page()
  private present = new Page()

  /** Notes `commandCount` whole commands, of which nothing is kept but a copy. */
  note(bytes: Buffer, commandCount: number): void {
    if (bytes.length > sentPieceBytesMax) return this.clear()
    if (!this.present.hasRoom(bytes.length)) {
      const { before, present } = this
      before.clear()
      this.before = present
      this.present = before
    }
    this.present.add(bytes, commandCount)
  }

  /** None of what was noted will be asked for. */
  clear(): void {
    this.before.clear()
    this.present.clear()
  }

  /** The last `commandCount` commands, to be taken in order. */
  last(commandCount: number): SentCommands {
    const { before, present } = this
    const known = before.commandCount + present.commandCount
    const sent = new SentCommands(
      Buffer.concat([before.copy(), present.copy()]),
      commandCount - known,
    )
    if (known > commandCount) sent.take(known - commandCount)
    return sent
  }
}

export class SentCommands {
  private readonly bytes: Buffer
  private readonly frame = new CommandFrame()
  private position = 0
  /** Commands at the beginning that are not known. */
  private missingCount: number

  constructor(bytes: Buffer, missingCount: number) {
    this.bytes = bytes
    this.missingCount = Math.max(0, missingCount)
  }

  /** The next `count` commands; undefined if not all of them are known. */
  take(count: number): Buffer | undefined {
    const missing = Math.min(count, this.missingCount)
    this.missingCount -= missing
    const start = this.position
    for (let left = count - missing; left > 0; left -= 1) {
      this.frame.read(this.bytes, this.position, this.bytes.length)
      this.position = this.frame.end
    }
    return missing > 0 ? undefined : this.bytes.subarray(start, this.position)
  }
}
