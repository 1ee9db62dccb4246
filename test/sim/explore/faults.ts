/** What goes wrong, and what people do meanwhile. */
import { abandon } from './operator.ts'
import { list } from './api.ts'
import type { Random } from '../random.ts'
import { addressOf, cut, indexOf, newId, nodeCount, nodeName, nodeOf, note } from './nodes.ts'
import { diskOf, emptyDisk, end, start } from './server.ts'
import { close } from './sidecar.ts'
import { dropLost, noteEmptied } from './truth.ts'
import type { FaultName, OperatorProcess, Server, Sidecar, World } from './types.ts'

export function pickFault(world: World, random: Random): FaultName | undefined {
  const faults = Object.entries(world.profile.faults) as [FaultName, number][]
  let rest = random.next() * faults.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight] of faults) {
    rest -= weight
    if (rest < 0) return name
  }
  return undefined
}

export function strike(world: World, name: FaultName, random: Random): void {
  note(world, () => `fault: ${name}`)
  switch (name) {
    case 'crash':
    case 'bounce':
      return withServer(world, random, (server) => {
        crash(world, server, 'kept')
        if (name === 'bounce') restart(world, server, random)
      })
    case 'crashEmpty':
    case 'bounceEmpty':
      if (world.lossesLeft <= 0) return
      return withServer(world, random, (server) => {
        crash(world, server, 'empty')
        if (name === 'bounceEmpty') restart(world, server, random)
      })
    case 'crashOlder':
      if (world.lossesLeft <= 0) return
      return withServer(world, random, (server) => crash(world, server, 'older'))
    case 'suspendServer':
      return withServer(world, random, (server) => {
        server.isSuspended = true
        note(world, () => `s${server.index} is suspended`)
      })
    case 'suspendSidecar':
      random.pick(world.sidecars).isSuspended = true
      return
    case 'crashSidecar':
      return stopSidecar(world, random.pick(world.sidecars))
    case 'suspendOperator':
      random.pick(world.operators).isSuspended = true
      return
    case 'crashOperator':
      return stopOperator(world, random.pick(world.operators))
    case 'wallJump':
      random.pick(world.operators).wallSkewMs += random.below(20_000) - 10_000
      return
    case 'dropStream': {
      const sidecar = random.pick(world.sidecars)
      sidecar.stream = undefined
      return
    }
    case 'cutPair':
    case 'cutOneWay':
    case 'isolate':
    case 'isolateOperator':
    case 'cutApi':
    case 'mend':
      return disturbNetwork(world, name, random)
    case 'switchover':
    case 'promoteByHand':
    case 'addServer':
    case 'removeServer':
    case 'movePrimary':
      return actAsPerson(world, name, random)
  }
}

/** Mostly the primary. */
function withServer(world: World, random: Random, act: (server: Server) => void): void {
  const { status } = world.api.object
  const primary = indexOf(status?.primary?.address ?? status?.intent?.from)
  const index =
    primary !== undefined && random.chance(0.6) ? primary : random.below(world.servers.length)
  const server = world.servers[index]
  if (server?.process !== undefined) act(server)
}

export function crash(world: World, server: Server, keeps: 'kept' | 'older' | 'empty'): void {
  note(world, () => `s${server.index} crashes, its data: ${keeps}`)
  const now = diskOf(server.process, server.disk)
  if (keeps === 'empty' && world.profile.name === 'wiped') {
    world.truth = { ...world.truth, guarded: noteEmptied(world, server.index) }
  }
  end(world, server, keeps === 'kept' ? now : keeps === 'older' ? server.saved : emptyDisk)
  if (keeps === 'kept') return
  world.lossesLeft -= 1
  const { losers } = world.truth
  if (!losers.includes(server.index)) {
    world.truth = { ...world.truth, losers: [...losers, server.index] }
  }
  dropLost(world)
}

export function restart(world: World, server: Server, random: Random): void {
  const as = random.pick(world.profile.restartsAs)
  const other = (server.index + 1) % world.servers.length
  const source =
    as === 'primary' ? undefined : as === 'parked' ? 'parked' : server.index === 0 ? undefined : 0
  start(world, server, source ?? (as === 'replica' && server.index === other ? 0 : source))
  note(
    world,
    () =>
      `s${server.index} starts as ${as}: ${server.process?.runId} with ${server.disk.log.length} entries`,
  )
}

export function stopSidecar(world: World, sidecar: Sidecar): void {
  sidecar.isUp = false
  sidecar.isSuspended = false
  sidecar.stream = undefined
  close(sidecar)
  sidecar.config = undefined
  sidecar.drainUntilMs = undefined
  sidecar.renewals = []
  sidecar.grantedUntilMs = Number.NEGATIVE_INFINITY
  sidecar.heard = undefined
  for (const operator of world.operators) {
    const { [sidecar.index]: _gone, ...views } = operator.views
    operator.views = views
  }
}

export function startSidecar(_world: World, sidecar: Sidecar): void {
  sidecar.isUp = true
  sidecar.isSuspended = false
}

