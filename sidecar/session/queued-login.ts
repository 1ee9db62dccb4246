/**
 * AUTH and HELLO within a transaction. The server queues them like any other command; they are not for it to see,
 * so it is given another command to queue whose reply, in the reply to EXEC, is the one that is due.
 */
import { encodeCommand } from '../resp/encode.ts'
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'

const fail = 'return {err=ARGV[1]}'

/** Has the server queue what answers OK, or the error with `text`. The command has been consumed. */
export function queueAnswer(session: Session, text: string | undefined): void {
  // Replies are on at every server: who silences them is the sidecar.
  const words = text === undefined ? ['CLIENT', 'REPLY', 'ON'] : ['EVAL', fail, '0', text]
  queueInstead(session, words)
}

/** Has the server queue a command in place of the one that has been consumed. */
export function queueInstead(session: Session, words: readonly string[]): void {
  const { lane, transaction } = session.pinning
  if (transaction !== undefined) return session.input.prepend(encodeCommand(words))
  if (lane === undefined) return session.answer(ownReplies.willAbort)
  // What HELLO may have set is not followed.
  session.pinning.add(PinReason.sticky)
  lane.enqueue(encodeCommand(words))
  session.inFlight += 1
  session.context.counters.commands += 1
}
