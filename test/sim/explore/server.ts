/**
 * Servers as far as failover can tell, after what Redis 7 does: replication histories and offsets, partial and full
 * synchronisation, parking, replication users, min-replicas-to-write, CLIENT PAUSE, restarts from what is on disk.
 */
import type { GuardFacts, ServerFacts } from '../../../operator/controller/observation.ts'
import { parkSource } from '../../../operator/controller/observation.ts'
import { carries, carriesBoth, hostOf, newId, note, port } from './nodes.ts'
import type { Disk, Process, Server, SourceRef, World } from './types.ts'

export const entryBytes = 10
const noHistory = '0'.repeat(40)
/** A replica counts for so long after it was last heard, at the worst: whole seconds, and a look each second. */
export const maxLagSeconds = 2
const goodForMs = maxLagSeconds * 1000 + 2000

export const emptyDisk: Disk = { log: [], replId: '', offset: 0 }

export function offsetOf(process: Process): number {
  return process.base + process.log.length * entryBytes
}

export function diskOf(process: Process | undefined, disk: Disk): Disk {
  if (process === undefined) return disk
  // Of a synchronisation that was not finished nothing is left but what was there before it.
  const { log, isPrimary, hasBacklog, hasPosition } = process
  // Nor of a history that nobody else could be in.
  if (isPrimary ? !hasBacklog : !hasPosition) return { log, replId: '', offset: 0 }
  return { log, replId: process.replId, offset: offsetOf(process) }
}

/** Starts a process with what is on disk. */
export function start(world: World, server: Server, source: SourceRef | undefined): void {
  const { disk } = server
  const continues = world.profile.keepsHistory && disk.replId !== ''
  const offset = continues ? disk.offset : 0
  const isPrimary = source === undefined
  server.process = {
    runId: newId(world, 'run-'),
    isPrimary,
    // A replica goes on in the history that it saved; a primary remembers it as the one before its own.
    replId: continues && !isPrimary ? disk.replId : newId(world, 'hist-'),
    replId2: continues && isPrimary ? disk.replId : noHistory,
    secondReplOffset: continues && isPrimary ? disk.offset + 1 : -1,
    log: disk.log,
    base: offset - disk.log.length * entryBytes,
    hasBacklog: continues && isPrimary,
    backlogFrom: offset,
    hasPosition: continues && !isPrimary,
    source,
    linkRunId: undefined,
    lastIoMs: world.nowMs,
    syncStepsLeft: 0,
    isLoading: disk.log.length > 0,
    users: {},
    sourceUser: '',
    sourcePassword: '',
    minReplicas: 0,
    acks: {},
    pausedUntilMs: Number.NEGATIVE_INFINITY,
  }
}

/** Whoever is connected notices at once, where the network carries it. */
export function end(world: World, server: Server, disk: Disk): void {
  const { process } = server
  server.disk = disk
  server.saved = disk
  server.process = undefined
  server.isSuspended = false
  if (process === undefined) return
  forgetReplica(world, server)
  if (world.profile.tellsFate) world.api.ended = [...world.api.ended, process.runId]
}

/** The server that it followed hears that the link is closed, if it hears anything. */
function forgetReplica(world: World, { index }: Server): void {
  for (const other of world.servers) {
    const { process } = other
    if (process?.acks[index] === undefined || !carries(world, index, other.index)) continue
    const { [index]: _gone, ...rest } = process.acks
    process.acks = rest
  }
}

export function append(process: Process, entry: number): void {
  process.log = [...process.log, entry]
  if (!process.hasBacklog) process.base -= entryBytes
}

export function promote(world: World, server: Server): void {
  const own = server.process
  if (own === undefined || own.isPrimary) return
  forgetReplica(world, server)
  own.isPrimary = true
  own.replId2 = own.replId
  own.secondReplOffset = offsetOf(own) + 1
  own.replId = newId(world, 'hist-')
  own.hasPosition = false
  own.source = undefined
  own.linkRunId = undefined
  own.syncStepsLeft = 0
  own.acks = {}
}

export function follow(world: World, server: Server, source: SourceRef): void {
  const own = server.process
  if (own === undefined || (!own.isPrimary && own.source === source)) return
  forgetReplica(world, server)
  if (own.isPrimary) own.hasPosition = true
  own.isPrimary = false
  own.source = source
  own.linkRunId = undefined
  own.syncStepsLeft = 0
}

function keepHistory(process: Process): void {
  process.hasBacklog = true
  process.backlogFrom = offsetOf(process)
}

/** Drops the link, as after a timeout of the server’s own or a new password. */
export function dropLink(world: World, server: Server): void {
  const own = server.process
  if (own?.linkRunId === undefined) return
  forgetReplica(world, server)
  own.linkRunId = undefined
}

/** One step of replication of `server` from whoever it follows; `entries` at most. */
export function replicate(world: World, server: Server, entries: number): void {
  const own = server.process
  if (own === undefined || own.isPrimary || own.isLoading || server.isSuspended) return
  if (own.source === undefined || own.source === 'parked' || own.source === server.index) {
    own.linkRunId = undefined
    return
  }
  const source = world.servers[own.source]
  const from = source?.process
  if (source === undefined || source.isSuspended) return
  if (from === undefined) {
    if (carries(world, source.index, server.index)) own.linkRunId = undefined
    own.syncStepsLeft = 0
    return
  }
  if (own.linkRunId !== undefined) stream(world, server, { source, from, entries })
  else connect(world, server, { source, from })
}

interface From {
  readonly source: Server
  readonly from: Process
}

