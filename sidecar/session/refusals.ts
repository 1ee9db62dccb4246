/**
 * Commands of one client that a primary refused because it is a replica by now (`-READONLY`). It has not run them, so
 * they are sent again, to whoever is the primary by then, and the client notices a wait.
 *
 * From the first that is refused on, nothing that is still owed to the client is passed on before all of it has come, and
 * nothing new is sent. Then everything from the first refused one on is sent again, in its order: what was refused, and
 * the reads between, whose answers are dropped, since they were given too early. Behind a command that was refused there
 * may be one that was run and is no read (PUBLISH, a script): sent again the one before would come after it. So only what
 * is behind the last of these is sent again, and the client gets what the server said to all before.
 *
 * Bounds: the same command is not sent again once it was refused for longer than a command may be held; more replies than
 * a client may leave unread are not gathered; commands that are not known any more (`SentLog`) are not sent again.
 */
import { replyLineBytesMax } from '../../common/limits.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'
import { CommandFrame } from '../route/command-frame.ts'
import { findTraits } from '../route/traits.ts'
import type { SentCommands } from '../upstream/sent-log.ts'
import { isSharded } from './cluster/sharded.ts'
import { noteGone } from './flow.ts'
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'

/** A command that was sent, and what became of it. */
interface Sent {
  /** Undefined: not known any more. */
  readonly frame: Buffer | undefined
  readonly fate: 'refused' | 'answered' | 'lost'
}

export class Refusals {
  /** Whether replies are being gathered. */
  isOpen = false
  private readonly session: Session
  private replies: Buffer[] = []
  private byteCount = 0
  /** Commands whose replies have come, and those whose replies will not. */
  private answered: Buffer[] = []
  private answeredCount = 0
  private lost: Sent[] = []
  /** Of a connection of its own: those that are in flight over it. */
  private inFlight: SentCommands | undefined
  /** When the command was first refused that is to be sent again, and what the session had been answered then. */
  private sinceMs = 0
  private pendingAt = -1

  constructor(session: Session) {
    this.session = session
  }

  /** Whether a command is to be sent again, or was and has not been answered. */
  get isPending(): boolean {
    return this.session.answeredCount === this.pendingAt
  }

  /** Whether the command that is owed the next reply was refused for as long as it may be held. */
  get isExhausted(): boolean {
    const { clock, timing } = this.session.context
    return this.isPending && clock.monotonicMs() - this.sinceMs >= timing.holdTimeoutMs
  }

  /** What was to be sent again was given up. */
  forget(): void {
    this.pendingAt = -1
  }

  /** The command that is owed the next reply was refused, and what follows belongs here. */
  open(inFlight: SentCommands | undefined): void {
    if (!this.isPending) this.sinceMs = this.session.context.clock.monotonicMs()
    this.isOpen = true
    this.inFlight = inFlight
  }

  /** Takes replies, and the commands that they answer; the end of the last reply may not have come. */
  take(bytes: Buffer, count: number, commands = this.commandsOf(count)): void {
    this.replies.push(Buffer.from(bytes))
    this.byteCount += bytes.length
    this.answeredCount += count
    if (commands === undefined) return this.giveUp()
    this.answered.push(commands)
    if (this.byteCount > this.session.context.limits.clientOutputBytesMax) this.giveUp()
    else this.look()
  }

  /** The connection ended before the last of `count`, of which some may have been gathered, were answered. */
  lose(count: number, sent: Buffer | undefined): void {
    const frames = sent === undefined ? [] : framesOf(sent)
    const owedCount = this.session.inFlight - this.answeredCount - this.lost.length
    for (let index = Math.max(0, count - owedCount); index < count; index += 1) {
      this.lost.push({ frame: frames[index], fate: 'lost' })
    }
    this.look()
  }

  private commandsOf(count: number): Buffer | undefined {
    if (count === 0) return Buffer.alloc(0)
    return this.inFlight === undefined
      ? this.session.sharedLane?.answered.bytes
      : this.inFlight.take(count)
  }

  private look(): void {
    if (this.answeredCount + this.lost.length >= this.session.inFlight) this.settle()
  }

  /** The client gets what the server said, as it comes. */
  private giveUp(): void {
    const { replies, answeredCount } = this
    this.clear()
    this.session.deliver(Buffer.concat(replies), answeredCount)
  }

  private settle(): void {
    const { session } = this
    const replies = Buffer.concat(this.replies)
    const ends = endsOf(replies)
    const all = [...this.sentCommands(replies, ends), ...this.lost]
    const { answeredCount } = this
    this.clear()
    const from = firstToRepeat(all)
    const passedCount = Math.min(from, answeredCount)
    if (passedCount > 0) session.deliver(replies.subarray(0, ends[passedCount - 1]), passedCount)
    this.answerLost(from - passedCount)
    this.repeat(all.slice(from))
  }

  private sentCommands(replies: Buffer, ends: readonly number[]): Sent[] {
    return framesOf(Buffer.concat(this.answered)).map((frame, index) => {
      const reply = replies.subarray(index === 0 ? 0 : ends[index - 1], ends[index])
      return { frame, fate: isRefusal(reply, frame) ? 'refused' : 'answered' }
    })
  }

