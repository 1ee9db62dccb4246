/** Whether another client may come, and which of those that are here have to go: for memory or for idleness. */
import type { Limits, Timing } from '../../common/contract/proxy-config.ts'
import {
  filesReservedMax,
  filesReservedMin,
  idleLooks,
  slowSubscriberLookMs,
  slowSubscriberMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { encodeError } from '../resp/encode.ts'
import type { Session } from '../session/session.ts'
import { PinReason } from '../session/pinning.ts'
import { type MemoryHolder, MemoryGuard } from './memory-guard.ts'
import type { ProcessBounds } from './process-bounds.ts'

export const tooManyClients = encodeError('ERR max number of clients reached')
const outOfMemory = encodeError(
  'PROXY RM_OVERLOADED the sidecar is short of memory; try again later',
)

export interface GuardModules {
  readonly sessions: ReadonlySet<Session>
  readonly counters: DataPlaneCounters
  readonly bounds: ProcessBounds
  readonly log: Log
}

interface Seen {
  readonly bytes: number
  readonly looks: number
}

export class ClientGuard {
  private readonly modules: GuardModules
  private readonly memory: MemoryGuard
  /** What clients had sent at the last look, while idle ones are closed. */
  private readonly seen = new WeakMap<Session, Seen>()
  private lastIdleLookMs = 0
  /** Since when subscribers have left more unread than they may. */
  private blockedSince = new Map<Session, number>()
  private lastSlowLookMs = 0

  constructor(modules: GuardModules) {
    this.modules = modules
    this.memory = new MemoryGuard({
      holders: () => this.holders(),
      residentBytes: () => process.memoryUsage.rss(),
      liveBytes,
      collect: collectGarbage,
    })
  }

  /** What a new client is told instead of being taken. */
  refusal(limits: Limits): Buffer | undefined {
    const { sessions, bounds } = this.modules
    if (this.memory.isFull) return outOfMemory
    const clientsMax = Math.min(limits.clientsMax, clientsOf(bounds.filesMax))
    return sessions.size >= clientsMax ? tooManyClients : undefined
  }

  /** Called at intervals. */
  tick(nowMs: number, limits: Limits, timing: Timing): void {
    const bytesMax = limits.memoryBytesMax ?? this.modules.bounds.memoryBytesMax
    if (bytesMax !== undefined) this.memory.tick(nowMs, bytesMax)
    if (nowMs - this.lastSlowLookMs >= slowSubscriberLookMs) this.lookSlow(nowMs)
    const idleMs = timing.clientIdleTimeoutMs ?? 0
    if (idleMs === 0 || nowMs - this.lastIdleLookMs < idleMs / idleLooks) return
    this.lastIdleLookMs = nowMs
    for (const session of this.modules.sessions) this.lookIdle(session)
  }

  private lookIdle(session: Session): void {
    const bytes = session.patience.bytesReceived
    const before = this.seen.get(session)
    const isIdle = before?.bytes === bytes && !isWaiting(session)
    const looks = isIdle ? before.looks + 1 : 0
    if (looks > idleLooks) session.cutFor('clientsCutIdle')
    else this.seen.set(session, { bytes, looks })
  }

  /** Ends who subscribed and does not read, as a server does: nothing of it is held back there for ever. */
  private lookSlow(nowMs: number): void {
    this.lastSlowLookMs = nowMs
    const before = this.blockedSince
    this.blockedSince = new Map()
    for (const session of this.modules.sessions) {
      if (!session.isOutputBlocked || !session.state.isStanding) continue
      const sinceMs = before.get(session) ?? nowMs
      if (nowMs - sinceMs < slowSubscriberMs) this.blockedSince.set(session, sinceMs)
      else session.cut()
    }
  }

  private *holders(): Iterable<MemoryHolder> {
    const { sessions, log } = this.modules
    for (const session of sessions) {
      const heldBytes = heldBytesOf(session)
      yield {
        heldBytes,
        cutForMemory: () => {
          const client = session.address
          log.warn({ client, heldBytes }, 'memory is short; the client that holds most was cut')
          session.cutFor('clientsCutMemory')
        },
      }
    }
  }
}

/** A client that waits for the server, or listens to it, is not idle. */
function isWaiting(session: Session): boolean {
  return session.inFlight > 0 || session.input.length > 0 || isListening(session)
}

function isListening({ pinning, state }: Session): boolean {
  return state.isStanding || pinning.has(PinReason.raw)
}

function heldBytesOf({ input, output, order, pinning }: Session): number {
  const heldBytes = (order?.heldBytes ?? 0) + (pinning.lane?.backlogBytes ?? 0)
  return input.length + output.backlogBytes + heldBytes
}

/** Some files are left for servers and for the sidecar itself. */
function clientsOf(filesMax: number | undefined): number {
  if (filesMax === undefined) return Number.POSITIVE_INFINITY
  const share = Math.floor(filesMax / 8)
  const reserved = Math.min(filesReservedMax, Math.max(filesReservedMin, share))
  return Math.max(1, filesMax - reserved)
}

function liveBytes(): number {
  const { heapTotal, external } = process.memoryUsage()
  return heapTotal + external
}

let collect: (() => void) | undefined

function collectGarbage(): void {
  if (collect === undefined) {
    process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc')
    collect = process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void
  }
  collect()
}
