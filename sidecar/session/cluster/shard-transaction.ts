/**
 * A transaction where there are several servers. MULTI names no key, so that it is answered here; the server is that of
 * the first key, and until then any. The server queues the commands and says what is wrong with them, as it does
 * without a sidecar; but what it was given is remembered, up to a bound. So a transaction goes over to another server as
 * a whole when its keys turn out to be there, or when its connection ends: nothing of it has run as long as EXEC was not
 * sent, or was refused.
 */
import { transactionBytesMax } from '../../../common/limits.ts'
import { encodeCommand, encodeError } from '../../resp/encode.ts'
import { type Reply, textOf } from '../../resp/decode.ts'
import type { PinnedLane } from '../../upstream/pinned-lane.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { noteGone } from '../flow.ts'
import { emptyTransaction, ownReplies } from '../own-replies.ts'
import { PinReason } from '../pinning.ts'
import type { Session } from '../session.ts'
import { answerCommand } from '../special.ts'
import { type Refusal, later, readRefusal, redirect, serverNamed } from './redirects.ts'
import { asking } from './send-own.ts'
import {
  crossSlot,
  hashOfCommand,
  keysApart,
  noKey,
  pinTo,
  serverOf,
  shardedBackend,
} from './sharded.ts'

/** Refused within a transaction, which goes on, and never queued. */
const isWatch = (frame: Buffer) =>
  /^\*\d+\r\n\$5\r\nwatch\r\n/i.test(frame.toString('latin1', 0, 24))

/** The same of servers for which it is an error that has EXEC abort. */
const watchAborts = encodeError("ERR Command 'watch' not allowed inside a transaction")

function abortsOnWatch(hello: Reply | undefined): boolean {
  const words = hello?.kind === 'list' ? hello.items.map(textOf) : []
  const version = words[words.indexOf('version') + 1] ?? ''
  return words[words.indexOf('server') + 1] === 'valkey' && Number.parseInt(version, 10) >= 9
}

interface Queued {
  /** As the client sent it. */
  readonly frame: Buffer
  /** What the server is sent: the same, or what makes EXEC abort. */
  readonly sent: Buffer
}

type Last = 'exec' | 'discard'

const multi = encodeCommand(['MULTI'])
/** Cannot be queued, so that EXEC aborts. */
const spoiler = encodeCommand(['GET'])
const nothing = Buffer.alloc(0)
const noWatch = encodeError('ERR WATCH inside MULTI is not allowed')

export class ShardTransaction {
  private readonly session: Session
  /** Of its first key. */
  private hash = noKey
  private queue: Queued[] = []
  private byteCount = 0
  /** Of the queue, how many the client was answered; those after them are owed, as far as the queue is remembered. */
  private answeredCount = 0
  private owedCount = 0
  /** The connection that was told all of the queue. */
  private told: PinnedLane | undefined
  /** Whether all that was queued is remembered. */
  private isWhole = true
  /** What ends it and was sent. */
  private last: Last | undefined
  /** Came for a command; what was sent behind it was queued in vain. */
  private refusal: Refusal | undefined

  constructor(session: Session) {
    this.session = session
  }

  /** Whether a server has to be asked how it ends. */
  get isBegun(): boolean {
    const { pinning } = this.session
    return this.queue.length > 0 || !this.isWhole || pinning.has(PinReason.watch)
  }

  /** Sends the command that begins the input and ends at `end`; false when it has to wait. */
  take(end: number, last?: Last): boolean {
    const { session } = this
    const { input, context, pinning } = session
    // What comes behind its end is none of it; a session may be woken before that was answered.
    if (this.last !== undefined && !session.waitForReplies()) return false
    const backend = shardedBackend(context)
    const frame = Buffer.from(input.bytes.subarray(input.start, end))
    if (isWatch(frame)) return this.refuseWatch(end)
    const isKeyed = backend !== undefined && last === undefined
    const found = isKeyed ? hashOfCommand(backend, frame, 0, frame.length) : noKey
    const server = this.serverFor(found)
    if (!this.reach(server)) return false
    const isApart = found === keysApart || (found >= 0 && !this.isFitting(found))
    if (this.hash === noKey && found >= 0 && !isApart) this.hash = found
    input.start = end
    context.counters.commands += 1
    pinning.add(PinReason.transaction)
    this.last = last
    if (isApart) this.enqueue({ frame, sent: spoiler }, crossSlot)
    else this.enqueue({ frame, sent: frame })
    if (last !== undefined) session.wait = 'replies'
    return true
  }

