/**
 * Commands that wait at the server for something to happen. Nothing is sent behind one before it was answered, so
 * that a pause can have it come back and wait here: the server is asked to unblock it with an error, and that error
 * says that nothing was taken. Then it may be sent again, to another server too.
 */
import { frameArguments } from '../resp/arguments.ts'
import { encodeCommand } from '../resp/encode.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { type SpecialCommand, forwardPinned } from './special.ts'

export interface BlockedCommand {
  readonly name: string
  readonly frame: Buffer
  readonly sinceMs: number
  isCalledBack: boolean
}

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
  if (lane.isMidReply || !replies.isPlain || serverId === 0 || session.inFlight !== 1) return
  const again = commandAgain(blocked, context.clock.monotonicMs())
  if (again === undefined) return
  const request = encodeCommand(['CLIENT', 'UNBLOCK', String(serverId), 'ERROR'])
  const asked = context.primary.askAside(request)
  if (asked === undefined) return
  blocked.isCalledBack = true
  replies.rewriteNext((reply) => {
    if (!reply.startsWith('-UNBLOCKED ')) return reply
    session.scanner.reset()
    session.input.prepend(again)
    context.counters.commands -= 1
    return ''
  })
  session.updateSorting()
  // If this connection is lost, so is the one that it was about.
  asked.catch(() => undefined)
}

/** The command with what is left of its time; undefined if it would not mean the same later. */
function commandAgain(blocked: BlockedCommand, nowMs: number): Buffer | undefined {
  const words = frameArguments(blocked.frame, 0, Number.POSITIVE_INFINITY)
  const texts = words.map((word) => word.toString('latin1'))
  const isStream = blocked.name.startsWith('XREAD')
  // From its end on: what is added until then would be missed.
  if (isStream && texts.includes('$')) return undefined
  const at = isStream
    ? texts.findIndex((text) => text.toUpperCase() === 'BLOCK') + 1
    : timeoutAt(blocked.name, words.length)
  const timeout = Number(texts[at])
  if (timeout === 0) return blocked.frame
  if (!Number.isFinite(timeout) || timeout < 0) return undefined
  const unitMs = isStream ? 1 : 1000
  const leftMs = Math.max(1, Math.ceil(timeout * unitMs - (nowMs - blocked.sinceMs)))
  words[at] = Buffer.from(String(leftMs / unitMs))
  return encodeCommand(words)
}

function timeoutAt(name: string, wordCount: number): number {
  return name === 'BLMPOP' || name === 'BZMPOP' ? 1 : wordCount - 1
}
