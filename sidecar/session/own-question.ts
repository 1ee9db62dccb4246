/** Commands whose reply decides what the sidecar remembers of a session: asked on the session’s own connection. */
import type { Reply } from '../resp/decode.ts'
import { encodeCommand, encodeError, encodeNumber, encodeStatus } from '../resp/encode.ts'
import { isSharded } from './cluster/sharded.ts'
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { type SpecialCommand, pinAny } from './special.ts'

/**
 * Asks `words` for the session, which gets the reply, a status, a number or an error. `onDone` is told before whether
 * it is an error, and may have another reply given.
 */
export function askOwn(
  session: Session,
  command: SpecialCommand,
  words: readonly (string | Buffer)[],
  onDone: (isError: boolean) => Buffer | void,
): void {
  if (session.holdError !== undefined) return void session.forwardRun(command.end, 1)
  if (!pinAny(session)) return
  const connection = session.pinning.lane?.connection
  if (connection === undefined) return
  const request = encodeCommand(words)
  session.input.start = command.end
  session.wait = 'outside'
  session.context.counters.commands += 1
  const finish = (reply: Buffer) => {
    if (session.isClosed) return
    session.answer(reply)
    session.resume()
  }
  connection.ask(request, 1).then(
    ([reply]) => {
      const other = session.isClosed ? undefined : onDone(reply?.kind === 'error')
      finish(other ?? encodeReply(reply))
    },
    () => finish(ownReplies.lost),
  )
}

/** The flags that a session’s connection holds have changed. */
export function noteFlags({ pinning, state, context }: Session): void {
  pinning.markSetUp()
  // Where there are several servers, connections come and go with the commands that need one.
  if (state.hasFlags && !isSharded(context)) pinning.add(PinReason.flags)
  else pinning.remove(PinReason.flags)
}

function encodeReply(reply: Reply | undefined): Buffer {
  if (reply?.kind === 'text') return encodeStatus(reply.text)
  if (reply?.kind === 'number') return encodeNumber(reply.value)
  return reply?.kind === 'error' ? encodeError(reply.text) : ownReplies.lost
}
