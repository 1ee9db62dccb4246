/**
 * One operator process: probes, a cache of the resource, and turns cut into their stages, so that anything may happen
 * between any two of them. What `Reconciler` does around the plan is done here likewise.
 */
import { type RedisProxy, durationMs } from '../../../operator/api/redis-proxy.ts'
import type {
  Observation,
  ProbeFailure,
  ServerFacts,
} from '../../../operator/controller/observation.ts'
import { type Plan, plan } from '../../../operator/controller/plan/index.ts'
import { needsWrite } from '../../../operator/controller/status.ts'
import { newestObeyed, nextVersion } from '../../../operator/controller/version.ts'
import { beginActs } from './acts.ts'
import { writeStatus } from './api.ts'
import { leads } from './lease.ts'
import { distort, falsify } from './mutations.ts'
import {
  addressOf,
  carries,
  carriesBoth,
  clockOf,
  indexOf,
  nodeOf,
  note,
  refuses,
  sidecarId,
  wallOf,
} from './nodes.ts'
import { checkChoice } from './choice.ts'
import { factsAt } from './server.ts'
import { leaving, proxyOf, snapshotOf, unseen, viewsOf } from './snapshot.ts'
import type { Config, DownMessage, OperatorProcess, Sidecar, World } from './types.ts'

const queueMax = 8

/** Looks at one server. */
export function probe(world: World, operator: OperatorProcess, index: number): void {
  const server = world.servers[index]
  if (server === undefined) return
  const atMs = clockOf(world, operator)
  const former = operator.observations[index]
  const node = nodeOf.operator(world, operator.index)
  const isReached = carriesBoth(world, node, index) && !server.isSuspended
  const isRefused = isReached || refuses(world, node, index)
  const address = addressOf(index)
  let next: Observation
  if (isReached && server.process !== undefined) {
    const facts: ServerFacts = factsAt(world, server)
    next = { address, atMs, state: { kind: 'up', facts }, last: facts }
  } else {
    const failure = failureOf(former, atMs, isRefused ? 'refused' : 'timeout')
    next = {
      address,
      atMs,
      state: { kind: 'down', failure },
      ...(former?.last && { last: former.last }),
    }
  }
  operator.observations = world.servers.map((_, each) =>
    each === index ? next : (operator.observations[each] ?? unseen(each)),
  )
}

function failureOf(
  former: Observation | undefined,
  atMs: number,
  kind: 'refused' | 'timeout',
): ProbeFailure {
  const before = former?.state.kind === 'down' ? former.state.failure : undefined
  const refusedSinceMs = before?.refusedSinceMs ?? (kind === 'refused' ? atMs : undefined)
  return {
    kind,
    sinceMs: before?.sinceMs ?? atMs,
    ...(refusedSinceMs !== undefined && { refusedSinceMs }),
    message: 'model',
  }
}

/** The newest version that the API server tells of. */
export function watch(world: World, operator: OperatorProcess): void {
  const node = nodeOf.operator(world, operator.index)
  if (carriesBoth(world, node, nodeOf.api(world))) operator.cache = world.api.object
}

/** The next message of a sidecar. */
export function listen(world: World, operator: OperatorProcess, sidecar: Sidecar): void {
  const { stream } = sidecar
  const [message, ...rest] = stream?.up ?? []
  if (stream === undefined || message === undefined) return
  sidecar.stream = { ...stream, up: rest }
  const nowMs = clockOf(world, operator)
  const view = operator.views[sidecar.index] ?? {
    id: sidecarId(sidecar.index),
    primary: 'none' as const,
    connectedAtMs: nowMs,
  }
  let next = view
  if (message.kind === 'ack') {
    const { version, epoch, isRefusal } = message
    const { error: _former, ...kept } = view
    next = { ...kept, acked: { version, epoch }, ...(isRefusal && { error: 'refused' }) }
  } else if (message.kind === 'report') {
    const { heardMsAgo, epoch } = message
    next = {
      ...view,
      primary: message.view,
      ...(heardMsAgo !== undefined && { heardAtMs: nowMs - heardMsAgo, heardEpoch: epoch }),
    }
  } else grant(world, operator, { sidecar, seq: message.seq, epoch: message.epoch })
  operator.views = { ...operator.views, [sidecar.index]: next }
}

