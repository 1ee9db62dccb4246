/**
 * Commands of one client that were sent over a shared connection and whose replies will not come. Reads are sent again,
 * once, to whoever is the primary by then; each of the others gets an error, since it may have been run.
 *
 * Replies keep their order, and a read is not sent again behind a command that may have changed what it reads: of what
 * was lost together only the reads behind the last other command are. What was not sent comes after them.
 */
import type { Wakeable } from '../net/turn.ts'
import { CommandFrame } from '../route/command-frame.ts'
import { findTraits } from '../route/traits.ts'
import { noteGone } from './flow.ts'
import { ownReplies } from './own-replies.ts'
import type { Session } from './session.ts'

export class Losses implements Wakeable {
  private readonly session: Session
  /** Commands that get an error, and behind them those that are sent again. */
  private errorCount = 0
  private reads: Buffer[] = []
  private readCount = 0
  /** Commands up to this one, as the session counts them, have been sent twice. */
  private sentTwiceUntil = 0

  constructor(session: Session) {
    this.session = session
  }

  /** Whether something was noted that has not been answered for. */
  get isOpen(): boolean {
    return this.errorCount + this.readCount > 0
  }

  /** Notes the next `count` commands; `sent`: their bytes, if they are known. */
  add(count: number, sent: Buffer | undefined): void {
    const { session } = this
    const twiceCount = Math.max(0, this.sentTwiceUntil - session.answeredCount)
    noteGone(session, count)
    session.context.turn.addWake(this)
    const reads = sent === undefined ? undefined : readsAtEnd(sent, count, twiceCount)
    if (reads === undefined || reads.count < count) {
      this.errorCount += this.readCount
      this.reads = []
      this.readCount = 0
    }
    this.errorCount += count - (reads?.count ?? 0)
    if (reads === undefined || reads.count === 0) return
    this.reads.push(reads.bytes)
    this.readCount += reads.count
  }

  wake(): void {
    this.settle()
    this.session.wake()
  }

  /** Answers for all that was noted, before the client sends or is told anything else. */
  settle(): void {
    const { session, errorCount, reads, readCount } = this
    if (!this.isOpen || session.isClosed) return
    this.errorCount = 0
    this.reads = []
    this.readCount = 0
    const { counters } = session.context
    counters.commandsLost += errorCount
    for (let index = 0; index < errorCount; index += 1) session.answer(ownReplies.lost)
    if (readCount === 0) return
    counters.commands -= readCount
    counters.commandsSentAgain += readCount
    this.sentTwiceUntil = session.answeredCount + readCount
    session.scanner.reset()
    session.input.prepend(Buffer.concat(reads))
  }
}

/**
 * The connection of `session` that carried `count` commands ended; `isMidReply`: the client has a part of the first
 * one’s reply; `sent`: their bytes, if these were kept.
 */
export function loseCommands(
  session: Session,
  count: number,
  isMidReply: boolean,
  sent: Buffer | undefined,
): void {
  const { context, replies, isClosed, isClosing, refusals } = session
  if (refusals?.isOpen === true && !isClosed) return refusals.lose(count, sent)
  const mayRepeat = !isMidReply && sent !== undefined && replies.isPlain && !isClosing
  if (!isClosed && (mayRepeat || session.losses?.isOpen === true)) {
    session.losses ??= new Losses(session)
    return session.losses.add(count, mayRepeat ? sent : undefined)
  }
  context.counters.commandsLost += count
  if (isClosed) return
  noteGone(session, count)
  if (isMidReply) return session.destroy()
  for (let index = 0; index < count; index += 1) session.answer(ownReplies.lost)
  context.turn.addWake(session)
}

const frame = new CommandFrame()

/** The reads behind the last other command of `count`; the first `otherCount` are taken for others. */
function readsAtEnd(
  bytes: Buffer,
  count: number,
  otherCount: number,
): { readonly bytes: Buffer; readonly count: number } {
  let start = 0
  let readCount = 0
  for (let index = 0, at = 0; index < count; index += 1, at = frame.end) {
    frame.read(bytes, at, bytes.length)
    if (index >= otherCount && findTraits(frame)?.readsOnly === true) {
      readCount += 1
      continue
    }
    start = frame.end
    readCount = 0
  }
  return { bytes: bytes.subarray(start), count: readCount }
}
