/** A session whose next command no server may take: it waits, and after a bounded time is told that it did in vain. */
import type { Holdable } from './hold-queue.ts'
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'
import { isSharded } from './cluster/sharded.ts'

export class Holding implements Holdable {
  private readonly session: Session

  constructor(session: Session) {
    this.session = session
  }

  /** Not where a replica has stood in the place of the primary for longer than it would be held. */
  start(): void {
    const { session } = this
    if (isInVain(session)) {
      session.holdError = ownReplies.demoted
      return
    }
    session.wait = 'held'
    session.context.holds.add(this)
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
    const inVain = isReplica(session) ? ownReplies.demoted : unreachable
    session.holdError = isPaused && !isHandedOver ? ownReplies.paused : inVain
    session.refusals?.forget()
    session.wait = 'none'
    session.wake()
  }
}

function isInVain({ context }: Session): boolean {
  const { primary, timing, clock, isPaused, hasPrimary } = context
  const { replicaSinceMs } = primary
  if (replicaSinceMs === undefined || isPaused || !hasPrimary || isSharded(context)) return false
  return clock.monotonicMs() - replicaSinceMs >= timing.holdTimeoutMs
}

/** Whether it is a replica that takes no writes, as far as that is known, or said that it takes none of this client. */
function isReplica({ context, refusals }: Session): boolean {
  const isKnown = context.primary.replicaSinceMs !== undefined && !isSharded(context)
  return context.hasPrimary && (isKnown || refusals?.isPending === true)
}
