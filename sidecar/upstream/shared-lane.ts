/**
 * A connection that many clients share. It outlives the connections it is carried by: while there is none it is
 * not ready, and clients hold their commands.
 *
 * Invariants: replies are matched to commands by order alone, so the connection is discarded at the first byte
 * that is malformed or that nobody is owed. A command is sent at most once: what was handed to the socket is
 * lost with it, what was not is given back.
 *
 * A reply that is larger than its client may leave unread would have to be gathered here, or hold up everyone.
 * So the lane retires: it takes no more commands, another takes its place, and what is owed over it is read as
 * fast as that client reads. Those who are owed replies behind it wait for `retiredWaitMs` at most; then the
 * client that does not read is cut.
 */
import {
  largeReplyBytesMin,
  replyLineBytesMax,
  retiredWaitMs,
  waryCommandsMin,
} from '../../common/limits.ts'
import type { ByteRange } from '../net/byte-range.ts'
import { readPace } from '../net/read-pace.ts'
import type { Flushable, Turn, Wakeable } from '../net/turn.ts'
import { turnBytes } from '../net/turn-memory.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'
import { AnsweredCommands } from './answered-commands.ts'
import type { ConnectionOwner, ProtocolVersion, UpstreamConnection } from './connection.ts'
import { InFlightRing } from './in-flight.ts'
import type { QueueBounds } from './queue-bounds.ts'
import { nobody, type ReplySink } from './reply-sink.ts'
import { RequestBatch } from './request-batch.ts'
import { SentLog } from './sent-log.ts'

/** Room, as a share of what may be in flight, at which those who wait are woken. */
const wakeShare = 0.25

export interface ServerLoad {
  commandCount: number
}

export interface SharedLaneOptions {
  readonly protocol: ProtocolVersion
  /** What may wait for the server before clients are asked to wait. */
  readonly bounds: QueueBounds
  /** What all lanes to the server have sent. */
  readonly load?: ServerLoad
  /** Its clients may all ask for much: few commands are in flight until replies turn out to be small. */
  readonly isWary?: boolean
  /** The connection ended or was discarded; all its commands have been answered for. */
  onLost(lane: SharedLane): void
  /** The server refused a write because it is a replica. */
  onReadOnly(): void
  /** Puts another lane in its place; false if there are too many retired ones, and it has to go on. */
  onRetire(lane: SharedLane): boolean
}

/** Requests gathered in a turn that are written before its end. */
const earlyFlushBytes = 8 * 1024

export class SharedLane implements ConnectionOwner, Flushable {
  readonly protocol: ProtocolVersion
  /** Owned by whoever keeps the lane connected. */
  isConnecting = false
  /** Takes no more commands, and ends with the last reply that is owed. */
  isRetired = false
  private heldFor: ReplySink | undefined
  private heldTimer: NodeJS.Timeout | undefined
  private hasProgress = false
  /** Whether a part of a reply was passed on and its end was not. */
  private isMidReply = false
  private silentTickCount = 0
  /** Commands that may be in flight, if that is less than the bounds allow. */
  private commandsMax: number
  private readonly isWary: boolean
  /** Of the reply that is being read. */
  private replyBytes = 0
  private readonly options: SharedLaneOptions
  private readonly turn: Turn
  private readonly ring = new InFlightRing<ReplySink>()
  private readonly waiting = new Set<Wakeable>()
  private connection: UpstreamConnection | undefined
  private scanner = newScanner()
  private readonly batch = new RequestBatch()
  private readonly sent = new SentLog()
  /** Of the replies that are being delivered. */
  readonly answered = new AnsweredCommands()
  /** The beginning of an error whose end has not come: it may be one that its client does not get. */
  private torn: Buffer | undefined

  constructor(options: SharedLaneOptions, turn: Turn) {
    this.options = options
    this.protocol = options.protocol
    this.turn = turn
    this.isWary = options.isWary === true
    this.commandsMax = this.isWary ? waryCommandsMin : Number.POSITIVE_INFINITY
  }

  get isReady(): boolean {
    return this.connection !== undefined
  }

  /** Whether a part of a reply to `sink` was passed on and its end was not. */
  isMidReplyOf(sink: ReplySink): boolean {
    return this.isMidReply && this.ring.owner === sink
  }

  get inFlightCommands(): number {
    return this.ring.commandCount + this.batch.commandCount
  }

