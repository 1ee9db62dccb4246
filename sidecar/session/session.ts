/**
 * One client: its bytes become runs of whole commands that go on as slices, its replies come back in order.
 *
 * The session stops (`wait`) rather than queues: what it cannot deal with now stays in `input` and the client is
 * read no further. Replies of the sidecar’s own are only given when none is owed before them, so that the order
 * of replies needs no bookkeeping.
 */
import type { Socket } from 'node:net'
import { gatheredFrameBytesMax } from '../../common/limits.ts'
import { readBytes } from '../net/reader.ts'
import { outputBytesMax, requestLimits } from '../policy/request-limits.ts'
import { encodeError } from '../resp/encode.ts'
import type { ReplyScanner } from '../resp/reply-scanner.ts'
import { RequestScanner, ScanStop } from '../resp/request-scanner.ts'
import type { ProtocolVersion } from '../upstream/connection.ts'
import type { ReplySink } from '../upstream/reply-sink.ts'
import type { SharedLane } from '../upstream/shared-lane.ts'
import type { CutReason } from '../data-plane.ts'
import type { SessionContext } from './context.ts'
import { takeOwn } from './cluster/own-commands.ts'
import { handleInline } from './inline-command.ts'
import { ClientOutput, type ClientOutputOwner } from './client-output.ts'
import { Holding } from './holding.ts'
import { Input } from './input.ts'
import { enqueuePinned, enqueueShared } from './lanes.ts'
import { advanceLarge, type LargeRequest, startLarge } from './large-request.ts'
import { ConnectionState } from './connection-state.ts'
import { afterOwnLaneEnded, afterPinning, restore } from './own-lane-end.ts'
import { ownReplies, replyWhileBroken } from './own-replies.ts'
import { type Losses, loseCommands } from './losses.ts'
import { Patience } from './patience.ts'
import { type PinFailure, PinReason, Pinning, type PinningOwner } from './pinning.ts'
import { RawPassage } from './raw-passage.ts'
import { type Refusals, takeRefused } from './refusals.ts'
import { ReplyPath } from './reply-path.ts'
import { ReplyWindow } from './reply-window.ts'
import { forwardRouted, isRouted, type ReplyOrder } from './routed/index.ts'
import { answerRun, noteGone, noteReplies, roomLeft } from './flow.ts'
import { settle, updatePatience, updateReading } from './flow.ts'
import { handleSpecial } from './special-command.ts'
import type { BrokenState, Wait } from './states.ts'
import { Subscriber } from './subscriber.ts'

export class Session implements ReplySink, PinningOwner, ClientOutputOwner {
  readonly id: number
  readonly address: string
  readonly context: SessionContext
  readonly pinning: Pinning
  /** What its own connection holds for it. */
  readonly state = new ConnectionState()
  readonly subscriber = new Subscriber(this)
  readonly raw = new RawPassage()
  readonly replies = new ReplyPath()
  readonly input = new Input()
  readonly scanner: RequestScanner
  protocol: ProtocolVersion = 2
  clientName = ''
  database = 0
  isAuthenticated: boolean
  authFailureCount = 0
  broken: BrokenState = 'none'
  wait: Wait = 'none'
  isClosed = false
  inFlight = 0
  /** Commands that were in flight and are no more. */
  answeredCount = 0

  readonly socket: Socket
  readonly output: ClientOutput
  readonly patience: Patience
  readonly holding = new Holding(this)
  private readonly onEnded: (session: Session) => void
  readonly window = new ReplyWindow()
  /** What carried its last command that was not sent over a connection of its own. */
  sharedLane: SharedLane | undefined
  /** Its replies where there are several servers. */
  order: ReplyOrder | undefined
  /** What became of commands whose connection ended; undefined until one did. */
  losses: Losses | undefined
  /** Its commands that a primary refused which is none any more; undefined until one did. */
  refusals: Refusals | undefined
  isForwardingScript = false
  /** The command that is being passed on in pieces. */
  large: LargeRequest | undefined
  inFlightBytes = 0
  private isPumping = false
  isEnded = false
  isClosing = false
  /** Set when commands were held too long: those that are here are answered with it. */
  holdError: Buffer | undefined

  constructor(
    socket: Socket,
    id: number,
    context: SessionContext,
    onEnded: (session: Session) => void,
  ) {
    this.socket = socket
    this.id = id
    this.address = socket.remoteAddress ?? 'unix'
    this.context = context
    this.onEnded = onEnded
    this.isAuthenticated = context.authenticator === undefined
    const limits = requestLimits(context.limits, this.isAuthenticated)
    this.scanner = new RequestScanner(context.rules.filter, limits)
    this.output = new ClientOutput(socket, this, context, () => outputBytesMax(this))
    this.patience = new Patience(context.watchdog, () => this.cutFor('clientsCutPatience'))
    this.pinning = new Pinning(this, context)
    readBytes(socket, (chunk) => this.receive(chunk))
    socket.on('end', () => this.onEnd())
    // Its end is seen by `close`; why it ended matters to nobody.
    socket.on('error', () => {})
    socket.on('close', () => this.onClose())
  }