export function stopOperator(world: World, operator: OperatorProcess): void {
  abandon(operator)
  operator.isUp = false
  operator.isSuspended = false
  operator.memory = undefined
  operator.observations = []
  operator.views = {}
  operator.leadsUntilMs = Number.NEGATIVE_INFINITY
  for (const sidecar of world.sidecars) {
    if (sidecar.stream?.operator === operator.index) sidecar.stream = undefined
  }
  world.commands = world.commands.flatMap((command) => {
    if (command.operator !== operator.index) return [command]
    return world.profile.hasLateCommands ? [{ ...command, isOrphan: true }] : []
  })
}

export function startOperator(world: World, operator: OperatorProcess, random: Random): void {
  operator.isUp = true
  operator.isSuspended = false
  operator.password = newId(world, 'pass-')
  // A list may be served from a cache of the API server.
  const isOld = world.profile.hasStaleLists && world.api.former !== undefined && random.chance(0.5)
  operator.cache = isOld ? (world.api.former ?? world.api.object) : world.api.object
  operator.leaseSeen = { version: -1, atMs: 0 }
  if (world.operators.length === 1) operator.leadsUntilMs = Number.POSITIVE_INFINITY
}

function disturbNetwork(world: World, name: FaultName, random: Random): void {
  const count = nodeCount(world)
  if (name === 'mend') {
    world.cuts.fill(0)
    return
  }
  if (name === 'cutApi') {
    cutBoth(world, nodeOf.operator(world, random.below(world.operators.length)), nodeOf.api(world))
    return
  }
  if (name === 'isolateOperator') {
    const operator = nodeOf.operator(world, random.below(world.operators.length))
    for (let node = 0; node < count - 1; node += 1) {
      if (random.chance(0.7)) cutBoth(world, operator, node)
    }
    return
  }
  if (name === 'isolate') return isolate(world, random)
  const a = random.below(count)
  const b = random.below(count)
  if (a === b) return
  note(
    world,
    () => `cut ${nodeName(world, a)}>${nodeName(world, b)}${name === 'cutPair' ? ' and back' : ''}`,
  )
  cut(world, a, b, random.chance(0.3) ? 'refusing' : 'silent')
  if (name === 'cutPair') cut(world, b, a, 'silent')
}

function cutBoth(world: World, a: number, b: number, how: 'silent' | 'refusing' = 'silent'): void {
  if (a === b) return
  note(world, () => `cut ${nodeName(world, a)}=${nodeName(world, b)}`)
  cut(world, a, b, how)
  cut(world, b, a, how)
}

/** The primary, mostly, is on one side with some of the sidecars and replicas, the operators are on the other. */
function isolate(world: World, random: Random): void {
  const { status } = world.api.object
  const primary = indexOf(status?.primary?.address) ?? random.below(world.servers.length)
  const how = random.chance(0.3) ? 'refusing' : 'silent'
  // Half of the time sidecars see both sides, as when only the operators and servers have lost each other.
  const isSeenByAll = random.chance(0.5)
  const inside = [
    primary,
    ...world.servers.filter(() => random.chance(0.25)).map(({ index }) => index),
    ...world.sidecars
      .filter(() => random.chance(0.6))
      .map(({ index }) => nodeOf.sidecar(world, index)),
  ].filter((node, at) => at === 0 || !isSeenByAll || !isSidecar(world, node))
  for (let node = 0; node < nodeCount(world); node += 1) {
    if (inside.includes(node) || (isSeenByAll && isSidecar(world, node))) continue
    for (const each of inside) if (random.chance(0.95)) cutBoth(world, each, node, how)
  }
}

function isSidecar({ servers, sidecars }: World, node: number): boolean {
  return node >= servers.length && node < servers.length + sidecars.length
}

function actAsPerson(world: World, name: FaultName, random: Random): void {
  const { api, servers } = world
  const { listed, status } = api.object
  const primary = indexOf(status?.primary?.address)
  const last = status?.operation
  const isBusy =
    api.operation !== undefined && !(last?.name === api.operation.name && last.phase !== 'Running')
  if (name === 'switchover' || name === 'promoteByHand') {
    if (isBusy) return
    api.operationCount += 1
    const to = random.chance(0.5) ? addressOf(random.pick(listed)) : undefined
    const isPromote = name === 'promoteByHand'
    if (isPromote && to === undefined) return
    api.operation = {
      name: `operation-${api.operationCount}`,
      kind: isPromote ? 'Promote' : 'Switchover',
      ...(to !== undefined && { to }),
      accept: isPromote ? ['NoProof', 'DataLoss'] : [],
    }
    note(world, () => `asked for: ${api.operation?.kind} to ${to ?? 'anyone'}`)
    return
  }
  const spare = servers.map(({ index }) => index).filter((index) => !listed.includes(index))
  const [added] = spare
  if (name === 'addServer') {
    if (added !== undefined) list(world, [...listed, added])
    return
  }
  if (name === 'removeServer') {
    const removable = listed.filter((index) => index !== primary)
    if (listed.length > 2 && removable.length > 0) {
      const gone = random.pick(removable)
      list(
        world,
        listed.filter((index) => index !== gone),
      )
    }
    return
  }
  if (primary === undefined || added === undefined) return
  list(world, [...listed.filter((index) => index !== primary), added])
}
