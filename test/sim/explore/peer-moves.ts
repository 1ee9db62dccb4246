/** What sidecars and servers do in a small world, and what befalls them. */
import { crash, startSidecar, stopSidecar } from './faults.ts'
import { type Add, type Faults, at } from './move.ts'
import { carries, carriesBoth, nodeOf } from './nodes.ts'
import { dropLink, offsetOf, replicate, start } from './server.ts'
import {
  answer,
  arrive,
  connect,
  connectStream,
  hear,
  isGranted,
  mayWrite,
  renew,
  send,
  settle,
} from './sidecar.ts'
import { dropLost, trackKept } from './truth.ts'
import type { Process, Server, Sidecar, SourceRef, World } from './types.ts'

export function sidecarMoves(
  world: World,
  add: Add,
  { sidecar, faults }: { sidecar: Sidecar; faults: Faults },
): void {
  const { index, config, connection } = sidecar
  const own = (next: World) => at(next.sidecars, index)
  if (!sidecar.isUp) {
    add(`p${index} starts`, (next) => startSidecar(next, own(next)))
    return
  }
  add(`p${index} crashes`, (next) => stopSidecar(next, own(next)), 'sidecarCrashes')
  if (sidecar.isSuspended) {
    add(`p${index} resumes`, (next) => {
      own(next).isSuspended = false
    })
    return
  }
  if (faults.suspends.includes('sidecar')) {
    add(
      `p${index} is suspended`,
      (next) => {
        own(next).isSuspended = true
      },
      'suspensions',
    )
  }
  streamMoves(world, add, sidecar)
  const hasGrants = config?.grantTtlMs !== undefined
  if (connection === undefined && config?.server !== undefined && mayConnect(world, sidecar)) {
    add(`p${index} connects`, (next) => connect(next, own(next)))
  }
  if (connection === undefined) return
  if (sidecar.drainUntilMs !== undefined || (hasGrants && !isGranted(world, sidecar))) {
    add(`p${index} looks at its clock`, (next) => settle(next, own(next)))
  }
  const server = world.servers[connection.server]
  const isBroken =
    server?.process?.runId !== connection.runId ||
    server.isSuspended ||
    !carriesBoth(world, nodeOf.sidecar(world, index), connection.server)
  const lose = (next: World) => {
    own(next).connection = undefined
    own(next).isFailing = true
  }
  add(`p${index} loses its connection`, lose, isBroken ? undefined : 'resets')
  const isWriting = world.writes.some((write) => write.sidecar === index)
  if (!isWriting && mayWrite(world, sidecar)) {
    add(`p${index} sends`, (next) => send(next, own(next)), 'writes')
  }
}

/** Whether trying changes anything. */
function mayConnect(world: World, { index, config, isFailing }: Sidecar): boolean {
  if (config?.server === undefined) return false
  const server = world.servers[config.server]
  const isMeant =
    world.mutations.has('run-id not checked') || server?.process?.runId === config.runId
  const isThere = server?.process?.isPrimary === true && isMeant && !server.isSuspended
  const isReached = carriesBoth(world, nodeOf.sidecar(world, index), config.server)
  return (isThere && isReached) || !isFailing
}

function streamMoves(world: World, add: Add, sidecar: Sidecar): void {
  const { index, stream, config } = sidecar
  const [operator] = world.operators
  if (operator === undefined) return
  const own = (next: World) => at(next.sidecars, index)
  const far = nodeOf.operator(world, operator.index)
  const node = nodeOf.sidecar(world, index)
  const isWhole = carriesBoth(world, node, far)
  if (stream === undefined) {
    if (!operator.isUp || !isWhole) return
    add(`p${index} opens a stream`, (next) => {
      connectStream(next, own(next), operator.index)
      hear(next, own(next))
    })
    return
  }
  const lose = (next: World) => {
    own(next).stream = undefined
  }
  add(`p${index} loses its stream`, lose, isWhole ? 'resets' : undefined)
  if (stream.down.length > 0 && carries(world, far, node)) {
    add(`p${index} hears ${stream.down[0]?.kind}`, (next) => {
      settle(next, own(next))
      hear(next, own(next))
    })
  }
  const isHeard = operator.isUp && !operator.isSuspended && carries(world, node, far)
  if (!isHeard || config?.grantTtlMs === undefined || config.runId === undefined) return
  if ([...stream.up, ...stream.down].some(({ kind }) => /renew|grant/.test(kind))) return
  add(`p${index} asks for a grant`, (next) => {
    // One that got no answer is not waited for.
    own(next).renewals = []
    renew(next, own(next))
  })
}

export function writeMoves(world: World, add: Add): void {
  for (const [each, write] of world.writes.entries()) {
    const own = (next: World) => at(next.writes, each)
    if (write.offset !== undefined) {
      add(`p${write.sidecar} is answered`, (next) => answer(next, own(next)))
    } else add(`a write of p${write.sidecar} arrives`, (next) => arrive(next, own(next)))
  }
}

export function serverMoves(
  world: World,
  add: Add,
  { server, faults }: { server: Server; faults: Faults },
): void {
  const { index, process } = server
  const own = (next: World) => at(next.servers, index)
  if (process === undefined) {
    for (const as of faults.restartsAs) {
      const source: SourceRef | undefined = as === 'parked' ? 'parked' : undefined
      add(`s${index} starts as ${as}`, (next) => start(next, own(next), source))
    }
    return
  }
  if (faults.struck.includes(index)) {
    for (const keeps of faults.keeps) {
      const name = `s${index} crashes, its data: ${keeps}`
      add(name, (next) => crash(next, own(next), keeps), 'crashes')
    }
  }
  if (server.isSuspended) {
    add(`s${index} resumes`, (next) => {
      own(next).isSuspended = false
    })
    return
  }
  if (faults.struck.includes(index) && faults.suspends.includes('server')) {
    add(
      `s${index} is suspended`,
      (next) => {
        own(next).isSuspended = true
      },
      'suspensions',
    )
  }
  if (process.isLoading) {
    add(`s${index} has loaded`, (next) => {
      at([own(next).process as Process], 0).isLoading = false
    })
    return
  }
  replicationMoves(world, add, { server, process })
}

function replicationMoves(
  world: World,
  add: Add,
  { server: { index }, process }: { server: Server; process: Process },
): void {
  if (process.isPrimary || typeof process.source !== 'number') return
  const source = process.source
  const step = (entries: number) => (next: World) => {
    const server = at(next.servers, index)
    replicate(next, server, entries)
    // How far a synchronisation is does not show.
    if (server.process?.syncStepsLeft === 1) replicate(next, server, entries)
    trackKept(next)
    dropLost(next)
  }
  add(`s${index} replicates`, step(1000))
  const from = world.servers[source]?.process
  const isLinked = process.linkRunId !== undefined
  if (isLinked && from !== undefined && offsetOf(from) - offsetOf(process) > 10) {
    add(`s${index} replicates one write`, step(1))
  }
  if (!isLinked) return
  const lose = (next: World) => dropLink(next, at(next.servers, index))
  add(`s${index} loses its link`, lose, carries(world, source, index) ? 'resets' : undefined)
}
