/** How long a client may take to finish a command that it began, or to close when it was told to. */
import { farewellBytesMax, incompleteCommandMs, slowCommandBytesMin } from '../../common/limits.ts'
import type { Watchdog, Watched } from './watchdog.ts'

export class Patience implements Watched {
  private readonly watchdog: Watchdog
  private readonly onExhausted: () => void
  private sinceMs = -1
  private byteCount = 0
  private bytesBefore = 0
  private isWorking = false
  private farewellBytes = 0

  constructor(watchdog: Watchdog, onExhausted: () => void) {
    this.watchdog = watchdog
    this.onExhausted = onExhausted
  }

  /** All that ever came. */
  get bytesReceived(): number {
    return this.byteCount
  }

  /** Bytes came. */
  note(byteCount: number): void {
    this.byteCount += byteCount
  }

  /** Bytes came of a client that was told that its connection ends. */
  noteFarewell(byteCount: number): void {
    this.farewellBytes += byteCount
    if (this.farewellBytes > farewellBytesMax) this.onExhausted()
  }

  /** Whether the client is to be watched; `isWorking`: it waits for a server, which is not its fault. */
  watch(isWatched: boolean, isWorking: boolean): void {
    this.isWorking = isWorking
    if (isWatched === this.sinceMs >= 0) return
    if (isWatched) {
      this.start(this.watchdog.now())
      this.watchdog.add(this)
    } else this.stop()
  }

  stop(): void {
    this.sinceMs = -1
    this.watchdog.remove(this)
  }

  onWatch(nowMs: number): void {
    if (nowMs - this.sinceMs < incompleteCommandMs) return
    const isComing = this.byteCount - this.bytesBefore >= slowCommandBytesMin
    if (isComing || this.isWorking) this.start(nowMs)
    else this.onExhausted()
  }

  private start(nowMs: number): void {
    this.sinceMs = nowMs
    this.bytesBefore = this.byteCount
  }
}