/** Answers only as the leader, for the published epoch, and only as long as that has a primary. */
function grant(
  world: World,
  operator: OperatorProcess,
  { sidecar, seq, epoch }: { sidecar: Sidecar; seq: number; epoch: number },
): void {
  const published = operator.memory?.published
  const isOurs = leads(world, operator) || world.mutations.has('granted by a deposed leader')
  if (!isOurs || published === undefined || published.epoch !== epoch) return
  if (published.config.runId === undefined) return
  tell(sidecar, { kind: 'grant', seq, epoch })
}

function tell(sidecar: Sidecar, message: DownMessage): void {
  const { stream } = sidecar
  if (stream === undefined) return
  const kept = stream.down.filter(({ kind }) => message.kind !== 'config' || kind !== 'config')
  sidecar.stream = { ...stream, down: [...kept, message].slice(-queueMax) }
}

/** Ends a turn without its rest. */
export function abandon(operator: OperatorProcess): void {
  operator.stage = 'idle'
  operator.snapshot = undefined
  operator.plan = undefined
  operator.recorded = undefined
  operator.task = undefined
  operator.waitsFor = []
}

/** The next stage of the turn. */
export function advance(world: World, operator: OperatorProcess): void {
  switch (operator.stage) {
    case 'idle':
      return observe(world, operator)
    case 'observed':
      return think(world, operator)
    case 'planned':
      return record(world, operator)
    case 'recorded':
      return publish(world, operator)
    case 'published':
      return beginActs(world, operator)
    case 'acting':
      return endTurn(world, operator)
  }
}

function observe(world: World, operator: OperatorProcess): void {
  const nowMs = clockOf(world, operator)
  if (!leads(world, operator)) {
    if (world.mutations.has('granted by a deposed leader')) return
    operator.memory = undefined
    operator.observations = []
    operator.requeueAtMs = nowMs + 1000
    closeStreams(world, operator)
    return
  }
  operator.memory ??= { watchedSinceMs: nowMs, marks: {} }
  const { listed } = operator.cache
  const watched = [...listed, ...leaving(operator)]
  for (const index of watched) {
    if ((operator.observations[index]?.state.kind ?? 'unknown') === 'unknown') {
      probe(world, operator, index)
    }
  }
  operator.observations = operator.observations.map((each, index) =>
    watched.includes(index) ? each : unseen(index),
  )
  operator.seen = snapshotOf(world, operator, operator.memory)
  operator.snapshot = falsify(world, operator.seen)
  operator.stage = 'observed'
}

/** Sidecars connect again where they are served. */
export function closeStreams(world: World, operator: OperatorProcess): void {
  for (const sidecar of world.sidecars) {
    if (sidecar.stream?.operator === operator.index) sidecar.stream = undefined
  }
}

function think(world: World, operator: OperatorProcess): void {
  const { snapshot } = operator
  if (snapshot === undefined) return abandon(operator)
  const now = { monotonicMs: clockOf(world, operator), wallMs: wallOf(world, operator) }
  operator.plan = distort(world, snapshot, plan(snapshot, now))
  operator.stage = 'planned'
}

function record(world: World, operator: OperatorProcess): void {
  const { snapshot, plan: planned } = operator
  if (snapshot === undefined || planned === undefined) return abandon(operator)
  const written = writeIfNeeded(world, operator, { proxy: snapshot.proxy, planned })
  if (written === undefined) {
    note(world, () => `o${operator.index} could not record ${planned.status.phase}`)
    return abandon(operator)
  }
  operator.recorded = written
  operator.stage = 'recorded'
}