  /** Its keys may be at another server, which knows nothing of the transaction. */
  private refuseWatch(end: number): boolean {
    const { session } = this
    if (!session.waitForReplies()) return false
    session.context.counters.commands += 1
    if (abortsOnWatch(session.context.primary.hello)) this.refuse(end, watchAborts)
    else answerCommand(session, { end }, noWatch)
    return true
  }

  /** Refuses the command that ends at `end`, with no reply owed before it: EXEC will abort. */
  refuse(end: number, reply: Buffer): void {
    const { session } = this
    const { input } = session
    const frame = Buffer.from(input.bytes.subarray(input.start, end))
    input.start = end
    session.answer(reply)
    const isTold = this.told !== undefined && this.told === session.pinning.lane
    this.remember({ frame, sent: spoiler })
    this.answeredCount = this.queue.length
    if (isTold) this.send(spoiler)
  }

  /** A command is going to be passed on in pieces; false when it has to wait. It cannot be given to another server. */
  beginLarge(hash: number): boolean {
    if (this.last !== undefined && !this.session.waitForReplies()) return false
    if (!this.reach(this.serverFor(hash))) return false
    if (this.hash === noKey && hash >= 0) this.hash = hash
    this.forget()
    this.expectReply()
    return true
  }

  /** Its connection has ended; true: it goes on over another. */
  survives(): boolean {
    const isUnknown = this.last === 'exec' && this.refusal === undefined
    return !isUnknown && this.repeat(this.refusal ?? later)
  }

  /** Its connection has ended and it did not survive: answers what is owed. */
  lose(): void {
    const { session } = this
    const isExec = this.last === 'exec'
    session.context.counters.commandsLost += this.owedCount
    this.endOwed(
      isExec ? ownReplies.lost : ownReplies.willAbort,
      ownReplies.lost,
      isExec ? 'none' : 'transaction',
    )
  }

  private serverFor(hash: number): ServerConnections | undefined {
    const { session } = this
    const { pinning } = session
    const isWatching = pinning.has(PinReason.watch) && pinning.lane !== undefined
    const isTold = pinning.lane !== undefined && this.told === pinning.lane
    // Who has the keys may change meanwhile; then the server says so.
    if (isWatching || (isTold && (this.hash !== noKey || hash < 0))) return pinning.server
    const named = isTold ? undefined : serverNamed(pinning)
    if (named !== undefined) return named
    return serverOf(session, this.hash === noKey && hash >= 0 ? hash : this.hash)
  }

  /** Whether the keys are those of the transaction, as far as can be told here. */
  private isFitting(hash: number): boolean {
    const { session } = this
    if (this.hash !== noKey) {
      return shardedBackend(session.context)?.isTogether(this.hash, hash) === true
    }
    const { pinning } = session
    if (!pinning.has(PinReason.watch) || serverOf(session, hash) === pinning.server) return true
    // They went to another server together: who has watched is told so by the one that had them.
    return shardedBackend(session.context)?.isTogether(pinning.watchedHash, hash) === true
  }

  /** Has a connection to `server` that was told all there is; false: not yet. */
  private reach(server: ServerConnections | undefined): boolean {
    const { session } = this
    const { pinning } = session
    if (pinning.lane !== undefined && pinning.server !== server) {
      if (!session.waitForReplies()) return false
      this.leave()
    }
    if (!pinTo(session, server)) return false
    const { lane } = pinning
    if (lane === undefined) return false
    if (lane.connection.writer.isFull) {
      session.wait = 'writable'
      return false
    }
    if (this.told !== lane) this.tell(lane)
    return true
  }

  /** Gives up the connection at hand, with nothing owed over it. */
  private leave(): void {
    const { pinning } = this.session
    // What a server queued it drops.
    if (this.told === pinning.lane) pinning.dropLane()
    pinning.reasons = 0
    pinning.release()
    pinning.add(PinReason.transaction)
    this.told = undefined
  }

  /** Gives the connection what the client was told to be queued. */
  private tell(lane: PinnedLane): void {
    const { pinning } = this.session
    this.told = lane
    pinning.add(PinReason.transaction)
    if (pinning.redirect?.isAsking === true) this.send(asking)
    this.send(multi)
    for (const { sent } of this.queue) this.send(sent)
  }

  /** Sends what the client is not to hear of. */
  private send(bytes: Buffer): void {
    this.session.replies.expect({
      isWanted: false,
      onError: (line) => {
        this.noteRefusal(line)
        return nothing
      },
      onDone: () => this.noteReply(),
    })
    this.write(bytes)
  }

