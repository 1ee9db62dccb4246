/**
 * Tells clients that asked for it (CLIENT MAINT_NOTIFICATIONS, in RESP3) when commands may take longer than usual and
 * when that is over, and when they have to connect again.
 *
 * What is told follows from the state of this moment and from what a client was told before: one that could not be told
 * in time of something that is over by now hears of neither. A notice never goes into the middle of a reply, to a client
 * that does not read, or over a connection whose bytes pass unread; it waits until it may.
 */
import type { Clock } from '../../common/clock.ts'
import {
  maintenanceBatchCount,
  maintenanceRetryMs,
  movingGraceMs,
  movingTtlSeconds,
  shardMissingMs,
} from '../../common/limits.ts'
import type { Backend } from '../route/backend.ts'
import type { SessionContext } from '../session/context.ts'
import type { Session } from '../session/session.ts'
import { type EndpointType, encodeMoving, encodeState, endpointFor } from './notices.ts'

interface Taker {
  readonly session: Session
  endpoint: EndpointType
  isTold: Record<Kind, boolean>
  /** Was told to connect again. */
  isMoving: boolean
}

type Kind = 'migrating' | 'failingOver'

const words = {
  migrating: { begin: 'MIGRATING', end: 'MIGRATED' },
  failingOver: { begin: 'FAILING_OVER', end: 'FAILED_OVER' },
} as const
const kinds = ['failingOver', 'migrating'] as const

export interface MaintenanceModules {
  readonly clock: Clock
  /** Undefined until there is a configuration. */
  readonly context: () => SessionContext | undefined
}

export class Maintenance {
  private readonly modules: MaintenanceModules
  private readonly takers = new Map<Session, Taker>()
  /** Those who may not know yet what is so. */
  private readonly pending = new Set<Taker>()
  private readonly isTrue: Record<Kind, boolean> = { migrating: false, failingOver: false }
  private sequence = 0
  /** The one that was in use when it was last seen well. */
  private primaryAddress: string | undefined
  /** When every shard of a cluster was last well, monotonic; 0: never. */
  private lastWholeMs = 0
  private isMoving = false
  private timer: NodeJS.Timeout | undefined
  private immediate: NodeJS.Immediate | undefined

  constructor(modules: MaintenanceModules) {
    this.modules = modules
  }

  /** Clients that asked. */
  get clientCount(): number {
    return this.takers.size
  }

  /** `session` wants to be told from now on, or wants another kind of address. */
  tell(session: Session, endpoint: EndpointType): void {
    const known = this.takers.get(session)
    if (known !== undefined) {
      known.endpoint = endpoint
      return
    }
    const isTold = { migrating: false, failingOver: false }
    const taker = { session, endpoint, isTold, isMoving: false }
    this.takers.set(session, taker)
    if (this.isMoving || this.isTrue.migrating || this.isTrue.failingOver) this.add(taker)
  }

  /** It wants to be told no more, or is gone. */
  forget(session: Session): void {
    const taker = this.takers.get(session)
    if (taker === undefined) return
    this.takers.delete(session)
    this.pending.delete(taker)
  }

  /** Something may have changed: looks, and tells those who have to know. */
  look(): void {
    const context = this.modules.context()
    if (context === undefined || this.isMoving) return
    const isFailingOver = this.isFailingOver(context)
    this.set('migrating', context.isPaused)
    // Within a pause the primary may be exchanged on purpose: of that they know.
    this.set('failingOver', isFailingOver && (this.isTrue.failingOver || !context.isPaused))
  }

  /**
   * Has clients connect again, for a bounded time in which their commands are still served. Resolves when all know and
   * those that had to be waited for have had their time; gives how long that took, milliseconds.
   */
  async move(timeoutMs: number): Promise<number> {
    const { clock } = this.modules
    if (this.takers.size === 0) return 0
    this.isMoving = true
    this.sequence += 1
    const start = clock.monotonicMs()
    for (const taker of this.takers.values()) this.add(taker)
    const graceMs = Math.min(movingGraceMs, timeoutMs)
    while (this.hasMovers() && clock.monotonicMs() - start < graceMs) {
      await new Promise((resolve) => {
        setTimeout(resolve, Math.min(maintenanceRetryMs, graceMs))
      })
    }
    this.stop()
    return clock.monotonicMs() - start
  }