  /** Takes over what the configuration or a login changed. */
  refreshLimits(): void {
    this.scanner.limits = requestLimits(this.context.limits, this.isAuthenticated)
  }

  private receive(chunk: Buffer): void {
    if (this.isClosed || this.isClosing) return this.patience.noteFarewell(chunk.length)
    this.context.counters.clientBytesRead += chunk.length
    this.context.messages?.noteRequest(this, chunk)
    this.patience.note(chunk.length)
    this.input.append(chunk)
    if (this.wait === 'input') this.wait = 'none'
    if (this.wait === 'none') this.pump()
    else updateReading(this)
    this.input.keep()
  }

  /** Goes on, unless something outside of this session must happen first. */
  wake(): void {
    if (this.isClosed || this.wait === 'outside' || this.wait === 'held') return
    this.wait = 'none'
    this.pump()
  }

  /** What `outside` waited for has happened. */
  resume(): void {
    if (this.wait === 'outside') this.wait = 'none'
    this.context.turn.addWake(this)
  }

  private pump(): void {
    if (this.isPumping) return
    this.losses?.settle()
    this.isPumping = true
    if (this.inFlight === 0) this.pinning.remove(PinReason.once | PinReason.blocking)
    const { input } = this
    while (input.length > 0 && this.wait === 'none' && !this.isClosed && !this.isClosing) {
      if (this.output.isBlocked && !this.pinning.isRaw) this.wait = 'window'
      else this.advance()
    }
    this.isPumping = false
    if (this.isClosed) return
    if (input.length === 0) {
      input.clear()
      this.holdError = undefined
    } else if (this.wait === 'input') this.holdError = undefined
    settle(this)
  }

  /** Deals with what comes next in the input; either consumes some of it or sets `wait`. */
  private advance(): void {
    if (this.large !== undefined) {
      advanceLarge(this, this.large)
      return
    }
    const { input, scanner } = this
    const room = this.pinning.isRaw ? Number.POSITIVE_INFINITY : roomLeft(this)
    if (room <= 0) {
      this.wait = 'window'
      return
    }
    const stop = scanner.scan(input.bytes, input.start, input.end, room)
    if (scanner.count > 0 && !this.forwardRun(scanner.position, scanner.count)) {
      scanner.reset()
      return
    }
    switch (stop) {
      case ScanStop.more:
        this.onIncomplete()
        break
      case ScanStop.special:
        handleSpecial(this)
        break
      case ScanStop.inline:
        handleInline(this)
        break
      case ScanStop.skip:
        input.start = scanner.frameEnd
        break
      case ScanStop.error:
        this.refuseProtocol(scanner.error)
        break
      case ScanStop.limit:
        break
    }
  }

  private onIncomplete(): void {
    const { input } = this
    if (input.length === 0) return
    if (input.length <= gatheredFrameBytesMax) this.wait = 'input'
    else startLarge(this)
  }

  /** Sends the commands up to `end` on; false when they have to wait. */
  forwardRun(end: number, count: number): boolean {
    const { input, context } = this
    if (!this.isAuthenticated) return answerRun(this, end, count, ownReplies.noAuth)
    const broken = replyWhileBroken(this.broken)
    if (broken !== undefined) return answerRun(this, end, count, broken)
    const taken = takeOwn(this, end, count)
    if (taken !== undefined) return taken
    if (isRouted(this, end, count)) return forwardRouted(this, end, count)
    if (this.holdError !== undefined) return answerRun(this, end, count, this.holdError)
    if (this.pinning.isHeld) return this.hold()
    const bytes = input.slice(input.start, end)
    const isOwn = this.pinning.isNeeded || this.window.isLarge
    if (!(isOwn ? enqueuePinned(this, bytes, count) : enqueueShared(this, bytes, count)))
      return false
    input.start = end
    context.counters.commands += count
    if (this.pinning.isRaw) return this.raw.noteSent(count)
    if (isOwn) this.state.caching = undefined
    if (!this.replies.isPlain) this.replies.noteSent()
    this.inFlight += count
    this.inFlightBytes += bytes.length
    return true
  }

  onRestore(): void {
    restore(this)
  }

  onPinned(failure?: PinFailure): void {
    if (!this.isClosed) afterPinning(this, failure)
  }

  /** Has the lane tell replies from what else comes, as far as that matters. */
  updateSorting(): void {
    const { lane } = this.pinning
    if (lane === undefined) return
    const isListening = this.subscriber.isListening
    if (isListening) lane.sorting = this.protocol === 3 ? 'pushes' : 'arrays'
    else lane.sorting = this.replies.isPlain ? 'none' : 'pushes'
  }

