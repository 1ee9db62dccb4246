/**
 * A command that is too large to be gathered: it goes to the server in pieces, over a connection of its client’s
 * own, so that a slow upload delays nobody else.
 */
import { FrameStream } from '../resp/frame-stream.ts'
import type { PinnedLane } from '../upstream/pinned-lane.ts'
import { expectLarge, hashOfLarge } from './cluster/own-commands.ts'
import { isSharded, mayBeSplit, pinTo, serverOf } from './cluster/sharded.ts'
import type { Input } from './input.ts'
import { pin } from './lanes.ts'
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { mayBeLarge, reasonOfLarge } from './special-command.ts'

export type LargeState = 'more' | 'done' | 'error' | 'full'

export class LargeRequest {
  private readonly frame: FrameStream

  /** `argumentsLeft`: how many of its arguments have not been passed on yet. */
  constructor(argumentsLeft: number, argumentBytesMax: number) {
    this.frame = new FrameStream(argumentsLeft, argumentBytesMax)
  }

  get error(): string {
    return this.frame.error
  }

  /** Passes on what is there; `full`: the server does not take more at present. */
  advance(input: Input, lane: PinnedLane): LargeState {
    if (lane.connection.writer.isFull) return 'full'
    const { frame } = this
    const state = frame.advance(input.bytes, input.start, input.end)
    if (frame.position > input.start) lane.enqueuePart(input.slice(input.start, frame.position))
    input.start = frame.position
    // Told at once, so that the client is read no further.
    return state === 'more' && lane.connection.writer.isFull ? 'full' : state
  }
}

/** Begins to pass on the unfinished command at the start of the input. */
export function startLarge(session: Session): void {
  const { scanner, input, pinning } = session
  const { validBytes, argumentsLeft } = scanner.unfinished
  const isFit = argumentsLeft > 0 && mayBeLarge(session)
  if (isFit === undefined) return
  if (!isFit) {
    session.refuseProtocol('the command is too large, or may be refused (RM_COMMAND_REFUSED)')
    return
  }
  if (!session.waitForReplies()) return
  if (session.broken !== 'none' || session.holdError !== undefined) {
    session.answer(session.holdError ?? ownReplies.willAbort)
    session.close()
    return
  }
  const isSeveral = isSharded(session.context)
  if (isSeveral ? !reachLarge(session) : !pin(session)) return
  const reason = reasonOfLarge(session)
  pinning.add(pinning.transaction === undefined ? PinReason.once | reason : 0)
  session.large = new LargeRequest(argumentsLeft, session.context.limits.argumentBytesMax)
  pinning.lane?.beginLarge(input.slice(input.start, input.start + validBytes))
  input.start += validBytes
  scanner.reset()
  if (pinning.isRaw) return
  session.inFlight += 1
  session.updateSorting()
  if (!session.replies.isPlain) session.replies.noteSent()
}

/** Whether there is a connection to the server of its keys, as far as they have come; if not the session waits. */
function reachLarge(session: Session): boolean {
  const { pinning, input, context } = session
  const hash = hashOfLarge(session)
  if (hash === undefined) {
    // Where it goes is not known yet.
    if (input.length <= context.limits.clientInFlightBytesMax) session.wait = 'input'
    else session.refuseProtocol('the command is too large, and its keys are too far behind')
    return false
  }
  if (pinning.transaction !== undefined) return pinning.transaction.beginLarge(hash)
  // Parts can be made of a whole one only.
  const isGathered = input.length <= context.limits.clientInFlightBytesMax
  if (isGathered && mayBeSplit(input.bytes, input.start, input.end)) {
    session.wait = 'input'
    return false
  }
  const isKept = pinning.lane !== undefined && pinning.has(PinReason.watch)
  if (!pinTo(session, isKept ? pinning.server : serverOf(session, hash))) return false
  expectLarge(session)
  return true
}

/** Passes on what has come of it. */
export function advanceLarge(session: Session, large: LargeRequest): void {
  const { lane } = session.pinning
  if (lane === undefined) return session.close()
  const state = large.advance(session.input, lane)
  if (state === 'more') session.wait = 'input'
  else if (state === 'full') session.wait = 'writable'
  else if (state === 'done') {
    session.large = undefined
    lane.endLarge()
    session.context.counters.commands += 1
  } else {
    // The server has a part of the command and will never have the rest, so it does not run it.
    session.pinning.drop()
    session.inFlight = 0
    session.refuseProtocol(large.error)
  }
}
