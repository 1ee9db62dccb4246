/**
 * What becomes of a session whose own connection ended. What the server held for it is given to a new one, as soon
 * as there is a primary: names, database, flags, tracking, subscriptions, MONITOR. Commands in flight get an error
 * each, blocking ones too: what they were about to take may have been taken; plain reads are sent again. An open transaction or a WATCH is
 * remembered as broken, so that EXEC aborts (or gives nil, as after a conflict). A client is closed when it cannot
 * go on: in the middle of a reply or an upload, when it has state that is not followed, and when it is owed replies
 * of a transaction and cannot know whether it is in one.
 */
import { noteGone } from './flow.ts'
import { isSharded, noKey, serverOf } from './cluster/sharded.ts'
import { ownReplies } from './own-replies.ts'
import { type PinFailure, PinReason } from './pinning.ts'
import type { Session } from './session.ts'

export function afterOwnLaneEnded(session: Session, isMidReply: boolean): void {
  const { pinning } = session
  if (pinning.lane === undefined) {
    session.subscriber.loseRestoring()
    if (isMidReply) session.destroy()
    return
  }
  if (isSharded(session.context)) return afterShardedLaneEnded(session, isMidReply)
  const isLost = isMidReply || session.large !== undefined || !canBeRestored(session)
  const isTorn = pinning.has(PinReason.transaction) && session.inFlight > 0
  if (pinning.has(PinReason.transaction)) session.broken = 'transaction'
  else if (pinning.has(PinReason.watch)) session.broken = 'watch'
  const sent = plainCommands(session)
  pinning.drop()
  session.replies.endRewriting()
  if (session.isClosed) return
  if (isLost) return end(session, isMidReply)
  // It does not read what it listens to: a server ends such clients, and what they missed is lost.
  if (session.isOutputBlocked && session.state.isStanding) return session.cutFor('clientsCutSlow')
  pinning.isMissed = isMissed(session)
  if (session.protocol === 3 && session.state.tracking !== undefined) session.onMessage(dropCache)
  session.lose(session.inFlight - (session.subscriber.isPending ? 1 : 0), false, sent)
  if (isTorn) session.close()
  else if (pinning.isMissed) restore(session)
  else afterPinning(session, 'notReady')
}

/** What is in flight, if it means the same over another connection that is given what the server holds for the client. */
function plainCommands({ pinning, inFlight, replies }: Session): Buffer | undefined {
  const isPlain = (pinning.reasons & ~(PinReason.database | PinReason.flags)) === 0
  return isPlain && replies.isPlain ? pinning.lane?.sent.last(inFlight).take(inFlight) : undefined
}

/** The connection of its own is there, or the reason why it is not. */
export function afterPinning(session: Session, failure: PinFailure | undefined): void {
  const { pinning, context, window } = session
  if (failure === 'badDatabase') {
    session.answer(ownReplies.databaseGone)
    session.close()
    return
  }
  const isStuck = failure === 'badState' || (failure === 'overloaded' && pinning.isMissed)
  if (isStuck) return end(session, false)
  // A client that only has large replies can go on without: the bound on what it is owed still holds.
  if (failure === 'overloaded' && window.isLarge) window.isLarge = false
  else if (failure === 'overloaded') session.holdError = ownReplies.overloaded
  else if (failure === 'busy') session.holdError = ownReplies.busy
  else if (failure === 'timeout') session.holdError = ownReplies.heldTooLong
  if (failure === undefined && pinning.lane !== undefined) {
    context.restores.remove(session)
    session.subscriber.repeat(pinning.lane)
  } else if (pinning.isMissed) context.restores.add(session)
  if (session.wait === 'held') session.holding.stop()
  session.wait = 'none'
  context.turn.addWake(session)
}

/** Opens the connection that the client cannot be without, or waits until there is a primary. */
export function restore(session: Session): void {
  const { pinning, context } = session
  if (session.isClosed || !pinning.isMissed) return
  const server = isSharded(context) ? serverOf(session, noKey) : context.primary
  if (server?.lane(2, 0).isReady !== true) context.restores.add(session)
  else if (pinning.ensure(server)) afterPinning(session, undefined)
}

/** Where there are several servers, replies may be owed by others too; what is owed over this connection is known. */
function afterShardedLaneEnded(session: Session, isMidReply: boolean): void {
  const { pinning, replies, context } = session
  const { transaction, redirect } = pinning
  const isTorn = isMidReply || session.large !== undefined
  if (transaction !== undefined && !isTorn) {
    if (!transaction.survives()) transaction.lose()
    return
  }
  const isLost = isTorn || !canBeRestored(session)
  if (pinning.has(PinReason.watch)) session.broken = 'watch'
  pinning.drop()
  const { count, wantedCount } = replies.expectNothing()
  if (session.isClosed) return
  if (isLost) return end(session, isMidReply)
  if (session.isOutputBlocked && session.state.isMonitoring) return session.cutFor('clientsCutSlow')
  // A command that was refused is about to be sent again.
  pinning.redirect = redirect
  noteGone(session, count)
  context.counters.commandsLost += wantedCount
  for (let left = wantedCount; left > 0; left -= 1) session.answer(ownReplies.lost)
  pinning.isMissed = session.state.isMonitoring
  if (pinning.isMissed) restore(session)
  else if (session.wait !== 'outside' && session.wait !== 'held') afterPinning(session, 'notReady')
}

function isMissed(session: Session): boolean {
  return session.state.isStanding || session.subscriber.isPending
}

function canBeRestored(session: Session): boolean {
  const { pinning, state } = session
  if (pinning.has(PinReason.sticky) || !state.subscriptions.isComplete) return false
  if (state.tracking?.redirect !== undefined) return false
  // Of other commands that were sent nothing is known, only that MONITOR itself was answered.
  return !pinning.isRaw || session.raw.canBeRestored(session)
}

function end(session: Session, isMidReply: boolean): void {
  const client = session.address
  session.context.log.info({ client }, 'a client was closed with its own connection')
  if (!isMidReply && session.inFlight > 0) session.answer(ownReplies.lost)
  session.close()
}

/** What a server says to a tracking client whose table of keys it dropped. */
const dropCache = Buffer.from('>2\r\n$10\r\ninvalidate\r\n_\r\n')
