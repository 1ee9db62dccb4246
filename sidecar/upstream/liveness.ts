/**
 * Finds a primary that hangs, without cutting one that is busy.
 *
 * While replies are owed and nothing at all comes from the server, it is sent nothing more over shared connections, and
 * is asked for a PING beside. A server that runs one slow command answers neither, and cannot be told from one that is
 * stopped: both get time. After `stallMs` what waits gets an error in time, and was not run; after `hungMs` the
 * connections are given up. A server that no new connection reaches is given up sooner: its machine or the way to it is
 * gone.
 *
 * Silence counts only while this process runs on time: after a look that came late nothing is known of what the server
 * sent meanwhile, nor why a connection that was tried then failed. And it leads to nothing before a PING was really
 * sent, or no connection for one could be had.
 */
import {
  livenessIdleProbeMs,
  livenessLateMs,
  serverHungMs,
  serverStallMs,
  silentHoldMs,
  unreachableAttemptsMax,
} from '../../common/limits.ts'

export interface Supervised {
  /** Replies to commands that no server keeps waiting are owed. */
  readonly inFlightCommands: number
  /** Clients with a connection of their own, which may wait at the server for as long as they like. */
  readonly pinnedCount: number
  /** Whether some of them are owed replies that no server keeps waiting. */
  readonly owesPinned: boolean
  /** Bytes that ever came from servers. */
  readonly bytesRead: number
  /** A question that is answered aside of all commands; undefined while it cannot be asked. */
  ping(): Promise<unknown> | undefined
  /** Why new connections to it fail, if they do at present. */
  readonly failure: string | undefined
  /** Whether a new connection is accepted, by the machine if not by the server. */
  isReachable(): Promise<boolean>
  onStall(isStalled: boolean): void
  onHung(silentMs: number, isReachable: boolean): void
}

export interface Attentive {
  /** It owes replies and says nothing: what is still here had better not be sent. */
  onQuiet(isQuiet: boolean): void
  /** It was asked besides, and has not answered. */
  onDoubt(isDoubted: boolean): void
}

export class Liveness {
  private readonly server: Supervised
  private readonly attention: Attentive
  private bytesBefore = 0
  private lastTickMs: number | undefined
  /** Time without a byte while something is owed, and the part of it since the PING. */
  private silentMs = 0
  /** The part of it in which replies are owed. */
  private owedMs = 0
  private wasOwing = false
  private askedMs = 0
  private isPingOwed = false
  private isStalled = false
  /** A connection is being tried, just to see; a late look takes its meaning away. */
  private attempt: { isReachable: boolean | undefined } | undefined
  private failedAttempts = 0

  constructor(server: Supervised, attention: Attentive) {
    this.server = server
    this.attention = attention
  }

  /** Called every `livenessTickMs`, or later where this process could not run. */
  tick(nowMs: number): void {
    const { bytesRead, pinnedCount } = this.server
    const elapsedMs = nowMs - (this.lastTickMs ?? nowMs)
    this.lastTickMs = nowMs
    const isHeard = bytesRead !== this.bytesBefore
    this.bytesBefore = bytesRead
    const { wasOwing } = this
    this.wasOwing = this.isPingOwed || this.server.inFlightCommands > 0 || this.server.owesPinned
    if (isHeard || (!this.wasOwing && pinnedCount === 0)) return this.reset()
    if (elapsedMs > livenessLateMs) {
      this.attempt = undefined
      this.failedAttempts = 0
      return
    }
    this.silentMs += elapsedMs
    this.owedMs = wasOwing && this.wasOwing ? this.owedMs + elapsedMs : 0
    const isQuiet = this.owedMs >= silentHoldMs
    if (!isQuiet && this.silentMs < livenessIdleProbeMs) return
    const isAsked = this.isPingOwed
    if (isQuiet) this.attention.onQuiet(true)
    if (!isAsked) this.ask()
    if (isAsked || (!this.isPingOwed && this.server.failure !== undefined))
      this.askedMs += elapsedMs
    if (isQuiet && this.askedMs > 0) this.attention.onDoubt(true)
    if (this.askedMs >= serverHungMs) this.giveUp(true)
    else if (this.askedMs >= serverStallMs) this.stall()
  }

  /** Something was heard of the server, or it is another one. */
  reset(): void {
    this.silentMs = 0
    this.owedMs = 0
    this.askedMs = 0
    this.attempt = undefined
    this.failedAttempts = 0
    const { isStalled } = this
    this.isStalled = false
    this.attention.onDoubt(false)
    if (isStalled) this.server.onStall(false)
    this.attention.onQuiet(false)
  }

  /** Has it asked whether it lives, unless that is under way. */
  ask(): void {
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
    const { attempt } = this
    // What came of it is judged here, when it is known that this process ran all the time.
    if (attempt?.isReachable !== undefined) {
      this.failedAttempts = attempt.isReachable ? 0 : this.failedAttempts + 1
      if (this.failedAttempts >= unreachableAttemptsMax) return this.giveUp(false)
    } else if (attempt !== undefined) return
    const next: { isReachable: boolean | undefined } = { isReachable: undefined }
    this.attempt = next
    void this.server.isReachable().then((isReachable) => {
      next.isReachable = isReachable
    })
  }

  private giveUp(isReachable: boolean): void {
    const { silentMs } = this
    this.reset()
    this.server.onHung(silentMs, isReachable)
  }
}
