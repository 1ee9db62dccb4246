/** How much may wait for the primary: read with every run of commands, changed by a configuration or a stall. */
import type { Limits } from '../../common/contract/proxy-config.ts'
import { defaultLimits } from '../../common/limits.ts'

export class QueueBounds {
  bytesMax = 0
  commandsMax = 0
  /** The server owes replies and has said nothing for a while: it is sent nothing more until it does. */
  isStalled = false
  /** The same after a shorter while: what waits is not counted as waiting yet, since the server may only be busy. */
  isQuiet = false
  /** The control plane has doubts about it. */
  isSuspected = false
  /** It refused a write as a replica does, and it is being found out what it is. */
  isRefusing = false

  /** Whether nothing new may be sent. */
  get isHeld(): boolean {
    return this.isQuiet || this.isStalled || this.isSuspected || this.isRefusing
  }

  /** The bounds of one of `laneCount` connections that share what is waiting. */
  use(limits: Limits, laneCount: number): void {
    const commandsMax = limits.upstreamQueueCommandsMax ?? defaultLimits.upstreamQueueCommandsMax
    this.bytesMax = limits.upstreamQueueBytesMax
    this.commandsMax = Math.max(1, Math.floor(commandsMax / laneCount))
  }
}
