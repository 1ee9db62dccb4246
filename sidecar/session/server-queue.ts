/**
 * Clients whose next command a connected server does not take at present: too much waits for it, or it has
 * stalled. Each waits for a bounded time; then what it has here is refused, which is safe, since nothing of it
 * was sent. When those who came first have waited long already, the next is told at once.
 *
 * A client that is owed replies cannot be told anything before they come; it waits on.
 */
import type { Clock } from '../../common/clock.ts'
import { shedEarlyShare } from '../../common/limits.ts'
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'

export class ServerQueue {
  private readonly since = new Map<Session, number>()
  private readonly clock: Clock
  private readonly timeoutMs: () => number
  private timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, timeoutMs: () => number) {
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  get size(): number {
    return this.since.size
  }

  /** Has `session` wait, or refuses what it has here; it is woken when the server takes more. */
  add(session: Session, isStalled: boolean): void {
    session.wait = 'writable'
    if (this.since.has(session)) return
    const now = this.clock.monotonicMs()
    const oldest = this.since.values().next().value
    const isLong = oldest !== undefined && now - oldest >= this.timeoutMs() * shedEarlyShare
    if (isLong && !isStalled && session.inFlight === 0) {
      session.wait = 'none'
      session.holdError = ownReplies.queueFull
      return
    }
    this.since.set(session, now)
    this.timer ??= setTimeout(this.expire, this.timeoutMs())
  }

  /** It was taken, or is gone. */
  remove(session: Session): void {
    this.since.delete(session)
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.since.clear()
  }

  private readonly expire = (): void => {
    this.timer = undefined
    const now = this.clock.monotonicMs()
    const timeoutMs = this.timeoutMs()
    for (const [session, sinceMs] of this.since) {
      if (now - sinceMs < timeoutMs - 1) break
      this.since.delete(session)
      if (session.isClosed || session.wait !== 'writable') continue
      if (session.inFlight > 0) this.since.set(session, now)
      else {
        session.holdError = ownReplies.queueFull
        session.wake()
      }
    }
    const oldest = this.since.values().next()
    if (oldest.done === true) return
    this.timer = setTimeout(this.expire, Math.max(1, oldest.value + timeoutMs - now))
  }
}