function stream(
  world: World,
  server: Server,
  { source, from, entries }: From & { entries: number },
) {
  const own = server.process as Process
  const isOther = own.linkRunId !== from.runId || own.replId !== from.replId
  if (!carries(world, source.index, server.index)) return
  // Who goes over to another history hangs up on its replicas.
  if (isOther) return dropLink(world, server)
  if (offsetOf(own) < offsetOf(from)) {
    const next = own.log.length + entries
    own.log = from.log.slice(0, Math.min(next, from.log.length))
    own.lastIoMs = world.nowMs
  }
  if (from.isPrimary || from.linkRunId !== undefined) own.lastIoMs = world.nowMs
  acknowledge(world, server, { source, from })
}

function acknowledge(world: World, server: Server, { source, from }: From): void {
  const own = server.process as Process
  if (!carries(world, server.index, source.index)) return
  const ack = { runId: own.runId, offset: offsetOf(own), atMs: world.nowMs }
  from.acks = { ...from.acks, [server.index]: ack }
}

function connect(world: World, server: Server, { source, from }: From): void {
  const own = server.process as Process
  const isRefused =
    from.isLoading ||
    (!from.isPrimary && from.linkRunId === undefined) ||
    !(mayLogIn(own, from) || world.mutations.has('replication users not asked for'))
  if (isRefused || !carriesBoth(world, server.index, source.index)) {
    own.syncStepsLeft = 0
    return
  }
  if (own.syncStepsLeft === 0 && canContinue(world, own, from)) {
    if (own.replId !== from.replId) {
      own.replId2 = own.replId
      own.secondReplOffset = offsetOf(own) + 1
      own.replId = from.replId
    }
  } else if (!fullSync(world, own, from)) return
  if (!own.hasBacklog) keepHistory(own)
  own.hasPosition = true
  own.linkRunId = from.runId
  own.lastIoMs = world.nowMs
  acknowledge(world, server, { source, from })
}

/** Who logs in as one of our users is refused where it does not exist; anyone may come without. */
function mayLogIn(own: Process, from: Process): boolean {
  return own.sourceUser === '' || from.users[own.sourceUser]?.includes(own.sourcePassword) === true
}

function canContinue(world: World, own: Process, from: Process): boolean {
  if (!from.hasBacklog) return false
  const offset = offsetOf(own)
  const oldest = Math.max(
    from.backlogFrom,
    offsetOf(from) - world.profile.backlogEntries * entryBytes,
  )
  if (offset < oldest || offset > offsetOf(from)) return false
  if (own.replId === from.replId) return true
  return own.replId === from.replId2 && offset < from.secondReplOffset
}

/** @returns whether it is done */
function fullSync(world: World, own: Process, from: Process): boolean {
  if (own.syncStepsLeft === 0) {
    own.syncStepsLeft = 2
    return false
  }
  own.syncStepsLeft -= 1
  if (own.syncStepsLeft > 0) return false
  if (!from.hasBacklog) {
    keepHistory(from)
    from.replId = newId(world, 'hist-')
    from.replId2 = noHistory
    from.secondReplOffset = -1
  }
  own.replId = from.replId
  own.replId2 = noHistory
  own.secondReplOffset = -1
  own.log = from.log
  own.base = from.base
  keepHistory(own)
  return true
}

/** Why a write is refused; undefined: it is run. */
export function refusal(world: World, { process }: Server): string | undefined {
  if (process === undefined) return 'gone'
  if (process.isLoading) return 'LOADING'
  if (!process.isPrimary) return 'READONLY'
  if (process.minReplicas > goodReplicas(world, process)) return 'NOREPLICAS'
  return undefined
}

export function goodReplicas(world: World, { acks }: Process): number {
  return Object.values(acks).filter(({ atMs }) => world.nowMs - atMs < goodForMs).length
}

/** Replicas that said that they have `offset`. */
export function replicasAt({ acks }: Process, offset: number): number {
  return Object.values(acks).filter((ack) => ack.offset >= offset).length
}

/** What INFO says. */
export function factsAt(world: World, server: Server): ServerFacts {
  const own = server.process as Process
  const isUp = own.linkRunId !== undefined
  const source = typeof own.source === 'number' ? { host: hostOf(own.source), port } : parkSource
  const silentMs = (world.nowMs - own.lastIoMs) * server.rate
  return {
    role: own.isPrimary ? 'primary' : 'replica',
    runId: own.runId,
    version: '7',
    // What history its data is of is known once all of it was read.
    replId: own.isLoading ? `loading-${own.runId}` : own.replId,
    replId2: own.isLoading ? noHistory : own.replId2,
    secondReplOffset: own.isLoading ? -1 : own.secondReplOffset,
    offset: own.isLoading ? 0 : offsetOf(own),
    ...(!own.isPrimary && { source }),
    isLinkUp: isUp,
    lastIoSeconds: isUp ? Math.floor(silentMs / 1000) : -1,
    isLoading: own.isLoading,
    isSyncing: own.syncStepsLeft > 0,
    keyCount: keyCount(own),
    priority: 100,
    connectedReplicas: Object.keys(own.acks).length,
    guards: guardsOf(own),
  }
}

function keyCount({ log }: Process): number {
  let count = 0
  for (const entry of log) if (entry > 0) count += 1
  return count
}

function guardsOf(own: Process): GuardFacts {
  return {
    sourceUser: own.sourceUser,
    replicationUsers: Object.keys(own.users),
    minReplicas: own.minReplicas,
    minReplicasMaxLagSeconds: maxLagSeconds,
  }
}

export function save(world: World, server: Server): void {
  server.saved = diskOf(server.process, server.disk)
  note(world, () => `s${server.index} saved ${server.saved.log.length} entries`)
}
