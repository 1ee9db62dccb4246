/** A connection whose replies cannot be told from what else comes over it: MONITOR, the debugger of scripts. */
import type { Session } from './session.ts'

export class RawPassage {
  /** Called once the reply to RESET has passed. */
  onReset: (() => void) | undefined
  private commandCount = 0
  private isMonitorFirst = false

  /** The next command is MONITOR. */
  noteMonitor(): void {
    this.isMonitorFirst = this.commandCount === 0
  }

  noteSent(count: number): true {
    this.commandCount += count
    return true
  }

  /** Bytes came, and went to the client. */
  noteBytes(session: Session): void {
    if (this.isMonitorFirst && this.commandCount === 1) session.state.isMonitoring = true
    if (session.pinning.lane?.endedWithReset === true) this.onReset?.()
    if (session.wait === 'replies') session.context.turn.addWake(session)
  }

  /** Whether another connection can go on in its place: nothing but MONITOR was sent, and it was answered. */
  canBeRestored(session: Session): boolean {
    return session.state.isMonitoring && this.commandCount === 1
  }

  clear(): void {
    this.onReset = undefined
    this.commandCount = 0
    this.isMonitorFirst = false
  }
}
