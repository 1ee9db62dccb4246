/**
 * How much is read between two writes. A connection that brings a large value would be read for as long as there is
 * more of it, and two hundred of them one after the other, while everybody else waits: after so many full reads in a
 * turn each connection waits for one of the next, in the order in which they were stopped.
 */
import type { Socket } from 'node:net'

/** Of `readBuffer`: what is read and written of large values before others have their turn. */
const fullReadsMax = 4

export class ReadPace {
  /** Set by whoever was given a read in which no reply ends. */
  isBulk = false
  private fullReads = 0
  private isScheduled = false
  private readonly waiting = new Set<Socket>()

  /** After a read of `socket` that filled the buffer and was bulk: whether it may be read on in this turn; if not it is later. */
  mayReadOn(socket: Socket): boolean {
    this.fullReads += 1
    this.schedule()
    if (this.fullReads < fullReadsMax) return true
    this.waiting.add(socket)
    return false
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.next)
  }

  private readonly next = (): void => {
    this.isScheduled = false
    this.fullReads = 0
    let left = fullReadsMax
    for (const socket of this.waiting) {
      if (left === 0) break
      left -= 1
      this.waiting.delete(socket)
      // Who paused it meanwhile reads on when that is over.
      if (!socket.destroyed && !socket.isPaused()) socket.resume()
    }
    if (this.waiting.size > 0) this.schedule()
  }
}

/** Of this thread. */
export const readPace = new ReadPace()
