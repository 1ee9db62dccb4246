/**
 * Bytes on their way to one socket: gathered during a turn, written once at its end.
 *
 * Slices are views of chunks that were read; a view keeps its whole chunk alive. While the socket takes
 * everything at once that costs nothing, but what waits behind a slow socket is copied, so that memory held is
 * proportional to bytes held.
 */
import type { Socket } from 'node:net'
import type { Flushable } from './turn.ts'

/** Slices this large on average are written side by side rather than copied into one buffer. */
const copyBytesMax = 8192

export class Outbox implements Flushable {
  private readonly socket: Socket
  private readonly schedule: (outbox: Outbox) => void
  private slices: Buffer[] = []
  private gathered = 0
  private isScheduled = false

  constructor(socket: Socket, schedule: (outbox: Outbox) => void) {
    this.socket = socket
    this.schedule = schedule
  }

  /** Bytes that the operating system has not taken yet. */
  get backlogBytes(): number {
    return this.gathered + this.socket.writableLength
  }

  push(slice: Buffer): void {
    this.slices.push(slice)
    this.gathered += slice.length
    if (this.isScheduled) return
    this.isScheduled = true
    this.schedule(this)
  }

  flush(): void {
    this.isScheduled = false
    const { slices, gathered } = this
    if (slices.length === 0) return
    this.slices = []
    this.gathered = 0
    writeSlices(this.socket, slices, gathered)
  }
}

/** Hands `slices`, `byteCount` bytes in all, to the socket with as few system calls and copies as pay. */
export function writeSlices(socket: Socket, slices: readonly Buffer[], byteCount: number): void {
  if (socket.destroyed || socket.writableEnded) return
  if (slices.length === 1) {
    const slice = slices[0] as Buffer
    socket.write(socket.writableLength > 0 ? compact(slice) : slice)
  } else if (byteCount < slices.length * copyBytesMax) {
    socket.write(Buffer.concat(slices, byteCount))
  } else {
    socket.cork()
    for (const slice of slices) socket.write(slice)
    socket.uncork()
  }
}

function compact(slice: Buffer): Buffer {
  return slice.length * 2 < slice.buffer.byteLength ? Buffer.from(slice) : slice
}
