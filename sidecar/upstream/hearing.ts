/**
 * What is heard of one server, over connections whose other end is known to be the recorded process. Whoever wants to
 * be told of the next word is, and what comes too late to be used is not passed on.
 */

export class Hearing {
  bytes = 0
  /** False: nothing may be sent or used any more, and the connections have been ended. Absent: always. */
  gate: (() => boolean) | undefined
  /** Called once, with the next bytes that come. */
  onNext: (() => void) | undefined
  private bytesSeen = 0
  private lookedAtMs: number | undefined
  private heardAt: number | undefined

  /** Notes what came over a connection; false: it is not to be used. */
  take(byteCount: number): boolean {
    if (this.gate !== undefined && !this.gate()) return false
    this.bytes += byteCount
    const { onNext } = this
    if (onNext === undefined) return true
    this.onNext = undefined
    onNext()
    return true
  }

  /**
   * When the server was last heard, monotonic; undefined: never. Never later than it was: of what came between two looks
   * only the first is known to lie before it.
   */
  heardAtMs(nowMs: number): number | undefined {
    if (this.bytes !== this.bytesSeen) {
      this.bytesSeen = this.bytes
      this.heardAt = this.lookedAtMs ?? nowMs
    }
    this.lookedAtMs = nowMs
    return this.heardAt
  }

  /** It is heard right now. */
  noteNow(nowMs: number): void {
    this.bytesSeen = this.bytes
    this.heardAt = nowMs
    this.lookedAtMs = nowMs
  }

  /** It is another server from now on. */
  forget(): void {
    this.bytesSeen = this.bytes
    this.heardAt = undefined
    this.onNext = undefined
  }
}
