/** The pace of a session: when it reads its client, when it goes on, when it gives back what it needs no more. */
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'

/** Reply bytes went to the client; `replyCount` replies ended in them. */
export function noteReplies(session: Session, byteCount: number, replyCount: number): void {
  const { window, pinning, context } = session
  session.inFlight = Math.max(0, session.inFlight - replyCount)
  session.answeredCount += replyCount
  const isReply = replyCount > 0 || session.inFlight > 0
  if (isReply) {
    const outputMax = context.limits.clientOutputBytesMax
    window.measure(byteCount, replyCount, session.wait === 'window', outputMax)
  }
  if (session.inFlight === 0) session.inFlightBytes = 0
  const mayGoOn = session.wait !== 'none' || pinning.lane !== undefined || session.isEnded
  if (session.wait === 'window' || (session.inFlight === 0 && mayGoOn)) {
    context.turn.addWake(session)
  }
}

/** Commands that were sent will not be answered, or were not sent after all. */
export function noteGone(session: Session, count: number): void {
  session.inFlight = Math.max(0, session.inFlight - count)
  session.answeredCount += count
  if (session.inFlight === 0) session.inFlightBytes = 0
}

/** Commands that may be sent ahead at present. */
export function roomLeft(session: Session): number {
  const { inFlight, replies, window, refusals } = session
  if (refusals?.isOpen === true) return 0
  if (session.inFlightBytes > session.context.limits.clientInFlightBytesMax) return 0
  const room = window.size - inFlight
  return replies.isPlain ? room : replies.limit(room, inFlight)
}

/** After the session went as far as it could: gives back what it needs no more, reads on or ends. */
export function settle(session: Session): void {
  const { pinning } = session
  const isIdle = session.inFlight === 0 && session.large === undefined
  if (isIdle && pinning.isSpare && session.wait !== 'outside' && session.wait !== 'writable') {
    if (!session.window.isLarge) pinning.release()
  }
  const isDone = session.input.length === 0 || session.wait === 'input'
  const isOwed = session.inFlight > 0 && session.large === undefined
  if (session.isEnded && isDone && !isOwed) session.close()
  else updateReading(session)
  updatePatience(session)
}

/**
 * Called at equal intervals: ends the session’s own connection if it owed replies and gave nothing for `ticksMax` of
 * them. Commands that block are asked to take their time.
 */
export function watchSilence(session: Session, ticksMax: number): void {
  const { pinning, inFlight } = session
  const { lane } = pinning
  if (lane === undefined) return
  const isExpected = inFlight > 0 && !pinning.isBlocking && session.large === undefined
  if (lane.silentTicks(isExpected && !session.output.isBlocked) >= ticksMax) {
    lane.connection.destroy()
  }
}

/** Behind a blocking command it reads on: the end of the client must be seen, lest an element be popped for nobody. */
export function updateReading(session: Session): void {
  const { pinning, input, wait, socket } = session
  const { clientInFlightBytesMax } = session.context.limits
  const isAhead = pinning.isBlocking && input.length < clientInFlightBytesMax
  const isWanted = wait === 'none' || wait === 'input' || isAhead
  const isReading = isWanted && !session.output.isBlocked
  if (session.isClosing || isReading !== socket.isPaused()) return
  if (isReading) socket.resume()
  else socket.pause()
}

export function updatePatience(session: Session): void {
  const { isClosing, isEnded, patience } = session
  const isWatched = isClosing || isEnded || session.wait === 'input'
  patience.watch(isWatched, isEnded && session.inFlight > 0 && !isClosing)
}

/** Gives each command up to `end` the same reply; false when others are owed before. */
export function answerRun(session: Session, end: number, count: number, reply: Buffer): boolean {
  if (!session.waitForReplies()) return false
  const isHeld = reply === session.holdError
  for (let index = 0; index < count; index += 1) session.answer(reply)
  const { counters } = session.context
  if (reply === ownReplies.queueFull) counters.commandsShed += count
  else if (isHeld) counters.commandsHeldTooLong += count
  session.input.start = end
  return true
}
