/**
 * Commands that wait at the server for something to happen. Nothing is sent behind one before it was answered, so
 * that a pause can have it come back and wait here: the server is asked to unblock it with an error, and that error
 * says that nothing was taken. Then it may be sent again, to another server too.
 */
import type { Reply } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { commandAgain } from './command-again.ts'
import { isSharded } from './cluster/sharded.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { type SpecialCommand, forwardPinned } from './special.ts'
import { lacksEnds, learnEnds } from './stream-ends.ts'

export function sendBlocking(session: Session, command: SpecialCommand): void {
  const { input, pinning, context } = session
  const { name, end } = command
  const frame = Buffer.from(input.bytes.subarray(input.start, end))
  forwardPinned(session, command, PinReason.blocking)
  if (session.inFlight === 0) return
  const sinceMs = context.clock.monotonicMs()
  pinning.blocked = { name, frame, sinceMs, isCalledBack: false }
  session.wait = 'replies'
}

/** Asks the server for the command that this session waits for, if there is one that can be sent again. */
export function callBack(session: Session): void {
  const { pinning, context, replies } = session
  const { blocked, lane } = pinning
  if (blocked === undefined || blocked.isCalledBack || lane === undefined) return
  const { serverId } = lane.connection
  const isPlain = replies.isPlain || isSharded(context)
  if (lane.isMidReply || !isPlain || serverId === 0 || session.inFlight !== 1) return
  if (lacksEnds(blocked)) {
    const ask = (request: Buffer) => pinning.server.askAside(request)
    return learnEnds(blocked, session.database, ask)
  }
  const again = commandAgain(blocked, context.clock.monotonicMs())
  if (again === undefined) return
  const request = encodeCommand(['CLIENT', 'UNBLOCK', String(serverId), 'ERROR'])
  const asked = pinning.server.askAside(request)
  if (asked === undefined) return
  blocked.isCalledBack = true
  const askAgain = ([reply]: readonly Reply[]) => {
    const isUnblocked = reply?.kind === 'number' && reply.value === 1
    if (isUnblocked || pinning.blocked !== blocked || lane.isMidReply) return
    // It was not blocked: its reply is on its way, or the command itself, over another connection, still is.
    blocked.isCalledBack = false
    replies.endRewriting()
    session.updateSorting()
  }
  // If this connection is lost, so is the one that it was about.
  asked.then(askAgain, () => undefined)
  // There every error of a command that blocks is looked at.
  if (isSharded(context)) return
  replies.rewriteNext((reply) => {
    if (!reply.startsWith('-UNBLOCKED ')) return reply
    session.scanner.reset()
    session.input.prepend(again)
    context.counters.commands -= 1
    return ''
  })
  session.updateSorting()
}
