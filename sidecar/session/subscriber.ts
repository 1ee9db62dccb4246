/**
 * A session’s subscriptions. One command about them is under way at a time: it is over when all its confirmations
 * have come, or an error. What the server confirmed is remembered, so that another connection can be subscribed to
 * the same: its confirmations are kept from the client. A command that was under way when the connection ended is
 * sent again, less what was confirmed; both subscribing and unsubscribing may be done twice.
 */
import { UpstreamError } from '../../common/errors.ts'
import { decodeReply } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { frameArguments } from '../resp/arguments.ts'
import type { PinnedLane } from '../upstream/pinned-lane.ts'
import { ShardSubscriber } from './cluster/shard-subscriber.ts'
import { isSharded } from './cluster/sharded.ts'
import { noteReplies } from './flow.ts'
import { pin } from './lanes.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { type SpecialCommand, forwardPinned, isInTransaction } from './special.ts'
import { type SubscriptionKind, subscriptionKinds } from './subscriptions.ts'

interface Pending {
  readonly name: string
  /** The command as it came. */
  readonly frame: Buffer
  confirmedCount: number
  awaitedCount: number
}

interface Restoring {
  awaitedCount: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Subscriber {
  private readonly session: Session
  private pending: Pending | undefined
  private restoring: Restoring | undefined
  /** Where there are several servers. */
  links: ShardSubscriber | undefined

  constructor(session: Session) {
    this.session = session
  }

  get isPending(): boolean {
    return this.pending !== undefined
  }

  /** Whether an array of the server’s may be a message. */
  get isListening(): boolean {
    return this.pending !== undefined || this.session.state.subscriptions.count > 0
  }

  /** Whether the server takes nothing but a few commands of this client. */
  get isConfined(): boolean {
    const { protocol, state } = this.session
    return protocol === 2 && (state.subscriptions.count > 0 || state.linkedCount > 0)
  }

  /** Whether confirmations, or a refusal, cannot be told from replies to what follows. */
  get isAmbiguous(): boolean {
    const { pinning, protocol, context } = this.session
    if (!pinning.has(PinReason.subscribed)) return false
    return protocol === 2 || context.upstream.writes !== undefined
  }

  /** Sends SUBSCRIBE, UNSUBSCRIBE or one of their kin. */
  send(command: SpecialCommand): void {
    const { session } = this
    if (isSharded(session.context)) {
      this.links ??= new ShardSubscriber(session)
      return this.links.send(command)
    }
    const { name, argumentCount, end } = command
    const isAdding = !name.includes('UNSUB')
    const isWrong = isAdding && argumentCount === 1
    if (isInTransaction(session) && !isWrong) {
      // What EXEC will answer fits no rule of RESP.
      if (session.protocol === 3) return forwardPinned(session, command, PinReason.sticky)
      return forwardPinned(session, command, PinReason.raw)
    }
    if (isWrong || session.holdError !== undefined) return void session.forwardRun(end, 1)
    if (!pin(session)) return
    const { input, pinning } = session
    const frame = Buffer.from(input.bytes.subarray(input.start, end))
    const awaitedCount =
      argumentCount > 1 ? argumentCount - 1 : session.state.subscriptions.countOf(kindOf(name))
    pinning.add(PinReason.subscribed)
    this.pending = { name, frame, confirmedCount: 0, awaitedCount: Math.max(1, awaitedCount) }
    session.updateSorting()
    if (session.forwardRun(end, 1)) return
    this.pending = undefined
    this.end()
  }

  take(frame: Buffer): void {
    const { session, pending, restoring } = this
    if (restoring !== undefined) {
      restoring.awaitedCount -= 1
      if (restoring.awaitedCount === 0) this.endRestoring()
      return
    }
    this.note(frame)
    session.onMessage(frame)
    if (pending === undefined) return this.end()
    pending.confirmedCount += 1
    pending.awaitedCount -= 1
    if (pending.awaitedCount > 0) return
    this.pending = undefined
    this.end()
    noteReplies(session, frame.length, 1)
  }

  /**
   * A reply came that is no confirmation: the command under way, if there is one, was refused. False when it was
   * the sidecar’s own.
   */
  takeReply(): boolean {
    if (this.restoring !== undefined) {
      this.endRestoring(refused())
      return false
    }
    this.pending = undefined
    this.end()
    return true
  }

  /** Subscribes `lane` to all that this client is subscribed to. @throws UpstreamError RM_UPSTREAM_LOST */
  restore(lane: PinnedLane): Promise<void> {
    const { subscriptions } = this.session.state
    if (subscriptions.count === 0) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.session.pinning.add(PinReason.subscribed)
    this.restoring = { awaitedCount: subscriptions.count, resolve, reject }
    for (const command of subscriptions.commands()) lane.enqueue(command)
    return promise
  }

  /** The connection that was being restored has ended. */
  loseRestoring(): void {
    this.endRestoring(refused())
  }

  /** Sends the rest of the command that was under way when the connection ended. */
  repeat(lane: PinnedLane): void {
    const { pending } = this
    if (pending === undefined) return
    const names = frameArguments(pending.frame, 0, Number.POSITIVE_INFINITY).slice(1)
    const left = names.slice(pending.confirmedCount)
    lane.enqueue(encodeCommand([pending.name, ...left]))
  }

  clear(): void {
    this.links?.clear()
    this.pending = undefined
    this.loseRestoring()
  }

  private note(frame: Buffer): void {
    const reply = decodeReply(frame)
    const [word, name, total] = reply?.kind === 'list' ? reply.items : []
    if (word?.kind !== 'text' || total?.kind !== 'number') return
    const kind = kindOf(word.text.toUpperCase())
    const isAdded = !word.text.includes('unsub')
    const text = name?.kind === 'text' ? name.text : undefined
    this.session.state.subscriptions.note(kind, isAdded, text, total.value)
  }

  private end(): void {
    if (this.isListening) return
    this.session.pinning.remove(PinReason.subscribed)
    this.session.updateSorting()
  }

  private endRestoring(error?: Error): void {
    const { restoring } = this
    this.restoring = undefined
    if (error === undefined) restoring?.resolve()
    else restoring?.reject(error)
  }
}

/** Of the name of any command about them, in upper case. */
function kindOf(name: string): SubscriptionKind {
  const kind = name.replace('UNSUB', 'SUB')
  return subscriptionKinds.find((known) => known === kind) ?? 'SUBSCRIBE'
}

function refused(): UpstreamError {
  return new UpstreamError('RM_UPSTREAM_LOST', 'the subscriptions could not be made again')
}
