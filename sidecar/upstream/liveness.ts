/**
 * Finds a primary that hangs, without cutting one that is busy.
 *
 * While replies are owed and nothing at all comes from the server, it is asked for a PING beside. A server that
 * runs one slow command answers neither, and cannot be told from one that is stopped: both get time. After
 * `stallMs` no more is sent (what waits gets an error in time, and was not run); after `hungMs` the connections
 * are given up. A server that no new connection reaches is given up sooner: its machine or the way to it is gone.
 * Time in which our own process did not run is not counted.
 */
import {
  livenessIdleProbeMs,
  livenessProbeMs,
  livenessTickMs,
  serverHungMs,
  serverStallMs,
  unreachableAttemptsMax,
} from '../../common/limits.ts'

export interface Supervised {
  /** Replies to commands that no server keeps waiting are owed. */
  readonly inFlightCommands: number
  /** Clients with a connection of their own, which may wait at the server for as long as they like. */
  readonly pinnedCount: number
  /** Bytes that ever came from servers. */
  readonly bytesRead: number
  /** A question that is answered aside of all commands; undefined while it cannot be asked. */
  ping(): Promise<unknown> | undefined
  /** Whether a new connection is accepted, by the machine if not by the server. */
  isReachable(): Promise<boolean>
  onStall(isStalled: boolean): void
  onHung(silentMs: number, isReachable: boolean): void
}

export class Liveness {
  private readonly server: Supervised
  private bytesBefore = 0
  private lastTickMs: number | undefined
  /** Time without a byte while something is owed, and the part of it since the PING. */
  private silentMs = 0
  private askedMs = 0
  private isAsked = false
  private isPingOwed = false
  private isStalled = false
  private isReaching = false
  private failedAttempts = 0

  constructor(server: Supervised) {
    this.server = server
  }

  /** Called every `livenessTickMs`, or later where this process could not run. */
  tick(nowMs: number): void {
    const { bytesRead, inFlightCommands, pinnedCount } = this.server
    const elapsedMs = Math.min(nowMs - (this.lastTickMs ?? nowMs), 2 * livenessTickMs)
    this.lastTickMs = nowMs
    const isHeard = bytesRead !== this.bytesBefore
    this.bytesBefore = bytesRead
    const isOwed = inFlightCommands > 0 || pinnedCount > 0 || this.isPingOwed
    if (isHeard || !isOwed) return this.reset()
    this.silentMs += elapsedMs
    if (!this.isAsked) {
      if (this.silentMs >= (inFlightCommands > 0 ? livenessProbeMs : livenessIdleProbeMs))
        this.ask()
      return
    }
    this.askedMs += elapsedMs
    if (this.askedMs >= serverHungMs) this.giveUp(true)
    else if (this.askedMs >= serverStallMs) this.stall()
  }

  /** Something was heard of the server, or it is another one. */
  reset(): void {
    this.silentMs = 0
    this.askedMs = 0
    this.isAsked = false
    this.failedAttempts = 0
    if (!this.isStalled) return
    this.isStalled = false
    this.server.onStall(false)
  }

  /** Where it cannot be asked a connection is being opened, which tells as much. */
  private ask(): void {
    this.isAsked = true
    if (this.isPingOwed) return
    const asked = this.server.ping()
    if (asked === undefined) return
    this.isPingOwed = true
    const settled = () => {
      this.isPingOwed = false
    }
    asked.then(settled, settled)
  }

  private stall(): void {
    if (!this.isStalled) {
      this.isStalled = true
      this.server.onStall(true)
    }
    if (this.isReaching) return
    this.isReaching = true
    void this.server.isReachable().then((isReachable) => {
      this.isReaching = false
      if (!this.isStalled) return
      this.failedAttempts = isReachable ? 0 : this.failedAttempts + 1
      if (this.failedAttempts >= unreachableAttemptsMax) this.giveUp(false)
    })
  }

  private giveUp(isReachable: boolean): void {
    const { silentMs } = this
    this.reset()
    this.server.onHung(silentMs, isReachable)
  }
}
