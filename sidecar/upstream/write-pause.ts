/** How long the server holds writes because a client asked for it (CLIENT PAUSE … WRITE). */
import { writePauseMaxMs } from '../../common/limits.ts'

export class WritePause {
  private timer: NodeJS.Timeout | undefined

  get isOn(): boolean {
    return this.timer !== undefined
  }

  /** Writes are held for so long from now, or for no longer. */
  note(milliseconds: number): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (milliseconds === 0) return
    const waitMs = Math.min(milliseconds, writePauseMaxMs)
    this.timer = setTimeout(() => this.note(0), waitMs).unref()
  }
}
