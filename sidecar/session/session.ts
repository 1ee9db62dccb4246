/**
 * One client: its bytes become runs of whole commands that go on as slices, its replies come back in order.
 *
 * The session stops (`wait`) rather than queues: what it cannot deal with now stays in `input` and the client is
 * read no further. Replies of the sidecar’s own are only given when none is owed before them, so that the order
 * of replies needs no bookkeeping.
 */
import type { Socket } from 'node:net'
import {
  gatheredFrameBytesMax,
  unauthenticatedArgumentBytesMax,
  unauthenticatedArgumentCountMax,
} from '../../common/limits.ts'
import { encodeError } from '../resp/encode.ts'
import { type RequestLimits, RequestScanner, ScanStop } from '../resp/request-scanner.ts'
import type { ProtocolVersion } from '../upstream/connection.ts'
import type { ReplySink } from '../upstream/reply-sink.ts'
import type { SessionContext } from './context.ts'
import { handleInline } from './inline-command.ts'
import { ClientOutput, type ClientOutputOwner } from './client-output.ts'
import { Input } from './input.ts'
import { LargeRequest } from './large-request.ts'
import { ownReplies } from './own-replies.ts'
import { Patience } from './patience.ts'
import { PinReason, Pinning, type PinningOwner } from './pinning.ts'
import { ReplyWindow } from './reply-window.ts'
import { handleSpecial, mayBeLarge } from './special-command.ts'

/** What keeps the session from going on. */
export type Wait = 'none' | 'input' | 'window' | 'replies' | 'writable' | 'held' | 'outside'

/** What became of a transaction or a WATCH whose connection ended. */
export type BrokenState = 'none' | 'transaction' | 'watch' | 'transactionAfterWatch'

export interface SessionEvents {
  onClosed(session: Session): void
}

export class Session implements ReplySink, PinningOwner, ClientOutputOwner {
  readonly id: number
  readonly address: string
  readonly context: SessionContext
  readonly pinning: Pinning
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

  private readonly socket: Socket
  private readonly output: ClientOutput
  private readonly patience: Patience
  private readonly events: SessionEvents
  private readonly window = new ReplyWindow()
  private large: LargeRequest | undefined
  private inFlightBytes = 0
  private isPumping = false
  private isEnded = false
  private isClosing = false
  /** Set when commands were held too long: those that are here are answered with it. */
  holdError: Buffer | undefined

  constructor(socket: Socket, id: number, context: SessionContext, events: SessionEvents) {
    this.socket = socket
    this.id = id
    this.address = socket.remoteAddress ?? 'unix'
    this.context = context
    this.events = events
    this.isAuthenticated = context.authenticator === undefined
    this.scanner = new RequestScanner(context.filter, this.requestLimits())
    this.output = new ClientOutput(
      socket,
      this,
      context,
      () => this.context.limits.clientOutputBytesMax,
    )
    this.patience = new Patience(context.watchdog, () => this.destroy())
    this.pinning = new Pinning(this, context)
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('end', () => this.onEnd())
    // Its end is seen by `close`; why it ended matters to nobody.
    socket.on('error', () => {})
    socket.on('close', () => this.onClose())
  }

  get canAuthenticate(): boolean {
    return this.context.authenticator !== undefined
  }

  /** Takes over what the configuration or a login changed. */
  refreshLimits(): void {
    this.scanner.limits = this.requestLimits()
  }

  private requestLimits(): RequestLimits {
    const { argumentBytesMax } = this.context.limits
    if (this.isAuthenticated) {
      return { argumentCountMax: 2_147_483_647, argumentBytesMax, excess: 'invalid' }
    }
    return {
      argumentCountMax: unauthenticatedArgumentCountMax,
      argumentBytesMax: Math.min(argumentBytesMax, unauthenticatedArgumentBytesMax),
      excess: 'unauthenticated',
    }
  }

  // Requests

  private receive(chunk: Buffer): void {
    if (this.isClosed || this.isClosing) return
    this.context.counters.clientBytesRead += chunk.length
    this.patience.note(chunk.length)
    this.input.append(chunk)
    if (this.wait === 'input') this.wait = 'none'
    if (this.wait === 'none') this.pump()
    else this.updateReading()
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
    this.isPumping = true
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
    this.settle()
  }