  get isWritable(): boolean {
    const { connection } = this
    const { bounds } = this.options
    if (connection === undefined || bounds.isHeld) return false
    if (this.inFlightCommands >= Math.min(bounds.commandsMax, this.commandsMax)) return false
    return this.batch.byteCount + connection.writer.backlogBytes < bounds.bytesMax
  }

  /** Has `waiter` woken when the lane is writable again or its connection ended. */
  waitWritable(waiter: Wakeable): void {
    this.waiting.add(waiter)
  }

  attach(connection: UpstreamConnection): void {
    this.connection = connection
    this.scanner = newScanner()
    this.torn = undefined
    connection.setOwner(this)
    connection.readInPlace()
  }

  /** Takes `count` whole commands of `sink`, to be sent at the end of this turn. Only when ready. */
  enqueue(sink: ReplySink, bytes: Buffer, count: number): void {
    if (this.batch.isEmpty) this.turn.addUpstream(this)
    this.batch.add(sink, bytes, count)
    // A server that has much to do begins while we read on.
    if (this.batch.byteCount >= earlyFlushBytes) this.flushEarly()
  }

  /** The same with a part of a buffer. */
  enqueueRange(sink: ReplySink, request: ByteRange, count: number): void {
    if (this.batch.isEmpty) this.turn.addUpstream(this)
    this.batch.addRange(sink, request, count)
    if (this.batch.byteCount >= earlyFlushBytes) this.flushEarly()
  }

  /** Not where all that comes in a turn is to be confirmed together. */
  private flushEarly(): void {
    if (this.connection?.gate === undefined) this.flush()
  }

  flush(): void {
    const { connection, batch } = this
    const { load } = this.options
    if (connection === undefined || batch.isEmpty) return
    const { gate } = connection
    if (connection.writer.isFull || gate?.isBusy === true || !connection.mayWrite()) return
    if (this.answered.isOn) this.answered.renew()
    if (this.ring.runCount === 0) this.sent.clear()
    this.sent.note(batch.bytes(), batch.commandCount)
    batch.forEachOwner(this.owe)
    const bytes = gate === undefined ? batch.bytes() : gate.outgoing(batch.bytes())
    if (bytes === undefined) return this.discard()
    connection.countWritten(bytes.length)
    if (load !== undefined) load.commandCount += batch.commandCount
    const isTaken = connection.writer.write(bytes)
    batch.clear(!isTaken)
  }

  private readonly owe = (sink: ReplySink, count: number): void => this.ring.push(sink, count)

  onData(read: Buffer): void {
    const { ring, scanner, answered } = this
    // What goes on in the middle of a reply is mostly large, and is written before this call ends.
    const bytes = this.isMidReply || this.torn !== undefined ? this.mended(read) : turnBytes(read)
    this.hasProgress = true
    const end = bytes.length
    let start = 0
    while (start < end) {
      const sink = ring.owner
      if (sink === undefined || !scanner.scan(bytes, start, end, ring.count)) {
        this.discard()
        return
      }
      if (scanner.isMidReply && scanner.takeBackError()) {
        this.torn = Buffer.from(bytes.subarray(scanner.position, end))
        if (scanner.position === start) break
      }
      const { position, count } = scanner
      const slice = start === 0 && position === end ? bytes : bytes.subarray(start, position)
      if (count > 0) ring.answer(count)
      else if (slice.length === end) readPace.isBulk = true
      if (this.isWary) this.noteSize(slice.length, count)
      if (scanner.sawReadOnly || answered.isOn) this.noteRefusals(count)
      sink.deliver(slice, count, scanner)
      scanner.sawReadOnly = false
      this.isMidReply = scanner.isMidReply
      start = this.torn === undefined ? position : end
      if (this.isMidReply && sink.isOutputBlocked) this.holdFor(sink)
    }
    if (this.isRetired && this.ring.commandCount === 0) this.discard()
    else if (this.waiting.size > 0) this.wakeFitting()
  }

  private mended(read: Buffer): Buffer {
    const { torn } = this
    this.torn = undefined
    return torn === undefined ? read : Buffer.concat([torn, read])
  }