function writeIfNeeded(
  world: World,
  operator: OperatorProcess,
  { proxy, planned }: { proxy: RedisProxy; planned: Plan },
): RedisProxy | undefined {
  // Mostly they are the same to the letter, which is seen sooner.
  if (JSON.stringify(proxy.status) === JSON.stringify(planned.status)) return proxy
  if (!needsWrite(proxy.status, planned.status, 0)) return proxy
  if (!leads(world, operator)) return undefined
  const isPromoting = planned.actions.some(({ kind }) => kind === 'promote')
  if (isPromoting && world.mutations.has('intent not recorded first')) {
    return { ...proxy, status: planned.status }
  }
  const node = nodeOf.operator(world, operator.index)
  if (!carries(world, node, nodeOf.api(world))) return undefined
  if (operator.seen !== undefined) checkChoice(world, operator.seen, planned)
  const stored = writeStatus(world, Number(proxy.metadata.resourceVersion), planned.status)
  if (stored === undefined) return undefined
  note(
    world,
    () =>
      `o${operator.index} records epoch ${planned.status.epoch} ${planned.status.phase} primary ${planned.status.primary?.runId ?? '-'} target ${planned.status.intent?.target ?? '-'} ${planned.status.intent?.proof ?? ''} (${planned.actions.map((each) => `${each.kind} ${each.address}`).join(', ')})`,
  )
  // Applied, and nobody hears of it.
  if (!carries(world, nodeOf.api(world), node)) return undefined
  operator.cache = stored
  return proxyOf(stored)
}

function publish(world: World, operator: OperatorProcess): void {
  const { plan: planned, recorded, memory, snapshot } = operator
  if (
    planned === undefined ||
    recorded === undefined ||
    memory === undefined ||
    snapshot === undefined
  )
    return abandon(operator)
  const atMs = clockOf(world, operator)
  const marks = Object.fromEntries(planned.marks.map((mark) => [mark, memory.marks[mark] ?? atMs]))
  operator.memory = { ...memory, marks }
  const config = configOf(recorded, { version: 0, waitReplicas: world.profile.waitReplicas })
  const { published } = memory
  const obeyed = newestObeyed(viewsOf(world, operator), config.epoch)
  const isBehind = published !== undefined && published.version < obeyed
  if (published === undefined || isBehind || !isSame(published.config, config)) {
    const version = nextVersion({
      published: published?.version,
      obeyed,
      wallMs: wallOf(world, operator),
    })
    const epochAtMs = (published?.epoch === config.epoch ? published.epochAtMs : undefined) ?? atMs
    const next = { ...config, version }
    operator.memory = {
      ...memory,
      marks,
      published: {
        version,
        atMs,
        epoch: config.epoch,
        epochAtMs,
        config: next,
        ...(next.grantTtlMs !== undefined && { grantTtlMs: next.grantTtlMs }),
      },
    }
    note(world, () => `o${operator.index} publishes epoch ${next.epoch}: ${next.runId ?? 'hold'}`)
    for (const sidecar of world.sidecars) {
      if (sidecar.stream?.operator === operator.index)
        tell(sidecar, { kind: 'config', config: next })
    }
  }
  hint(world, operator, planned)
  operator.stage = 'published'
}

function hint(world: World, operator: OperatorProcess, { suspectForMs }: Plan): void {
  if (suspectForMs === undefined) return
  const epoch = operator.recorded?.status?.epoch ?? 0
  for (const sidecar of world.sidecars) {
    if (sidecar.stream?.operator !== operator.index) continue
    tell(sidecar, { kind: 'suspect', epoch, forMs: suspectForMs })
  }
}

/** As `compileConfig` has it. */
export function configOf(
  { spec, status }: RedisProxy,
  { version, waitReplicas }: { version: number; waitReplicas: number },
): Config {
  const { operatorAway, grantTtl, switchoverTimeout } = spec.failover
  const primary = status?.primary
  const server = indexOf(primary?.address)
  const isPlanned = status?.intent?.kind === 'Switchover' && primary === undefined
  return {
    version,
    epoch: status?.epoch ?? 0,
    waitReplicas,
    ...(primary !== undefined && server !== undefined && { server, runId: primary.runId }),
    ...(isPlanned && { drainMs: Math.floor(durationMs(switchoverTimeout) / 2) }),
    ...(operatorAway === 'StopWrites' && { grantTtlMs: durationMs(grantTtl) }),
  }
}

function isSame(a: Config, b: Config): boolean {
  return JSON.stringify({ ...a, version: 0 }) === JSON.stringify({ ...b, version: 0 })
}

function endTurn(world: World, operator: OperatorProcess): void {
  if (operator.waitsFor.length > 0 || operator.task !== undefined) return
  for (const index of operator.touched) probe(world, operator, index)
  operator.requeueAtMs = clockOf(world, operator) + (operator.plan?.requeueAfterMs ?? 0)
  abandon(operator)
}