  /** Deals with what comes next in the input; either consumes some of it or sets `wait`. */
  private advance(): void {
    if (this.large !== undefined) {
      this.advanceLarge(this.large)
      return
    }
    const { input, scanner } = this
    const room = this.pinning.isRaw ? Number.POSITIVE_INFINITY : this.roomLeft()
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

  private roomLeft(): number {
    if (this.inFlightBytes > this.context.limits.clientInFlightBytesMax) return 0
    return this.window.size - this.inFlight
  }

  private onIncomplete(): void {
    const { input } = this
    if (input.length === 0) return
    if (input.length <= gatheredFrameBytesMax) this.wait = 'input'
    else this.startLarge()
  }

  /** Sends the commands up to `end` on; false when they have to wait. */
  forwardRun(end: number, count: number): boolean {
    const { input, context } = this
    if (!this.isAuthenticated) return this.answerRun(end, count, ownReplies.noAuth)
    if (this.broken !== 'none' && this.broken !== 'watch') {
      return this.answerRun(
        end,
        count,
        this.broken === 'transaction' ? ownReplies.willAbort : ownReplies.queued,
      )
    }
    if (this.holdError !== undefined) return this.answerRun(end, count, this.holdError)
    if (context.isPaused) return this.hold()
    const bytes = input.slice(input.start, end)
    if (this.pinning.lane !== undefined || this.window.isLarge) {
      if (!this.enqueuePinned(bytes)) return false
    } else if (!this.enqueueShared(bytes, count)) return false
    input.start = end
    context.counters.commands += count
    if (this.pinning.isRaw) return true
    this.inFlight += count
    this.inFlightBytes += bytes.length
    return true
  }

  private enqueueShared(bytes: Buffer, count: number): boolean {
    const lane = this.context.primary.lane(this.protocol, this.id)
    if (!lane.isReady) return this.hold()
    if (!lane.isWritable) {
      this.wait = 'writable'
      lane.waitWritable(this)
      return false
    }
    lane.enqueue(this, bytes, count)
    return true
  }

  private enqueuePinned(bytes: Buffer): boolean {
    if (this.pinning.lane === undefined && !this.waitForReplies()) return false
    if (!this.pin()) return false
    const lane = this.pinning.lane
    if (lane === undefined) return false
    if (lane.connection.socket.writableNeedDrain) {
      this.wait = 'writable'
      return false
    }
    lane.enqueue(bytes)
    return true
  }

  /** Whether the session has a connection of its own; if not it waits for one. */
  pin(): boolean {
    if (this.pinning.lane !== undefined) return true
    if (this.context.isPaused || !this.context.primary.lane(2, 0).isReady) return this.hold()
    if (this.pinning.ensure()) return true
    this.wait = 'outside'
    return false
  }

  onPinned(failure?: 'overloaded' | 'notReady' | 'badDatabase'): void {
    if (this.isClosed) return
    if (failure === undefined) this.resume()
    else if (failure === 'notReady') {
      this.wait = 'none'
      this.context.turn.addWake(this)
    } else {
      this.answer(failure === 'overloaded' ? ownReplies.overloaded : ownReplies.databaseGone)
      this.close()
    }
  }

  /** Whether no reply is owed; if one is, the session goes on when the last has come. */
  waitForReplies(): boolean {
    if (this.inFlight === 0 || this.pinning.isRaw) return true
    this.wait = 'replies'
    return false
  }

  /** Holds the command up to `end` until a server has been connected once. */
  waitForServer(end: number): void {
    if (this.holdError === undefined) this.hold()
    else this.answerRun(end, 1, this.holdError)
  }

  /** Reads no more: the client said goodbye. */
  endInput(): void {
    this.input.clear()
    this.wait = 'outside'
  }

  private hold(): false {
    if (this.holdError !== undefined) return false
    this.wait = 'held'
    this.context.holds.add(this)
    return false
  }

  onRelease(): void {
    if (this.wait !== 'held') return
    this.wait = 'none'
    this.wake()
  }

  onHoldTimeout(): void {
    if (this.wait !== 'held') return
    if (this.inFlight > 0) {
      this.context.holds.add(this)
      return
    }
    this.wait = 'none'
    this.holdError = this.context.isPaused
      ? ownReplies.paused
      : this.context.hasPrimary
        ? ownReplies.heldTooLong
        : ownReplies.noPrimary
    this.wake()
  }

  // Frames that are too large to be gathered

  private startLarge(): void {
    const { scanner, input } = this
    const { validBytes, argumentsLeft } = scanner.unfinished
    if (argumentsLeft === 0 || !mayBeLarge(this)) {
      this.refuseProtocol('the command is too large')
      return
    }
    if (!this.waitForReplies()) return
    if (this.broken !== 'none' || this.holdError !== undefined) {
      this.answer(this.holdError ?? ownReplies.willAbort)
      this.close()
      return
    }
    if (!this.pin()) return
    this.pinning.add(PinReason.once)
    this.large = new LargeRequest(argumentsLeft, this.context.limits.argumentBytesMax)
    this.pinning.lane?.enqueue(input.slice(input.start, input.start + validBytes))
    input.start += validBytes
    scanner.reset()
    if (!this.pinning.isRaw) this.inFlight += 1
  }

  private advanceLarge(large: LargeRequest): void {
    const lane = this.pinning.lane
    if (lane === undefined) return this.close()
    const state = large.advance(this.input, lane)
    if (state === 'more') this.wait = 'input'
    else if (state === 'full') this.wait = 'writable'
    else if (state === 'done') {
      this.large = undefined
      this.context.counters.commands += 1
    } else {
      // The server has a part of the command and will never have the rest, so it does not run it.
      this.pinning.drop()
      this.inFlight = 0
      this.refuseProtocol(large.error)
    }
  }

  // Replies

  /** A reply of the sidecar’s own. Only when none is owed before it. */
  answer(bytes: Buffer): void {
    this.output.push(bytes)
  }

  private answerRun(end: number, count: number, reply: Buffer): boolean {
    if (!this.waitForReplies()) return false
    const isHeld = reply === this.holdError
    for (let index = 0; index < count; index += 1) this.answer(reply)
    if (isHeld) this.context.counters.commandsHeldTooLong += count
    this.input.start = end
    return true
  }

  deliver(bytes: Buffer, replyCount: number): void {
    if (this.isClosed) return
    this.output.push(bytes)
    if (this.pinning.isRaw) {
      if (this.pinning.lane?.endedWithReset === true) this.onRawReset?.()
      return
    }
    this.inFlight = Math.max(0, this.inFlight - replyCount)
    const outputMax = this.context.limits.clientOutputBytesMax
    this.window.measure(bytes.length, replyCount, this.wait === 'window', outputMax)
    if (this.inFlight === 0) this.inFlightBytes = 0
    if (this.wait === 'window' || (this.inFlight === 0 && this.isWakeNeeded())) {
      this.context.turn.addWake(this)
    }
  }

  /** Set while the reply to RESET is awaited on a raw connection. */
  onRawReset: (() => void) | undefined

  private isWakeNeeded(): boolean {
    return this.wait !== 'none' || this.pinning.lane !== undefined || this.isEnded
  }

  lose(count: number, isMidReply: boolean): void {
    this.context.counters.commandsLost += count
    if (this.isClosed) return
    this.inFlight = Math.max(0, this.inFlight - count)
    if (this.inFlight === 0) this.inFlightBytes = 0
    if (isMidReply) return this.destroy()
    for (let index = 0; index < count; index += 1) this.answer(ownReplies.lost)
    this.context.turn.addWake(this)
  }

  giveBack(bytes: Buffer, count: number): void {
    if (this.isClosed) return
    this.inFlight -= count
    this.context.counters.commands -= count
    this.scanner.reset()
    this.input.prepend(bytes)
    this.context.turn.addWake(this)
  }

  onPinnedClosed(isMidReply: boolean): void {
    const { pinning } = this
    const cannotGoOn = pinning.has(PinReason.raw | PinReason.sticky) || isMidReply
    if (pinning.has(PinReason.transaction)) this.broken = 'transaction'
    else if (pinning.has(PinReason.watch)) this.broken = 'watch'
    pinning.drop()
    if (this.isClosed) return
    if (cannotGoOn || this.large !== undefined) {
      this.context.log.info({ client: this.address }, 'a client was closed with its own connection')
      if (!isMidReply && this.inFlight > 0) this.answer(ownReplies.lost)
      this.close()
      return
    }
    this.lose(this.inFlight, false)
    this.onPinned('notReady')
  }

  onPinnedDrain(): void {
    this.context.turn.addWake(this)
  }

  // Flow

  onOutputBlocked(isBlocked: boolean): void {
    this.pinning.lane?.setReading(!isBlocked)
    if (!isBlocked) this.wake()
  }

  onOutputOverflow(): void {
    this.context.log.warn({ client: this.address }, 'a client that does not read was cut')
    this.destroy()
  }

  private onEnd(): void {
    this.isEnded = true
    // A server frees a client whose end it reads, blocked or subscribed; there is nothing left to wait for.
    if (this.pinning.isRaw || (this.inFlight > 0 && this.pinning.has(PinReason.once))) {
      this.destroy()
    } else this.settle()
  }

  /** After the session went as far as it could: gives back what it needs no more, reads on or ends. */
  private settle(): void {
    const { pinning } = this
    const isIdle = this.inFlight === 0 && this.large === undefined
    if (isIdle && pinning.lane !== undefined && this.wait !== 'outside') {
      pinning.remove(PinReason.once)
      const isWanted = this.wait === 'writable' || this.window.isLarge || pinning.reasons !== 0
      if (!isWanted) pinning.release()
    }
    const isDone = this.input.length === 0 || this.wait === 'input'
    if (this.isEnded && isDone && this.inFlight === 0) this.close()
    else this.updateReading()
    this.updatePatience()
  }

  private updateReading(): void {
    const isReading =
      !this.isClosing && !this.output.isBlocked && (this.wait === 'none' || this.wait === 'input')
    if (isReading !== this.socket.isPaused()) return
    if (isReading) this.socket.resume()
    else this.socket.pause()
  }

  private updatePatience(): void {
    const isWatched = this.isClosing || this.isEnded || this.wait === 'input'
    this.patience.watch(isWatched, this.isEnded && this.inFlight > 0 && !this.isClosing)
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
    this.pinning.drop()
    this.output.end()
    this.socket.resume()
    this.updatePatience()
  }

  destroy(): void {
    this.socket.destroy()
    this.onClose()
  }

  private onClose(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.input.clear()
    this.pinning.drop()
    this.context.holds.remove(this)
    this.patience.stop()
    this.events.onClosed(this)
  }
}