  private enqueue(queued: Queued, told?: Buffer): void {
    this.remember(queued)
    this.session.replies.noteSent()
    this.expectReply(told)
    this.write(queued.sent)
  }

  /** `told`: what the client gets in place of an error. */
  private expectReply(told?: Buffer): void {
    const { last } = this
    this.owedCount += 1
    // Behind a refusal it is not for the client: the command is sent again, or answered otherwise.
    const isWanted = () => this.refusal === undefined
    this.session.replies.expect({
      get isWanted() {
        return isWanted()
      },
      onDone: () => {
        if (this.refusal !== undefined) return this.noteReply()
        this.noteAnswered(last)
      },
      onError: (line) => {
        this.noteRefusal(line)
        if (this.refusal !== undefined) return nothing
        this.noteAnswered(last)
        return told ?? line
      },
    })
  }

  private write(bytes: Buffer): void {
    const { session } = this
    session.updateSorting()
    session.pinning.lane?.enqueue(bytes)
    session.inFlight += 1
    session.inFlightBytes += bytes.length
  }

  private remember(queued: Queued): void {
    this.byteCount += queued.frame.length + queued.sent.length
    if (this.byteCount > transactionBytesMax) this.forget()
    else if (this.isWhole) this.queue.push(queued)
  }

  private forget(): void {
    this.isWhole = false
    this.queue = []
  }

  private noteAnswered(last: Last | undefined): void {
    this.owedCount -= 1
    this.answeredCount += 1
    if (last === undefined) return
    const { pinning } = this.session
    pinning.transaction = undefined
    pinning.redirect = undefined
    pinning.remove(PinReason.transaction | PinReason.watch)
    pinning.add(PinReason.once)
  }

  private noteRefusal(line: Buffer): void {
    this.refusal ??= readRefusal(line)
    this.noteReply()
  }

  /** A reply came, which `session.inFlight` still counts: after a refusal all that are owed are waited for. */
  private noteReply(): void {
    const { session } = this
    if (this.refusal === undefined) return
    session.wait = 'outside'
    // Not within what reads the connection.
    if (session.inFlight <= 1) queueMicrotask(() => this.obeyRefusal())
  }

  private obeyRefusal(): void {
    const { session, refusal } = this
    const { pinning } = session
    if (session.isClosed || pinning.transaction !== this || refusal === undefined) return
    const isWatching = pinning.has(PinReason.watch)
    pinning.dropLane()
    if (this.repeat(refusal)) return
    const isExec = this.last === 'exec'
    // Who watched is told what one is whose keys were touched: to try again.
    if (isWatching) {
      const next = isExec ? 'none' : 'transactionAfterWatch'
      this.endOwed(ownReplies.queued, emptyTransaction(session.protocol), next)
    } else this.endOwed(ownReplies.moved, ownReplies.movedAbort, isExec ? 'none' : 'transaction')
  }

  /** Puts what was not answered back to the start of the input, to be sent to another server behind the rest. */
  private repeat(refusal: Refusal): boolean {
    const { session } = this
    const { pinning } = session
    if (!this.isWhole || pinning.has(PinReason.watch) || !redirect(session, refusal)) return false
    pinning.dropLane()
    const left = this.queue.splice(this.answeredCount)
    for (const { frame, sent } of left) this.byteCount -= frame.length + sent.length
    session.replies.expectNothing()
    session.context.counters.commands -= left.length
    noteGone(session, session.inFlight)
    session.scanner.reset()
    if (left.length > 0) session.input.prepend(Buffer.concat(left.map(({ frame }) => frame)))
    this.owedCount = 0
    this.told = undefined
    this.refusal = undefined
    this.last = undefined
    return true
  }

  /** Answers all that is owed, what ends the transaction with `lastReply`, and leaves it to `broken`. */
  private endOwed(reply: Buffer, lastReply: Buffer, broken: Session['broken']): void {
    const { session, owedCount, last } = this
    session.pinning.drop()
    session.replies.expectNothing()
    noteGone(session, session.inFlight)
    session.broken = broken
    for (let left = owedCount; left > 0; left -= 1) {
      if (left > 1 || last === undefined) session.answer(reply)
      else session.answer(last === 'discard' ? ownReplies.ok : lastReply)
    }
    session.wait = 'none'
    session.context.turn.addWake(session)
  }
}
