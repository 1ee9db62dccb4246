/**
 * Bytes on their way to one socket: gathered during a turn, written once at its end.
 *
 * Slices are views of chunks that were read; a view keeps its whole chunk alive. While the socket takes
 * everything at once that costs nothing, but what waits behind a slow socket is copied, so that memory held is
 * proportional to bytes held.
 */
import type { Flushable } from './turn.ts'
import { isLent, turnMemory } from './turn-memory.ts'
import type { SocketWriter } from './writer.ts'

/** Slices this large on average are written one by one rather than copied into one buffer. */
const copyBytesMax = 8192
/** Lent slices from here on are parts of large values, which gain nothing by waiting for more. */
const lentBytesMin = 16 * 1024

export class Outbox implements Flushable {
  private readonly writer: SocketWriter
  private readonly schedule: (outbox: Outbox) => void
  /** Mostly there is one; a list for it would be an allocation in every turn. */
  private first: Buffer | undefined
  private others: Buffer[] | undefined
  private gathered = 0
  private isScheduled = false

  constructor(writer: SocketWriter, schedule: (outbox: Outbox) => void) {
    this.writer = writer
    this.schedule = schedule
  }

  /** Bytes that the operating system has not taken yet. */
  get backlogBytes(): number {
    return this.gathered + this.writer.backlogBytes
  }

  /** Takes `slice`, which may be of this turn or of this call only. */
  push(slice: Buffer): void {
    if (!isLent(slice)) this.gather(slice)
    else if (slice.length < lentBytesMin) this.gather(turnMemory.copy(slice))
    else {
      this.flush()
      this.writer.writeLent(slice)
      this.beScheduled()
    }
  }

  private gather(slice: Buffer): void {
    if (this.first === undefined) this.first = slice
    else if (this.others === undefined) this.others = [slice]
    else this.others.push(slice)
    this.gathered += slice.length
    this.beScheduled()
  }

  private beScheduled(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    this.schedule(this)
  }

  flush(): void {
    this.isScheduled = false
    const { first, others, gathered } = this
    if (first === undefined) return
    this.first = undefined
    this.gathered = 0
    if (others === undefined) {
      this.writer.write(first)
      return
    }
    this.others = undefined
    writeSlices(this.writer, [first, ...others], gathered)
  }
}

/** Hands `slices`, `byteCount` bytes in all, to the socket with as few system calls and copies as pay. */
function writeSlices(writer: SocketWriter, slices: readonly Buffer[], byteCount: number): void {
  if (byteCount < slices.length * copyBytesMax) {
    writer.write(turnMemory.concat(slices, byteCount))
  } else for (const slice of slices) writer.write(slice)
}
