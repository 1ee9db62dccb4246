/**
 * A connection that one client has for itself: bytes pass in order both ways, replies are scanned for their ends
 * so that the client can come back to a shared connection, and plain TCP backpressure holds.
 */
import { replyLineBytesMax } from '../../common/limits.ts'
import { Outbox } from '../net/outbox.ts'
import { readPace } from '../net/read-pace.ts'
import type { Turn } from '../net/turn.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'
import type { ConnectionOwner, UpstreamConnection } from './connection.ts'
import { FrameSorter, type Sorting } from './frame-sorter.ts'
import { SentLog } from './sent-log.ts'

export interface PinnedOwner {
  /**
   * Bytes of replies, of which `replyCount` ended in them; pushes too, unless the lane sorts them out. `scanner` has just
   * passed over them, unless it does.
   */
  deliver(bytes: Buffer, replyCount: number, scanner?: ReplyScanner): void
  /** Bytes of a message that no request asked for, which ends with them or goes on. */
  onMessage(bytes: Buffer, isEnd: boolean): void
  /** A whole confirmation of a subscription. */
  onConfirmation(frame: Buffer): void
  /** A reply, which is delivered then, says that the server is a replica. */
  onPinnedReadOnly(): void
  /** The connection ended, or was discarded because of what came over it. */
  onPinnedClosed(isMidReply: boolean): void
  onPinnedDrain(): void
}

/** No other status of a server is as long. */
const resetBytes = 'RESET'.length

export class PinnedLane implements ConnectionOwner {
  readonly connection: UpstreamConnection
  /** Whether the last bytes that came were the reply to RESET. */
  endedWithReset = false
  /** Whether a part of a reply was passed on and its end was not. */
  isMidReply = false
  /** How replies are told from what else comes; to be changed between replies only. */
  sorting: Sorting = 'none'
  /** What comes from now on may be no RESP, but what a replica is sent: it passes as it is. */
  isStream = false
  /** What its client sent last, as far as that is noted. */
  readonly sent = new SentLog()
  private readonly owner: PinnedOwner
  private readonly outbox: Outbox
  private readonly scanner = new ReplyScanner({
    allowsPushes: true,
    lineBytesMax: replyLineBytesMax,
  })
  private isEnded = false
  private hasProgress = false
  private silentTickCount = 0
  private sorter: FrameSorter | undefined
  /** The beginning of an error whose end has not come: it may be one that the client does not get. */
  private torn: Buffer | undefined

  constructor(connection: UpstreamConnection, owner: PinnedOwner, turn: Turn) {
    this.connection = connection
    this.owner = owner
    this.outbox = new Outbox(connection.writer, (outbox) => turn.addUpstream(outbox))
    connection.setOwner(this)
    connection.readInPlace()
  }

  get backlogBytes(): number {
    return this.outbox.backlogBytes
  }

  /** Takes whole commands. */
  enqueue(bytes: Buffer): void {
    const { gate } = this.connection
    // A subscriber in RESP2 can write nothing.
    if (gate === undefined || this.sorting === 'arrays') this.enqueuePart(bytes)
    else this.enqueueGated(gate.outgoing(bytes))
  }

  /** Takes the first piece of a command that comes in several. */
  beginLarge(bytes: Buffer): void {
    const { gate } = this.connection
    this.enqueueGated(gate === undefined || gate.beginLarge(bytes) ? bytes : undefined)
  }

  enqueuePart(bytes: Buffer): void {
    if (!this.connection.mayWrite()) return
    this.connection.countWritten(bytes.length)
    this.outbox.push(bytes)
  }

  /** The last piece was taken. */
  endLarge(): void {
    const request = this.connection.gate?.endLarge()
    if (request !== undefined) this.enqueuePart(request)
  }

  /** Of what may not be sent all is lost. */
  private enqueueGated(bytes: Buffer | undefined): void {
    if (bytes === undefined) this.connection.destroy()
    else this.enqueuePart(bytes)
  }

  /** Stops or goes on reading replies, so that the server feels what the client does not read. */
  setReading(isReading: boolean): void {
    const { socket } = this.connection
    if (isReading === !socket.isPaused()) return
    if (isReading) socket.resume()
    else socket.pause()
  }

  /** Called at equal intervals: how many of them in a row brought nothing although something `isExpected`. */
  silentTicks(isExpected: boolean): number {
    this.silentTickCount = isExpected && !this.hasProgress ? this.silentTickCount + 1 : 0
    this.hasProgress = false
    return this.silentTickCount
  }

  onData(read: Buffer): void {
    this.hasProgress = true
    const bytes = this.torn === undefined ? read : Buffer.concat([this.torn, read])
    this.torn = undefined
    if (this.isStream) return this.owner.deliver(bytes, 0)
    if (this.sorting !== 'none' || this.sorter?.isMidFrame === true) {
      this.sort(bytes)
      return
    }
    const { scanner, owner } = this
    if (!scanner.scan(bytes, 0, bytes.length, Number.POSITIVE_INFINITY)) {
      this.end()
      owner.onPinnedClosed(this.isMidReply)
      return
    }
    if (scanner.isMidReply && scanner.takeBackError()) {
      this.torn = Buffer.from(bytes.subarray(scanner.position))
      if (scanner.position === 0) return
    }
    this.isMidReply = scanner.isMidReply
    this.endedWithReset = scanner.statusBytes === resetBytes
    if (scanner.count === 0) readPace.isBulk = true
    if (scanner.sawReadOnly) owner.onPinnedReadOnly()
    const whole = this.torn === undefined ? bytes : bytes.subarray(0, scanner.position)
    owner.deliver(whole, scanner.count, scanner)
    scanner.sawReadOnly = false
  }

  private sort(bytes: Buffer): void {
    const { owner } = this
    const sorter = (this.sorter ??= new FrameSorter({
      onReplyFrame: (slice, replyCount) => owner.deliver(slice, replyCount),
      onMessageFrame: (slice, isEnd) => owner.onMessage(slice, isEnd),
      onConfirmationFrame: (frame) => owner.onConfirmation(frame),
    }))
    const isSound = sorter.receive(bytes, this)
    this.isMidReply = sorter.isMidFrame
    if (isSound || this.isEnded) return
    this.end()
    owner.onPinnedClosed(this.isMidReply)
  }

  onDrain(): void {
    this.owner.onPinnedDrain()
  }

  onClosed(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.owner.onPinnedClosed(this.isMidReply)
  }

  /** Lets go of the connection, which stays open for another client. */
  detach(): UpstreamConnection {
    this.outbox.flush()
    this.isEnded = true
    this.setReading(true)
    this.connection.setOwner(undefined)
    return this.connection
  }

  end(): void {
    this.isEnded = true
    this.connection.setOwner(undefined)
    this.connection.destroy()
  }
}
