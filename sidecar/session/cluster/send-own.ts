/**
 * Sends one command over a connection of its client's own where there are several servers. One that a cluster sends
 * elsewhere goes there, as long as nothing of it was run.
 */
import { retryDelayMaxMs } from '../../../common/limits.ts'
import { encodeCommand } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { commandAgain } from '../command-again.ts'
import { ownReplies } from '../own-replies.ts'
import type { Session } from '../session.ts'
import { later, readRefusal, redirect, serverNamed } from './redirects.ts'
import { noKey, pinTo, serverOf } from './sharded.ts'

const nothing = Buffer.alloc(0)
export const asking = encodeCommand(['ASKING'])

/** The server for what has no key: that of the connection which the session has to keep, or any. */
export function anyServer(session: Session): ServerConnections | undefined {
  const { pinning } = session
  const isKept = pinning.lane !== undefined && pinning.reasons !== 0
  return isKept ? pinning.server : serverOf(session, noKey)
}

export interface OwnCommand {
  readonly reason: number
  /** Where it goes, unless a server said otherwise. */
  readonly server: ServerConnections | undefined
  /** The server took it. */
  readonly onDone?: () => void
}

/** Sends the command at the start of the input over the session’s own connection, alone; false when it has to wait. */
export function sendOwn(session: Session, end: number, own: OwnCommand): boolean {
  const { pinning, input, context } = session
  if (session.holdError !== undefined) return session.forwardRun(end, 1)
  if (!session.waitForReplies()) return false
  if (!pinTo(session, serverNamed(pinning) ?? own.server)) return false
  const { lane } = pinning
  if (lane === undefined) return false
  const frame = Buffer.from(input.bytes.subarray(input.start, end))
  if (pinning.redirect?.isAsking === true) ask(session)
  pinning.add(own.reason)
  const sinceMs = context.clock.monotonicMs()
  session.replies.noteSent()
  session.replies.expect({
    isWanted: true,
    onDone: () => {
      pinning.redirect = undefined
      own.onDone?.()
    },
    onError: (line) => onError(session, { frame, sinceMs, line }),
  })
  session.updateSorting()
  lane.enqueue(frame)
  input.start = end
  context.counters.commands += 1
  session.inFlight += 1
  session.inFlightBytes += frame.length
  session.wait = 'replies'
  return true
}

/** Has the server take what comes next although the slot is not its own yet. */
function ask(session: Session): void {
  session.replies.expect({ isWanted: false })
  session.updateSorting()
  session.pinning.lane?.enqueue(asking)
  session.inFlight += 1
}

interface Refused {
  readonly frame: Buffer
  readonly sinceMs: number
  readonly line: Buffer
}

/** What the client gets for an error: nothing, if the command is sent again. */
function onError(session: Session, { frame, sinceMs, line }: Refused): Buffer {
  const { pinning, context } = session
  const blocked = pinning.blocked
  const now = context.clock.monotonicMs()
  const isWoken = blocked !== undefined && isWokenByServer(line, blocked.isCalledBack)
  // A server had it until then: what sends it elsewhere now is not what did before.
  const wasTaken = isWoken || (blocked !== undefined && now - sinceMs >= retryDelayMaxMs)
  if (wasTaken) pinning.redirect = undefined
  const refusal = isWoken ? later : readRefusal(line)
  if (refusal === undefined) {
    pinning.redirect = undefined
    return line
  }
  const again = blocked === undefined ? frame : commandAgain(blocked, now)
  const isSoon = now - sinceMs < streamEndGraceMs
  const repeated = again ?? (isSoon ? frame : undefined)
  // A pause is no fault of the servers; the command is held when it comes again.
  if (isWoken && blocked.isCalledBack) session.wait = 'outside'
  else if (repeated === undefined || !redirect(session, refusal)) {
    pinning.redirect = undefined
    return refusal.kind === 'later' ? line : ownReplies.moved
  }
  queueMicrotask(() => putBack(session, repeated ?? frame, blocked?.isCalledBack === true))
  return nothing
}

/** What is asked for from the end of a stream on may be asked for again so shortly after. */
const streamEndGraceMs = 1000

/** Whether a blocked command came back with nothing taken: because we called it, or because its server is a replica now. */
function isWokenByServer(line: Buffer, isCalledBack: boolean): boolean {
  const text = line.toString('latin1', 1, 64)
  return text.startsWith('UNBLOCKED force') || (isCalledBack && text.startsWith('UNBLOCKED '))
}

/** To the start of the input; not within what reads the connection. */
function putBack(session: Session, frame: Buffer, isAtOnce: boolean): void {
  if (session.isClosed) return
  session.context.counters.commands -= 1
  session.scanner.reset()
  session.replies.noteUnsent()
  session.input.prepend(frame)
  if (isAtOnce) session.resume()
}