  /** A server that refuses what it is sent is sent no more, and who is refused is told which commands these are. */
  private noteRefusals(count: number): void {
    const { scanner, answered, options, batch } = this
    if (scanner.sawReadOnly) options.onReadOnly()
    if (scanner.sawReadOnly && options.bounds.isRefusing) {
      answered.begin()
      if (!batch.isEmpty) batch.giveBack()
    }
    if (answered.isOn && count > 0) answered.note(this.sent, this.ring.commandCount + count, count)
  }

  onDrain(): void {
    if (!this.batch.isEmpty) this.turn.addUpstream(this)
    this.wakeWaiting()
  }

  onClosed(): void {
    this.discard()
  }

  /** Reads no further while `sink`, in the middle of whose reply we are, does not read. */
  holdFor(sink: ReplySink): void {
    const { connection, ring } = this
    if (connection === undefined || !this.isMidReply || ring.owner !== sink) return
    if (!this.isRetired && !this.retire()) return
    this.heldFor = sink
    connection.socket.pause()
    this.heldTimer ??= setInterval(() => this.cutHeld(), retiredWaitMs).unref()
  }

  /** `sink` reads again, or is gone. */
  goOnFor(sink: ReplySink): void {
    if (this.heldFor !== sink) return
    this.heldFor = undefined
    this.connection?.socket.resume()
  }

  /** `client` is gone: keeps nothing of it, whatever it is still owed. */
  forget(client: ReplySink & Wakeable): void {
    this.waiting.delete(client)
    this.drop(client)
  }

  /** `sink` is gone: what it is owed is nobody’s. */
  drop(sink: ReplySink): void {
    this.goOnFor(sink)
    this.ring.replace(sink, nobody)
    this.batch.replace(sink, nobody)
  }

  private retire(): boolean {
    if (!this.options.onRetire(this)) return false
    this.isRetired = true
    this.batch.giveBack()
    this.wakeWaiting()
    return true
  }

  private cutHeld(): void {
    const { heldFor, ring } = this
    if (heldFor === undefined || ring.runCount < 2) return
    heldFor.cut()
    this.goOnFor(heldFor)
  }

  /** Ends the connection at once and answers for every command on it. */
  discard(): void {
    const { connection } = this
    if (connection === undefined) return
    this.connection = undefined
    this.heldFor = undefined
    clearInterval(this.heldTimer)
    this.heldTimer = undefined
    connection.setOwner(undefined)
    connection.destroy()
    let { isMidReply } = this
    this.isMidReply = false
    this.answered.clear()
    const sent = this.sent.last(this.ring.commandCount)
    this.ring.drain((sink, count) => {
      sink.lose(count, isMidReply, sent.take(count))
      isMidReply = false
    })
    this.batch.giveBack()
    this.wakeWaiting()
    this.options.onLost(this)
  }

  /** Called at equal intervals: how many of them in a row brought nothing although replies are owed. */
  silentTicks(): number {
    const isSilent = this.ring.commandCount > 0 && !this.hasProgress && this.heldFor === undefined
    this.silentTickCount = isSilent ? this.silentTickCount + 1 : 0
    this.hasProgress = false
    return this.silentTickCount
  }

  /** Reply bytes in which `count` replies ended: the more small ones, the more may be in flight. */
  private noteSize(byteCount: number, count: number): void {
    this.replyBytes += byteCount
    const isLarge = this.replyBytes >= largeReplyBytesMin * Math.max(1, count)
    if (isLarge) this.commandsMax = waryCommandsMin
    else this.commandsMax = Math.min(this.commandsMax + count, this.options.bounds.commandsMax)
    if (count > 0) this.replyBytes = 0
  }

  /** Has as many try again as may fit, and not for each reply, lest all be woken for one. */
  private wakeFitting(): void {
    const commandsMax = Math.min(this.options.bounds.commandsMax, this.commandsMax)
    const room = commandsMax - this.inFlightCommands
    if (this.inFlightCommands > 0 && room < commandsMax * wakeShare) return
    let left = Math.max(1, room)
    for (const waiter of this.waiting) {
      if (left === 0) return
      left -= 1
      this.waiting.delete(waiter)
      this.turn.addWake(waiter)
    }
  }

  /** Has those who wait try again. */
  wakeWaiting(): void {
    for (const waiter of this.waiting) this.turn.addWake(waiter)
    this.waiting.clear()
  }
}

function newScanner(): ReplyScanner {
  return new ReplyScanner({ allowsPushes: false, lineBytesMax: replyLineBytesMax })
}
