/**
 * The connection of its own that a session has while it needs one: why it has it, how it gets it, and what it must
 * be told before it is used.
 */
import { codeOf } from '../../common/errors.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { ProtocolVersion, UpstreamConnection } from '../upstream/connection.ts'
import { PinnedLane, type PinnedOwner } from '../upstream/pinned-lane.ts'
import type { SessionContext } from './context.ts'

/** Reasons to keep it, as bits. */
export const PinReason = {
  /** For the command in flight only. */
  once: 1,
  transaction: 2,
  watch: 4,
  database: 8,
  /** State that nobody can take back: until the client closes or resets. */
  sticky: 16,
  /** Replies do not match commands one to one: bytes pass both ways and are not counted. */
  raw: 32,
  /** For the command in flight, which the server may answer much later, and not at all once its client is gone. */
  blocking: 64,
  /** Subscribed in RESP3: pushes come between the replies, which match commands one to one as ever. */
  push: 128,
  /** CLIENT TRACKING: pushes in RESP3, nothing of its own in RESP2. */
  tracking: 256,
} as const

/**
 * `overloaded`: the bound is reached; `notReady`: ask again; `timeout`: as long as a command may be held;
 * `badDatabase`: the client’s database cannot be selected.
 */
export type PinFailure = 'overloaded' | 'notReady' | 'timeout' | 'badDatabase'

export interface PinningOwner extends PinnedOwner {
  readonly protocol: ProtocolVersion
  readonly clientName: string
  database: number
  /** The connection is there, or the reason why it never will be. */
  onPinned(failure?: PinFailure): void
}

export class Pinning {
  lane: PinnedLane | undefined
  reasons = 0
  private readonly owner: PinningOwner
  private readonly context: SessionContext
  private abort: AbortController | undefined
  private isSetUp = false

  constructor(owner: PinningOwner, context: SessionContext) {
    this.owner = owner
    this.context = context
  }

  get isRaw(): boolean {
    return (this.reasons & PinReason.raw) !== 0
  }

  /** Whether the session’s commands may only go over a connection of its own. */
  get isNeeded(): boolean {
    return this.lane !== undefined || this.owner.database !== 0
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
  }

  /** The connection was told something that the next client must not inherit. */
  markSetUp(): void {
    this.isSetUp = true
  }

  /** Whether the lane is there now; if not it is being opened and `onPinned` will tell. */
  ensure(): boolean {
    if (this.lane !== undefined) return true
    if (this.abort !== undefined) return false
    const { protocol, clientName, database } = this.owner
    const needsSetUp = clientName !== '' || database !== 0
    const idle = this.context.primary.takeIdle(protocol)
    if (idle !== undefined && !needsSetUp) {
      this.adopt(idle)
      return true
    }
    this.abort = new AbortController()
    void this.open(idle, this.abort)
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
    this.context.primary.release(lane.detach(), isClean)
  }

  /** Ends the connection: what is in flight on it will never be answered. */
  drop(): void {
    this.abort?.abort()
    this.abort = undefined
    const { lane } = this
    this.lane = undefined
    this.reasons = 0
    if (lane === undefined) return
    lane.end()
    this.context.primary.release(lane.connection, false)
  }

  private adopt(connection: UpstreamConnection): void {
    this.isSetUp = false
    if (this.owner.database !== 0) this.add(PinReason.database)
    this.lane = new PinnedLane(connection, this.owner, this.context.turn)
  }

  private async open(idle: UpstreamConnection | undefined, abort: AbortController): Promise<void> {
    const { primary } = this.context
    let connection: UpstreamConnection | undefined = idle
    let failure: PinFailure | undefined
    const patience = AbortSignal.timeout(this.context.timing.holdTimeoutMs)
    const signal = AbortSignal.any([abort.signal, patience])
    try {
      connection ??= await primary.openPinned(this.owner.protocol, signal)
      if (!abort.signal.aborted) failure = await this.setUp(connection)
    } catch (error) {
      const waited = patience.aborted ? 'timeout' : 'notReady'
      failure = codeOf(error) === 'RM_OVERLOADED' ? 'overloaded' : waited
    }
    const isWanted = this.abort === abort && !abort.signal.aborted
    if (connection !== undefined && (!isWanted || failure !== undefined)) {
      primary.release(connection, false)
    }
    if (!isWanted) return
    this.abort = undefined
    if (connection !== undefined && failure === undefined) {
      const { isSetUp } = this
      this.adopt(connection)
      this.isSetUp = isSetUp
    }
    this.owner.onPinned(failure)
  }

  /** Makes the connection what the client believes it has. @throws UpstreamError RM_UPSTREAM_LOST */
  private async setUp(connection: UpstreamConnection): Promise<'badDatabase' | undefined> {
    const { clientName, database } = this.owner
    const commands = [
      ...(clientName === '' ? [] : [['CLIENT', 'SETNAME', clientName]]),
      ...(database === 0 ? [] : [['SELECT', String(database)]]),
    ]
    this.isSetUp = commands.length > 0
    if (!this.isSetUp) return undefined
    const replies = await connection.ask(
      Buffer.concat(commands.map(encodeCommand)),
      commands.length,
    )
    const select = replies.at(-1)
    return database !== 0 && select?.kind === 'error' ? 'badDatabase' : undefined
  }
}
