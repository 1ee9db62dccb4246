/**
 * The connection of its own that a session has while it needs one: why it has it, how it gets it, and what it must
 * be told before it is used.
 */
import { codeOf } from '../../common/errors.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { ProtocolVersion, UpstreamConnection } from '../upstream/connection.ts'
import { PinnedLane, type PinnedOwner } from '../upstream/pinned-lane.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import { isBusy } from '../upstream/target.ts'
import type { BlockedCommand } from './command-again.ts'
import type { ConnectionState } from './connection-state.ts'
import type { Redirect } from './cluster/redirects.ts'
import type { ShardTransaction } from './cluster/shard-transaction.ts'
import { isSharded } from './cluster/sharded.ts'
import type { SessionContext } from './context.ts'
import type { Subscriber } from './subscriber.ts'

/** Reasons to keep it, as bits. */
export const PinReason = {
  /** For the command in flight only. */
  once: 1,
  transaction: 2,
  watch: 4,
  database: 8,
  /** State that is not followed, so that no other connection can be given it: until the client closes or resets. */
  sticky: 16,
  /** Replies do not match commands one to one: bytes pass both ways and are not counted. */
  raw: 32,
  /** For the command in flight, which the server may answer much later, and not at all once its client is gone. */
  blocking: 64,
  /** Subscribed: messages come between the replies. */
  subscribed: 128,
  /** CLIENT TRACKING: pushes in RESP3, nothing of its own in RESP2. */
  tracking: 256,
  /** State that another connection can be given, until the client takes it back. */
  flags: 512,
} as const

/**
 * `overloaded`: the bound is reached; `notReady`: ask again; `timeout`: as long as a command may be held;
 * `busy`: the server runs a script; `badDatabase`: the client’s database cannot be selected; `badState`: the server refuses what the client had.
 */
export type PinFailure = 'overloaded' | 'notReady' | 'timeout' | 'busy' | 'badDatabase' | 'badState'

export interface PinningOwner extends PinnedOwner {
  readonly protocol: ProtocolVersion
  readonly clientName: string
  readonly database: number
  readonly state: ConnectionState
  readonly subscriber: Subscriber
  /** Has the lane, if there is one, tell apart what the session must. */
  updateSorting(): void
  /** The connection is there, or the reason why it never will be. */
  onPinned(failure?: PinFailure): void
}

export class Pinning {
  lane: PinnedLane | undefined
  /** Whose connection it has, or is being opened. */
  server: ServerConnections
  /** The open transaction where there are several servers, as far as they have to be told of it again. */
  transaction: ShardTransaction | undefined
  /** Where a server said that the command at the start of the input is to go. */
  redirect: Redirect | undefined
  /** The command that waits at the server. */
  blocked: BlockedCommand | undefined
  reasons = 0
  /** Where there are several servers: of the keys that were watched last. */
  watchedHash = -1
  private readonly owner: PinningOwner
  private readonly context: SessionContext
  private abort: AbortController | undefined
  /** Whether its connection was lost and the session cannot go on without one. */
  isMissed = false
  /** Ends when the connection that is being opened is there or never will be. */
  opening: Promise<void> | undefined
  private isSetUp = false
  /** A connection that is being given what the session had. */
  private candidate: PinnedLane | undefined

  constructor(owner: PinningOwner, context: SessionContext) {
    this.owner = owner
    this.context = context
    this.server = context.primary
  }

  get isRaw(): boolean {
    return (this.reasons & PinReason.raw) !== 0
  }

  /** Whether the sidecar is paused for the session; while a pause begins, an open transaction may be ended. */
  get isHeld(): boolean {
    const { isPaused, isFinishing } = this.context
    return isPaused && !(isFinishing && this.has(PinReason.transaction) && !this.isRaw)
  }

  /** Whether the session’s commands may only go over a connection of its own. */
  get isNeeded(): boolean {
    const { primary } = this.context
    const isOwn = this.lane !== undefined || this.isPerClient || primary.prefersOwn
    return isOwn || this.owner.database !== 0 || this.isMissed
  }

  /** Whether something was begun over its connection that cannot go on over another. */
  get isBound(): boolean {
    return this.has(PinReason.transaction | PinReason.watch | PinReason.raw)
  }

  /** Whether the session has a connection that nothing speaks for keeping. */
  get isSpare(): boolean {
    return this.lane !== undefined && this.reasons === 0 && !this.isPerClient
  }

  /** With several servers a client has a connection of its own only while it needs one. */
  private get isPerClient(): boolean {
    return this.context.isPerClient && !isSharded(this.context)
  }

  /** Whether the client has a part of something and not its end. */
  get isMidReply(): boolean {
    return (this.lane ?? this.candidate)?.isMidReply === true
  }

  /** Whether a command was sent that may wait at the server. */
  get isBlocking(): boolean {
    return (this.reasons & PinReason.blocking) !== 0
  }

  has(reason: number): boolean {
    return (this.reasons & reason) !== 0
  }

  add(reason: number): void {
    this.reasons |= reason
  }

  remove(reason: number): void {
    this.reasons &= ~reason
    if (!this.isBlocking) this.blocked = undefined
  }

  /** The connection was told something that the next client must not inherit. */
  markSetUp(): void {
    this.isSetUp = true
  }