  /** Whether no reply is owed; if one is, the session goes on when the last has come. */
  waitForReplies(): boolean {
    const { pinning } = this
    if (!pinning.isMidReply && (this.inFlight === 0 || pinning.isRaw)) return true
    this.wait = 'replies'
    return false
  }

  /** Has the command at the start of the input wait for a primary. */
  hold(): false {
    if (this.holdError !== undefined) return false
    this.holding.start()
    return false
  }

  // Replies

  /** A reply of the sidecar’s own. Only when none is owed before it. */
  answer(bytes: Buffer): void {
    if (this.replies.isPlain || this.replies.passesOwn()) this.output.push(bytes)
  }

  deliver(bytes: Buffer, replyCount: number, scanner?: ReplyScanner): void {
    if (this.isClosed) return
    const isRefused = scanner?.sawReadOnly === true || this.refusals?.isOpen === true
    if (isRefused && takeRefused(this, bytes, replyCount, scanner)) return
    const isSubscriber = this.pinning.has(PinReason.subscribed)
    if (isSubscriber && replyCount > 0 && !this.subscriber.takeReply()) return
    this.output.push(this.replies.isPlain ? bytes : this.replies.pass(bytes, replyCount))
    if (!this.replies.isPlain) this.updateSorting()
    if (this.pinning.isRaw) this.raw.noteBytes(this)
    else noteReplies(this, bytes.length, replyCount)
  }

  onMessage(bytes: Buffer): void {
    if (!this.isClosed) this.output.push(bytes)
    if (this.wait === 'replies') this.context.turn.addWake(this)
  }

  onConfirmation(frame: Buffer): void {
    if (!this.isClosed) this.subscriber.take(frame)
  }

  onPinnedReadOnly(): void {
    this.context.primary.noteReadOnly()
  }

  lose(count: number, isMidReply: boolean, sent?: Buffer): void {
    loseCommands(this, count, isMidReply, sent)
  }

  giveBack(bytes: Buffer, count: number): void {
    if (this.isClosed) return
    noteGone(this, count)
    this.context.counters.commands -= count
    this.scanner.reset()
    this.replies.noteUnsent()
    this.input.prepend(bytes)
    this.context.turn.addWake(this)
  }

  onPinnedClosed(isMidReply: boolean): void {
    afterOwnLaneEnded(this, isMidReply)
  }

  onPinnedDrain(): void {
    this.context.turn.addWake(this)
  }

  // Flow

  get isOutputBlocked(): boolean {
    return this.output.isBlocked && !this.isClosed
  }

  onOutputBlocked(isBlocked: boolean): void {
    if (isBlocked && !this.isAuthenticated) return this.onOutputOverflow()
    this.pinning.lane?.setReading(!isBlocked)
    this.subscriber.links?.setReading(!isBlocked)
    if (isBlocked) this.sharedLane?.holdFor(this)
    else this.sharedLane?.goOnFor(this)
    this.order?.onOutputBlocked(isBlocked)
    if (!isBlocked) this.wake()
  }

  onOutputOverflow(): void {
    this.context.log.warn({ client: this.address }, 'a client that does not read was cut')
    this.cutFor('clientsCutSlow')
  }

  /** Ends it at once, and counts why. */
  cutFor(reason: CutReason): void {
    if (!this.isClosed) this.context.counters[reason] += 1
    this.destroy()
  }

  cut(): void {
    this.onOutputOverflow()
  }

  private onEnd(): void {
    this.isEnded = true
    // A server frees a client whose end it reads, blocked or subscribed; there is nothing left to wait for.
    if (this.pinning.isRaw || this.pinning.isBlocking) this.destroy()
    else settle(this)
  }

  // Ends

  /** What came is not RESP: says so after the replies that are owed, and closes. */
  refuseProtocol(what: string): void {
    if (!this.waitForReplies()) return
    this.context.counters.protocolErrors += 1
    this.answer(encodeError(`ERR Protocol error: ${what}`))
    this.close()
  }

  /** Ends the connection after what was answered has been written. */
  close(): void {
    if (this.isClosing || this.isClosed) return
    this.isClosing = true
    this.input.clear()
    // Servers know that it is gone before the client does.
    this.subscriber.links?.clear()
    this.pinning.drop()
    this.socket.pause()
    this.output.end()
    updatePatience(this)
  }

  destroy(): void {
    this.socket.destroy()
    this.onClose()
  }

  private onClose(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.input.clear()
    this.sharedLane?.forget(this)
    this.order?.close()
    this.pinning.drop()
    this.holding.stop()
    this.context.restores.remove(this)
    this.patience.stop()
    this.onEnded(this)
  }
}