  private answerLost(count: number): void {
    const { session } = this
    noteGone(session, count)
    session.context.counters.commandsLost += count
    for (let index = 0; index < count; index += 1) session.answer(ownReplies.lost)
  }

  private repeat(commands: readonly Sent[]): void {
    const { session } = this
    const { counters, turn } = session.context
    const { length } = commands
    turn.addWake(session)
    if (length === 0) return
    counters.refusedByState += commands.filter(({ fate }) => fate === 'refused').length
    counters.commandsSentAgain += length
    counters.commands -= length
    noteGone(session, length)
    session.scanner.reset()
    session.input.prepend(Buffer.concat(commands.flatMap(({ frame }) => frame ?? [])))
    this.pendingAt = session.answeredCount
  }

  private clear(): void {
    this.isOpen = false
    this.replies = []
    this.byteCount = 0
    this.answered = []
    this.answeredCount = 0
    this.lost = []
    this.inFlight = undefined
  }
}

/** Takes replies that the client is not to have, at least not yet; false: they are to be passed on. */
export function takeRefused(
  session: Session,
  bytes: Buffer,
  replyCount: number,
  scanner: ReplyScanner | undefined,
): boolean {
  const known = session.refusals
  if (known?.isOpen === true) {
    known.take(bytes, replyCount)
    return true
  }
  if (scanner === undefined || replyCount === 0 || !mayRepeat(session)) return false
  const inFlight = session.pinning.lane?.sent.last(session.inFlight)
  const commands =
    inFlight === undefined ? session.sharedLane?.answered.bytes : inFlight.take(replyCount)
  if (commands === undefined) return false
  const frames = framesOf(commands)
  const ends = scanner.ends.slice(0, replyCount)
  const first = frames.findIndex((frame, index) => {
    const start = index === 0 ? 0 : ends[index - 1]
    const isWhole = index > 0 || !scanner.beganMidReply
    return isWhole && isRefusal(bytes.subarray(start, ends[index]), frame)
  })
  if (first < 0 || (first === 0 && known?.isExhausted === true)) return false
  const start = first === 0 ? 0 : (ends[first - 1] as number)
  if (first > 0) session.deliver(bytes.subarray(0, start), first)
  if (session.isClosed) return true
  const refusals = (session.refusals ??= new Refusals(session))
  refusals.open(inFlight)
  refusals.take(bytes.subarray(start), replyCount - first, Buffer.concat(frames.slice(first)))
  return true
}

/** Whether its commands mean the same to another server, and one may come. */
function mayRepeat({ context, pinning, replies, isClosing }: Session): boolean {
  const { primary } = context
  if (!primary.bounds.isRefusing || isSharded(context) || isClosing || !replies.isPlain)
    return false
  if (pinning.lane === undefined) return true
  const isPlain =
    (pinning.reasons & ~(PinReason.database | PinReason.flags | PinReason.blocking)) === 0
  return isPlain && pinning.server === primary
}

const refusals: readonly RegExp[] = [
  /^-READONLY You can't write against a read only (?:replica|slave)\.\r\n$/,
  // Of a script or function that says that it writes: it was not begun.
  /^-READONLY Can not run script with write flag on readonly (?:replica|slave)\.\r\n$/,
]
const refusalBytesMax = 80
const frameAt = new CommandFrame()

/** Whether `reply` says that the command was not run. What a script says in the words of a command proves nothing. */
function isRefusal(reply: Buffer, command: Buffer): boolean {
  if (reply.length > refusalBytesMax || reply[0] !== minus) return false
  const text = reply.toString('latin1')
  const [ofCommands, ofScripts] = refusals
  if (ofScripts?.test(text) === true) return true
  return ofCommands?.test(text) === true && !isScript(command)
}

const minus = '-'.charCodeAt(0)

function isScript(command: Buffer): boolean {
  frameAt.read(command, 0, command.length)
  return /^(?:eval|evalsha|fcall)(?:_ro)?$/.test(findTraits(frameAt)?.name ?? '')
}

function readsOnly(command: Buffer): boolean {
  frameAt.read(command, 0, command.length)
  return findTraits(frameAt)?.readsOnly === true
}

function framesOf(commands: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < commands.length; at = frameAt.end) {
    frameAt.read(commands, at, commands.length)
    frames.push(commands.subarray(at, frameAt.end))
  }
  return frames
}

/** Number of the first command from which on all are sent again; that of all if there is none. */
function firstToRepeat(all: readonly Sent[]): number {
  let from = all.length
  for (let index = all.length - 1; index >= 0; index -= 1) {
    const { frame, fate } = all[index] as Sent
    const isRepeatable = frame !== undefined && (fate === 'refused' || readsOnly(frame))
    if (!isRepeatable) break
    if (fate !== 'answered') from = index
  }
  return from
}

/** Where each whole reply ends. */
function endsOf(replies: Buffer): readonly number[] {
  const scanner = new ReplyScanner({ allowsPushes: true, lineBytesMax: replyLineBytesMax })
  scanner.scan(replies, 0, replies.length, Number.POSITIVE_INFINITY)
  return scanner.ends.slice(0, scanner.count)
}