  /** Whether the lane is there now; if not it is being opened and `onPinned` will tell. */
  ensure(server = this.context.primary): boolean {
    if (this.lane !== undefined) return true
    if (this.abort !== undefined && this.server === server) return false
    this.abort?.abort()
    this.abort = undefined
    this.server = server
    const idle = server.takeIdle(this.owner.protocol)
    if (idle !== undefined && !this.needsSetUp) {
      this.adopt(new PinnedLane(idle, this.owner, this.context.turn), false)
      return true
    }
    this.abort = new AbortController()
    this.opening = this.open(idle, this.abort)
    return false
  }

  /** Gives the lane back, to be used by another client when it holds nothing of this one. */
  release(): void {
    const { lane } = this
    this.abort?.abort()
    this.abort = undefined
    if (lane === undefined) return
    const isClean = this.reasons === 0 && !this.isSetUp && !lane.isMidReply
    this.lane = undefined
    this.reasons = 0
    this.server.release(lane.detach(), isClean)
  }

  /** Ends the connection: what is in flight on it will never be answered. */
  drop(): void {
    this.abort?.abort()
    this.abort = undefined
    this.dropCandidate()
    const { lane } = this
    this.lane = undefined
    this.isMissed = false
    this.blocked = undefined
    this.reasons = 0
    this.transaction = undefined
    this.redirect = undefined
    if (lane === undefined) return
    lane.end()
    this.server.release(lane.connection, false)
  }

  /** Ends the connection, and keeps what it was for: another is to take its place. */
  dropLane(): void {
    const { lane } = this
    this.lane = undefined
    if (lane === undefined) return
    lane.end()
    this.server.release(lane.connection, false)
  }

  private get needsSetUp(): boolean {
    const { clientName, database, state } = this.owner
    const isNamed = clientName !== '' || (this.isPerClient && state.libraryName !== '')
    return isNamed || database !== 0 || state.isHeld
  }

  private adopt(lane: PinnedLane, isSetUp: boolean): void {
    const { database, state } = this.owner
    this.isSetUp = isSetUp
    this.isMissed = false
    this.lane = lane
    if (database !== 0) this.add(PinReason.database)
    if (state.hasFlags) this.add(PinReason.flags)
    if (state.tracking !== undefined) this.add(PinReason.tracking)
    if (state.isMonitoring) this.add(PinReason.raw)
    if (this.owner.subscriber.isListening) this.add(PinReason.subscribed)
    this.owner.updateSorting()
  }

  private async open(idle: UpstreamConnection | undefined, abort: AbortController): Promise<void> {
    const { turn, timing } = this.context
    const { server } = this
    let lane: PinnedLane | undefined
    let failure: PinFailure | undefined
    const patience = AbortSignal.timeout(timing.holdTimeoutMs)
    const signal = AbortSignal.any([abort.signal, patience])
    try {
      const connection = idle ?? (await server.openPinned(this.owner.protocol, signal))
      lane = new PinnedLane(connection, this.owner, turn)
      if (!abort.signal.aborted) failure = await this.setUp(lane)
    } catch (error) {
      const waited = patience.aborted ? 'timeout' : 'notReady'
      const other = isBusy(error) ? 'busy' : waited
      failure = codeOf(error) === 'RM_OVERLOADED' ? 'overloaded' : other
    }
    const isWanted = this.abort === abort && !abort.signal.aborted
    if (lane !== undefined && (!isWanted || failure !== undefined)) {
      lane.end()
      server.release(lane.connection, false)
    }
    if (!isWanted) return
    this.abort = undefined
    this.candidate = undefined
    if (lane !== undefined && failure === undefined) this.adopt(lane, this.needsSetUp)
    this.owner.onPinned(failure)
  }

  /** Makes the connection what the client believes it has. @throws UpstreamError RM_UPSTREAM_LOST */
  private async setUp(lane: PinnedLane): Promise<PinFailure | undefined> {
    if (!this.needsSetUp) return undefined
    const { clientName, database, state, subscriber } = this.owner
    this.candidate = lane
    const commands = [
      ...(clientName === '' ? [] : [['CLIENT', 'SETNAME', clientName]]),
      ...(database === 0 ? [] : [['SELECT', String(database)]]),
      ...state.commands(),
    ]
    if (commands.length > 0) {
      const request = Buffer.concat(commands.map(encodeCommand))
      const replies = await lane.connection.ask(request, commands.length)
      for (const [index, reply] of replies.entries()) {
        const [name, what] = commands[index] ?? []
        if (reply.kind !== 'error') continue
        if (reply.text.startsWith('BUSY ')) return 'busy'
        if (name === 'SELECT') return 'badDatabase'
        if (what === 'TRACKING') return 'badState'
      }
    }
    if (state.subscriptions.count > 0) {
      lane.sorting = this.owner.protocol === 3 ? 'pushes' : 'arrays'
      await subscriber.restore(lane)
    }
    if (!state.isMonitoring) return undefined
    const [reply] = await lane.connection.ask(encodeCommand(['MONITOR']), 1)
    return reply?.kind === 'error' ? 'badState' : undefined
  }

  private dropCandidate(): void {
    const { candidate } = this
    this.candidate = undefined
    if (candidate === undefined) return
    candidate.end()
    this.owner.subscriber.loseRestoring()
  }
}
