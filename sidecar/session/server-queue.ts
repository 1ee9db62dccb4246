/**
 * Clients whose next command a connected server does not take at present: too much waits for it, or it has
 * stalled. Each waits for a bounded time; then what it has here is refused, which is safe, since nothing of it
 * was sent. When those who came first have waited long already for that server, the next is told at once.
 *
 * A client that is owed replies cannot be told anything before they come; it waits on. So does one that came while the
 * server was only quiet: it would have been sent then, and nobody is refused for having been kept back.
 */
import type { Clock } from '../../common/clock.ts'
import { shedEarlyShare } from '../../common/limits.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'

/** Who waits for one server, and since when, the first first. */
type Line = Map<Session, number>

/** Of those who wait as long as the server is silent. */
const patient = Number.POSITIVE_INFINITY

export class ServerQueue {
  private readonly lines = new Map<ServerConnections, Line>()
  private readonly clock: Clock
  private readonly timeoutMs: () => number
  private timer: NodeJS.Timeout | undefined
  size = 0

  constructor(clock: Clock, timeoutMs: () => number) {
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  /** Has `session` wait, or refuses what it has here; it is woken when the server takes more. */
  add(session: Session, server: ServerConnections): void {
    session.wait = 'writable'
    const line = this.lineOf(server)
    const { isHeld, isQuiet } = server.bounds
    const known = line.get(session)
    if (known !== undefined && (known !== patient || isHeld)) return
    const now = this.clock.monotonicMs()
    const oldest = line.values().next().value
    const isLong = oldest !== undefined && now - oldest >= this.timeoutMs() * shedEarlyShare
    if (isLong && !isHeld && session.inFlight === 0) {
      session.wait = 'none'
      session.holdError = ownReplies.queueFull
      return
    }
    this.remove(session)
    line.set(session, isQuiet && !server.isStalled ? patient : now)
    this.lines.set(server, line)
    this.size += 1
    this.timer ??= setTimeout(this.expire, this.timeoutMs())
  }

  /** It was taken, or is gone. */
  remove(session: Session): void {
    for (const [server, line] of this.lines) {
      if (!line.delete(session)) continue
      this.size -= 1
      if (line.size === 0) this.lines.delete(server)
    }
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.lines.clear()
    this.size = 0
  }

  private lineOf(server: ServerConnections): Line {
    return this.lines.get(server) ?? new Map()
  }

  private readonly expire = (): void => {
    this.timer = undefined
    for (const line of this.lines.values()) this.expireLine(line)
    let oldest = Number.POSITIVE_INFINITY
    for (const [server, line] of this.lines) {
      for (const sinceMs of line.values()) oldest = Math.min(oldest, sinceMs)
      if (line.size === 0) this.lines.delete(server)
    }
    if (oldest === patient) return
    const waitMs = oldest + this.timeoutMs() - this.clock.monotonicMs()
    this.timer = setTimeout(this.expire, Math.max(1, waitMs))
  }

  private expireLine(line: Line): void {
    const now = this.clock.monotonicMs()
    const timeoutMs = this.timeoutMs()
    for (const [session, sinceMs] of line) {
      if (now - sinceMs < timeoutMs - 1) continue
      line.delete(session)
      this.size -= 1
      if (session.isClosed || session.wait !== 'writable') continue
      if (session.inFlight > 0) {
        line.set(session, now)
        this.size += 1
      } else {
        session.holdError = ownReplies.queueFull
        session.wake()
      }
    }
  }
}
