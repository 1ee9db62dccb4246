/** The ways from a session to the primary: the lane that it shares and the one that it has for itself. */
import { ReplyOrder } from './routed/reply-order.ts'
import type { Session } from './session.ts'
import { sharedLaneOf } from './write-lane.ts'

/** False when the commands have to wait; `session.wait` says for what. */
export function enqueueShared(session: Session, bytes: Buffer, count: number): boolean {
  const { primary, queue } = session.context
  const lane = sharedLaneOf(session, bytes.length, count)
  if (!lane.isReady) return session.hold()
  if (!lane.isWritable) {
    if (primary.bounds.isRefusing) return session.hold()
    queue.add(session, primary)
    lane.waitWritable(session)
    return false
  }
  if (lane !== session.sharedLane) {
    // Replies over two connections have no order.
    if (!session.waitForReplies()) return false
    session.sharedLane = lane
  }
  if (queue.size > 0) queue.remove(session)
  lane.enqueue(session, bytes, count)
  return true
}

/** The same over a connection of its own, which is opened if need be. */
export function enqueuePinned(session: Session, bytes: Buffer, count: number): boolean {
  if (session.pinning.lane === undefined && !session.waitForReplies()) return false
  // Some replies can only be told apart one command at a time.
  const isAmbiguous = session.subscriber.isAmbiguous && session.inFlight > 0
  if (isAmbiguous && !session.waitForReplies()) return false
  if (!pin(session)) return false
  const { lane } = session.pinning
  if (lane === undefined) return false
  const { writer, socket } = lane.connection
  if (writer.isFull || !lane.connection.mayWrite() || socket.destroyed) {
    session.wait = 'writable'
    return false
  }
  if (session.inFlight === 0) lane.sent.clear()
  lane.sent.note(bytes, count)
  lane.enqueue(bytes)
  return true
}

/** Whether the session has a connection of its own; if not it waits for one. */
export function pin(session: Session, server = session.context.primary): boolean {
  const { context, pinning } = session
  if (context.backend !== undefined) {
    session.order ??= new ReplyOrder(session)
    session.order.hasUsedOwn = true
  }
  if (pinning.isHeld) return session.hold()
  if (pinning.lane !== undefined && !mustWait(session)) return true
  const lane = server.lane(2, 0)
  if (!lane.isReady || server.bounds.isRefusing) return session.hold()
  if (server.isStalled || server.bounds.isSuspected) {
    context.queue.add(session, server)
    lane.waitWritable(session)
    return false
  }
  if (pinning.ensure(server)) return true
  session.wait = 'outside'
  return false
}

/** What was begun over a connection cannot go on at another server, and is ended here. */
function mustWait({ pinning }: Session): boolean {
  const { isSuspected, isRefusing } = pinning.server.bounds
  return (isSuspected || isRefusing) && !pinning.isBound
}