  stop(): void {
    clearTimeout(this.timer)
    clearImmediate(this.immediate)
    this.timer = undefined
    this.immediate = undefined
    this.pending.clear()
  }

  private hasMovers(): boolean {
    for (const { session, endpoint } of this.takers.values()) {
      const canBeTold = session.protocol === 3 && canMove(session)
      if (canBeTold && endpointFor(endpoint, session.socket) !== undefined) return true
    }
    return false
  }

  /** Whether a primary was withdrawn or is another one, and the present one is not well. */
  private isFailingOver(context: SessionContext): boolean {
    const { backend, hasPrimary, primary } = context
    if (backend?.kind === 'cluster') return this.lacksShard(backend.shards)
    if (backend?.kind === 'ring') return false
    const isWell = hasPrimary && primary.view === 'ok'
    if (isWell) this.primaryAddress = primary.address
    if (isWell || this.primaryAddress === undefined) return false
    const isReplaced = !hasPrimary || primary.address !== this.primaryAddress
    return isReplaced || this.isTrue.failingOver
  }

  /**
   * Whether a cluster that was whole has had a shard without a primary for a while: less is what a restart of a
   * connection takes, and a shard that is only just learnt.
   */
  private lacksShard(shards: Backend['shards']): boolean {
    const now = this.modules.clock.monotonicMs()
    const isWhole = shards.length > 0 && shards.every(({ primary }) => primary.view === 'ok')
    if (isWhole) this.lastWholeMs = now
    return now - this.lastWholeMs >= shardMissingMs && this.lastWholeMs > 0
  }

  private set(kind: Kind, isTrue: boolean): void {
    if (this.isTrue[kind] === isTrue) return
    this.isTrue[kind] = isTrue
    this.sequence += 1
    for (const taker of this.takers.values()) this.add(taker)
  }

  private add(taker: Taker): void {
    this.pending.add(taker)
    this.immediate ??= setImmediate(() => this.flush())
  }

  /** Tells some of those who wait; the others, and those who cannot be told now, later. */
  private flush(): void {
    this.immediate = undefined
    clearTimeout(this.timer)
    this.timer = undefined
    let count = 0
    for (const taker of this.pending) {
      if (count === maintenanceBatchCount) {
        this.immediate = setImmediate(() => this.flush())
        return
      }
      count += 1
      if (!mayTake(taker.session)) continue
      this.pending.delete(taker)
      this.write(taker)
    }
    if (this.pending.size === 0) return
    this.timer = setTimeout(() => this.flush(), maintenanceRetryMs).unref()
  }

  private write(taker: Taker): void {
    const { session, isTold } = taker
    if (session.protocol !== 3 || session.isClosing || session.isClosed) return
    if (this.isMoving) return this.writeMoving(taker)
    const { timing } = session.context
    const ttlSeconds = Math.max(1, Math.ceil(timing.holdTimeoutMs / 1000))
    for (const kind of kinds) {
      if (isTold[kind] === this.isTrue[kind]) continue
      isTold[kind] = this.isTrue[kind]
      const word = words[kind][isTold[kind] ? 'begin' : 'end']
      this.push(session, encodeState(word, this.sequence, ttlSeconds))
    }
  }

  private writeMoving(taker: Taker): void {
    const { session, endpoint } = taker
    const target = endpointFor(endpoint, session.socket)
    if (taker.isMoving || target === undefined || !canMove(session)) return
    taker.isMoving = true
    // One that knows the address by itself waits for half of the time before it connects.
    this.push(session, encodeMoving(this.sequence, target === null ? 1 : movingTtlSeconds, target))
  }

  private push(session: Session, bytes: Buffer): void {
    session.context.counters.maintenanceNotices += 1
    session.output.push(bytes)
  }
}

/** Whether something may stand now between what the client was sent and what it will be. */
function mayTake(session: Session): boolean {
  const { order, output, pinning, sharedLane } = session
  if (output.isBlocked || pinning.isRaw || pinning.isMidReply) return false
  return sharedLane?.isMidReplyOf(session) !== true && order?.isMidReply !== true
}

/**
 * Whether a library that connects again at our word makes the new connection what this one is. Some give it neither
 * the database nor the subscriptions, which they do for one that was closed.
 */
function canMove({ database, state, subscriber }: Session): boolean {
  return database === 0 && !subscriber.isListening && state.linkedCount === 0
}
