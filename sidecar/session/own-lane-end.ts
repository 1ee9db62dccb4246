/**
 * What becomes of a session whose own connection ended: an open transaction or a WATCH is remembered as broken, so
 * that EXEC aborts (or gives nil, as after a conflict); a subscriber, a MONITOR and whoever has state that cannot
 * be restored is closed; everyone else gets an error for what was in flight and goes on. A client that is owed
 * replies of a transaction cannot know whether it is in one, so it gets its errors and is closed too.
 */
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'

const irreplaceable = PinReason.raw | PinReason.push | PinReason.tracking | PinReason.sticky

export function afterOwnLaneEnded(session: Session, isMidReply: boolean): void {
  const { pinning } = session
  const cannotGoOn = pinning.has(irreplaceable) || isMidReply || session.large !== undefined
  if (pinning.has(PinReason.transaction)) session.broken = 'transaction'
  else if (pinning.has(PinReason.watch)) session.broken = 'watch'
  const isTorn = pinning.has(PinReason.transaction) && session.inFlight > 0
  pinning.drop()
  if (session.isClosed) return
  if (!cannotGoOn) {
    session.lose(session.inFlight, false)
    if (isTorn) session.close()
    else session.onPinned('notReady')
    return
  }
  const client = session.address
  session.context.log.info({ client }, 'a client was closed with its own connection')
  if (!isMidReply && session.inFlight > 0) session.answer(ownReplies.lost)
  session.close()
}
