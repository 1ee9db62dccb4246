/** A session whose next command no server may take: it waits, and after a bounded time is told that it did in vain. */
import type { Holdable } from './hold-queue.ts'
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'

export class Holding implements Holdable {
  private readonly session: Session

  constructor(session: Session) {
    this.session = session
  }

  start(): void {
    this.session.wait = 'held'
    this.session.context.holds.add(this)
  }

  stop(): void {
    this.session.context.holds.remove(this)
  }

  onRelease(): void {
    const { session } = this
    if (session.wait !== 'held') return
    session.wait = 'none'
    session.wake()
  }

  onHoldTimeout(): void {
    const { session } = this
    if (session.wait !== 'held') return
    if (session.inFlight > 0) {
      session.context.holds.add(this)
      return
    }
    const { isPaused, isHandedOver, hasPrimary } = session.context
    const isRefused = session.context.primary.failure === 'RM_UPSTREAM_AUTH'
    const heldTooLong = isRefused ? ownReplies.refusedUpstream : ownReplies.heldTooLong
    const unreachable = hasPrimary ? heldTooLong : ownReplies.noPrimary
    session.holdError = isPaused && !isHandedOver ? ownReplies.paused : unreachable
    session.wait = 'none'
    session.wake()
  }
}
