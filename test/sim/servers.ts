/**
 * Model of Redis servers as far as failover can tell: processes with run-ids, replication histories and offsets,
 * partial and full synchronisation, crashes with and without data. One write is ten bytes of history.
 */
import type { ServerFacts } from '../../operator/controller/observation.ts'
import type { Random } from './random.ts'

export const writeBytes = 10
const none = '0'.repeat(40)

export interface ModelProcess {
  readonly runId: string
  role: 'primary' | 'replica'
  replId: string
  replId2: string
  secondReplOffset: number
  /** Writes in order; the data set is the same. */
  log: readonly number[]
  /** Bytes before the first entry of the log, after a restart without its history. */
  base: number
  source: { host: string; port: number } | undefined
  isLinkUp: boolean
  lastIoMs: number
  syncStepsLeft: number
}

export class ModelServer {
  readonly host: string
  readonly port: number
  readonly address: string
  process: ModelProcess | undefined
  /** What a restart finds on disk. */
  disk: readonly number[] = []
  private readonly random: Random

  constructor(host: string, port: number, random: Random) {
    this.host = host
    this.port = port
    this.address = `${host}:${port}`
    this.random = random
  }

  start(source: { host: string; port: number } | undefined, log: readonly number[]): void {
    this.process = {
      runId: this.random.id(),
      role: source === undefined ? 'primary' : 'replica',
      replId: this.random.id(),
      replId2: none,
      secondReplOffset: -1,
      log,
      base: -log.length * writeBytes,
      source,
      isLinkUp: false,
      lastIoMs: 0,
      syncStepsLeft: 0,
    }
  }

  crash(keepsData: boolean): void {
    this.disk = keepsData ? (this.process?.log ?? this.disk) : []
    this.process = undefined
  }

  promote(): void {
    const own = this.process
    if (own === undefined || own.role === 'primary') return
    own.role = 'primary'
    own.replId2 = own.replId
    own.secondReplOffset = offsetOf(own) + 1
    own.replId = this.random.id()
    own.source = undefined
    own.isLinkUp = false
    own.syncStepsLeft = 0
  }

  follow(source: { host: string; port: number }): void {
    const own = this.process
    if (own === undefined) return
    if (own.source?.host === source.host && own.source.port === source.port) return
    own.role = 'replica'
    own.source = { ...source }
    own.isLinkUp = false
    own.syncStepsLeft = 0
  }

  facts(nowMs: number): ServerFacts | undefined {
    const own = this.process
    if (own === undefined) return undefined
    return {
      role: own.role,
      runId: own.runId,
      version: 'model',
      replId: own.replId,
      replId2: own.replId2,
      secondReplOffset: own.secondReplOffset,
      offset: offsetOf(own),
      ...(own.source && { source: own.source }),
      isLinkUp: own.isLinkUp,
      lastIoSeconds: own.isLinkUp ? Math.floor((nowMs - own.lastIoMs) / 1000) : -1,
      isLoading: false,
      isSyncing: own.syncStepsLeft > 0,
      keyCount: own.log.length,
      priority: 100,
      connectedReplicas: 0,
    }
  }
}

export function offsetOf(process: ModelProcess): number {
  return process.base + process.log.length * writeBytes
}

export interface Link {
  readonly source: ModelServer | undefined
  readonly isCut: boolean
  readonly nowMs: number
  readonly random: Random
}

/** One step of replication of `replica` from whoever is at the address it follows. */
export function replicate(replica: ModelServer, { source, isCut, nowMs, random }: Link): void {
  const own = replica.process
  if (own === undefined || own.role !== 'replica') return
  const from = source?.process
  if (from === undefined || source === replica) {
    own.isLinkUp = false
    own.syncStepsLeft = 0
    return
  }
  // A cut link looks up until the server's own timeout; a new one does not come about.
  if (isCut) {
    if (random.chance(0.03)) own.isLinkUp = false
    return
  }
  if (from.role === 'replica' && !from.isLinkUp) {
    own.isLinkUp = false
    return
  }
  if (own.isLinkUp && own.replId === from.replId) {
    const behind = from.log.length - own.log.length
    own.log = from.log.slice(0, own.log.length + random.below(behind + 1))
    own.lastIoMs = nowMs
    return
  }
  own.isLinkUp = false
  if (canContinue(own, from)) adopt(own, from, nowMs)
  else fullSync(own, from, nowMs)
}

function canContinue(own: ModelProcess, from: ModelProcess): boolean {
  if (own.replId === from.replId) return offsetOf(own) <= offsetOf(from)
  return own.replId === from.replId2 && offsetOf(own) < from.secondReplOffset
}

function fullSync(own: ModelProcess, from: ModelProcess, nowMs: number): void {
  if (own.syncStepsLeft === 0) own.syncStepsLeft = 3
  else if (own.syncStepsLeft === 1) adopt(own, from, nowMs)
  else own.syncStepsLeft -= 1
}

function adopt(own: ModelProcess, from: ModelProcess, nowMs: number): void {
  own.replId = from.replId
  own.replId2 = from.replId2
  own.secondReplOffset = from.secondReplOffset
  if (own.base !== from.base || own.syncStepsLeft > 0) own.log = from.log
  own.base = from.base
  own.isLinkUp = true
  own.lastIoMs = nowMs
  own.syncStepsLeft = 0
}
