/** One history: a world in order, things that go wrong, and whether it comes back in order. */
import { deliver, forget, giveUp, stepTask } from './acts.ts'
import { specOf } from './api.ts'
import { eventsOf, pauseMs } from './events.ts'
import { startOperator, startSidecar } from './faults.ts'
import { leads, renewLease } from './lease.ts'
import { newId, nodeCount, note } from './nodes.ts'
import { advance, closeStreams, listen, probe, watch } from './operator.ts'
import { profileOf } from './profiles.ts'
import { Random } from '../random.ts'
import { emptyDisk, offsetOf, replicate, start } from './server.ts'
import {
  answer,
  arrive,
  connect,
  acknowledge,
  connectStream,
  hear,
  renew,
  report,
  send,
  settle,
} from './sidecar.ts'
import { checkData, dropLost, trackKept } from './truth.ts'
import { type Counts, type Profile, type Server, Violation, type World } from './types.ts'

const roundMs = 200
const roundsMax = 400
const warmRoundsMax = 60

export const noCounts = (): Counts => ({
  steps: 0,
  failovers: 0,
  switchovers: 0,
  acknowledged: 0,
  waiting: 0,
  proofs: {},
})

export interface Outcome {
  readonly counts: Counts
  readonly profile: string
  readonly violation?: { readonly invariant: string; readonly message: string }
  readonly trace: readonly string[]
}

export function play(
  seed: number,
  options: {
    readonly mutations?: readonly string[]
    readonly isTraced?: boolean
    readonly profile?: string
  } = {},
): Outcome {
  const random = new Random(seed)
  const profile = profileOf(random, options.profile)
  const world = makeWorld(profile, random, options.mutations ?? [])
  if (options.isTraced === true) world.trace = []
  const { counts } = world.truth
  try {
    if (!profile.isCold) settleDown(world, warmRoundsMax, true)
    world.isLeaseIgnored = profile.hasNoLease
    for (let step = 0; step < profile.steps; step += 1) {
      world.nowMs += pauseMs(random)
      stepOnce(world, random)
      counts.steps += 1
    }
    heal(world, random)
    if (settleDown(world, roundsMax)) counts.waiting += 1
    else checkData(world)
    return { counts, profile: profile.name, trace: world.trace ?? [] }
  } catch (error) {
    const invariant = error instanceof Violation ? error.invariant : 'error'
    const message = error instanceof Violation ? error.message : String((error as Error).stack)
    const status = JSON.stringify(world.api.object.status, null, 1)
    return {
      counts,
      profile: profile.name,
      violation: { invariant, message },
      trace: world.trace === undefined ? [] : [...world.trace, status],
    }
  }
}

function stepOnce(world: World, random: Random): void {
  const events = eventsOf(world)
  let total = 0
  for (const { weight } of events) total += weight
  let rest = random.next() * total
  for (const event of events) {
    rest -= event.weight
    if (rest >= 0) continue
    event.run(random)
    return
  }
}

export function makeWorld(profile: Profile, random: Random, mutations: readonly string[]): World {
  const rates = profile.hasDrift ? [0.978, 1, 1.022] : [1]
  const listed = Array.from({ length: profile.listed }, (_, index) => index)
  const object = { version: 1, generation: 1, spec: specOf(profile, listed), listed }
  const world: World = {
    profile,
    mutations: new Set(mutations),
    nowMs: 0,
    nextId: 0,
    servers: Array.from(
      { length: profile.servers },
      (_, index): Server => ({
        index,
        rate: random.pick(rates),
        process: undefined,
        isSuspended: false,
        disk: emptyDisk,
        saved: emptyDisk,
      }),
    ),
    sidecars: Array.from({ length: profile.sidecars }, (_, index) => ({
      index,
      rate: random.pick(rates),
      isUp: true,
      isSuspended: false,
      config: undefined,
      stream: undefined,
      connection: undefined,
      drainUntilMs: undefined,
      grantedUntilMs: Number.NEGATIVE_INFINITY,
      renewals: [],
      nextSeq: 1,
      holdUntilMs: Number.NEGATIVE_INFINITY,
      heard: undefined,
      isFailing: false,
    })),
    operators: [],
    api: {
      object,
      lease: { holder: profile.operators > 1 ? -1 : 0, version: 0 },
      operation: undefined,
      operationCount: 0,
      former: undefined,
      ended: [],
    },
    cuts: new Uint8Array(0),
    writes: [],
    commands: [],
    isLeaseIgnored: false,
    faultsLeft: profile.faultsMax,
    lossesLeft: profile.lossesMax,
    truth: {
      primaryOf: {},
      epochOf: {},
      acked: [],
      kept: [],
      fresh: [],
      losers: [],
      guarded: [],
      targets: [],
      reached: {},
      counts: noCounts(),
    },
    trace: undefined,
  }
  for (let index = 0; index < profile.operators; index += 1) {
    world.operators.push({
      index,
      rate: random.pick(rates),
      wallSkewMs: profile.hasDrift ? random.below(4000) - 2000 : 0,
      isUp: true,
      isSuspended: false,
      leadsUntilMs: profile.operators > 1 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY,
      leaseSeen: { version: -1, atMs: 0 },
      cache: object,
      memory: undefined,
      observations: [],
      views: {},
      password: newId(world, 'pass-'),
      stage: 'idle',
      seen: undefined,
      snapshot: undefined,
      plan: undefined,
      recorded: undefined,
      task: undefined,
      waitsFor: [],
      touched: [],
      requeueAtMs: 0,
    })
  }
  world.cuts = new Uint8Array(nodeCount(world) ** 2)
  for (const server of world.servers) {
    start(world, server, server.index === 0 || server.index >= profile.listed ? undefined : 0)
  }
  return world
}

/** Faults end: everything runs again and every message arrives. */
function heal(world: World, random: Random): void {
  note(world, () => 'faults end')
  world.faultsLeft = 0
  world.isLeaseIgnored = false
  world.cuts.fill(0)
  for (const command of world.commands) {
    if (command.isRun) giveUp(world, command)
    if (!command.isOrphan) continue
    if (random.chance(0.5)) deliver(world, command)
    else forget(world, command)
  }
  for (const server of world.servers) {
    server.isSuspended = false
    if (server.process === undefined) {
      start(world, server, world.profile.restartsAs.includes('parked') ? 'parked' : undefined)
      note(world, () => `s${server.index} starts: ${server.process?.runId}`)
    }
  }
  for (const sidecar of world.sidecars) {
    startSidecar(world, sidecar)
    // A stream that lost a word is a broken one, and says all of it again.
    acknowledge(sidecar)
  }
  for (const operator of world.operators) {
    if (!operator.isUp) startOperator(world, operator, random)
    operator.isSuspended = false
  }
}

/** Fair rounds until all is well. @returns whether it is for a person to go on */
export function settleDown(world: World, rounds: number, isFirst = false): boolean {
  let wrong: string | undefined
  for (let round = 0; round < rounds; round += 1) {
    world.nowMs += roundMs
    fairRound(world)
    wrong = whatIsWrong(world)
    const isKnown =
      !isFirst || world.api.object.status?.members?.every(({ joined }) => joined === true)
    if (wrong === undefined && isKnown) return false
  }
  if (!isFirst && waitsForPerson(world)) return true
  const seconds = (rounds * roundMs) / 1000
  throw new Violation('converges', `after ${seconds} s without faults ${wrong}`)
}

/**
 * Three things are left to people by design: more replicas were lost than confirm a write, so that nobody is known to have
 * every confirmed one; data at a server that was taken off the list; and data behind an address that was never seen to be
 * of the set.
 */
function waitsForPerson({ api, profile }: World): boolean {
  const { conditions, members } = api.object.status ?? {}
  const available = conditions?.find(({ type }) => type === 'PrimaryAvailable')
  const isMoved = profile.servers > profile.listed
  const isUnsure =
    (profile.waitReplicas > 0 || isMoved) && available?.reason === 'NoEligibleCandidate'
  const isForeign = members?.some(
    ({ joined, message }) => joined !== true && message?.startsWith('holds data'),
  )
  return isUnsure || isForeign === true
}

function fairRound(world: World): void {
  for (const server of world.servers) if (server.process) server.process.isLoading = false
  for (let turn = 0; turn < 2; turn += 1) {
    for (const server of world.servers) replicate(world, server, 1000)
  }
  for (const operator of world.operators) {
    if (world.operators.length > 1) renewLease(world, operator)
    watch(world, operator)
    if (!leads(world, operator)) closeStreams(world, operator)
    for (const server of world.servers) probe(world, operator, server.index)
    takeTurns(world, operator)
  }
  for (const sidecar of world.sidecars) attend(world, sidecar.index)
  for (const server of world.servers) replicate(world, server, 1000)
  for (const write of world.writes) answer(world, write)
  trackKept(world)
  dropLost(world)
}

const turnsMax = 4

function takeTurns(world: World, operator: World['operators'][number]): void {
  for (let turn = 0; turn < turnsMax; turn += 1) {
    for (let stage = 0; stage < 40; stage += 1) {
      for (const command of world.commands) deliver(world, command)
      for (let step = 0; step < 40 && operator.task !== undefined; step += 1) {
        stepTask(world, operator)
        for (const server of world.servers) replicate(world, server, 1000)
        if (step > 20) world.nowMs += 100
      }
      advance(world, operator)
      if (operator.stage === 'idle') break
    }
    for (const sidecar of world.sidecars) attend(world, sidecar.index)
    if (operator.requeueAtMs > 1_000_000 + world.nowMs * operator.rate) return
  }
}

function attend(world: World, index: number): void {
  const sidecar = world.sidecars[index]
  if (sidecar === undefined) return
  settle(world, sidecar)
  if (sidecar.stream === undefined) {
    for (const operator of world.operators) connectStream(world, sidecar, operator.index)
  }
  const stream = sidecar.stream as World['sidecars'][number]['stream']
  const operator = world.operators[stream?.operator ?? -1]
  if (operator === undefined) return
  for (let round = 0; round < 2; round += 1) {
    for (let count = 0; count < 8 && (sidecar.stream?.down.length ?? 0) > 0; count += 1)
      hear(world, sidecar)
    if (sidecar.connection === undefined) connect(world, sidecar)
    if (round === 0) {
      renew(world, sidecar)
      report(world, sidecar)
    }
    for (let count = 0; count < 8 && (sidecar.stream?.up.length ?? 0) > 0; count += 1) {
      listen(world, operator, sidecar)
    }
  }
  send(world, sidecar)
  for (const write of world.writes) if (write.sidecar === index) arrive(world, write)
  for (const server of world.servers) replicate(world, server, 1000)
  for (const write of world.writes) if (write.sidecar === index) answer(world, write)
  settle(world, sidecar)
}

/** Faults end, and it comes back in order with everything that had to be kept, or with something that is left to a person. */
export function recover(world: World): void {
  heal(world, new Random(1))
  if (!settleDown(world, roundsMax)) checkData(world)
}

/** Whether it is as it should be, or waits for a person, as far as can be told without another write. */
export function isInOrder(world: World): boolean {
  if (whatIsMissing(world) !== undefined) return waitsForPerson(world)
  checkData(world)
  return true
}

/** Steady, everyone attached, and every sidecar has written; else what is missing. */
function whatIsWrong(world: World): string | undefined {
  const missing = whatIsMissing(world)
  if (missing !== undefined) return missing
  const silent = world.sidecars.find(({ heard, config }) => heard?.epoch !== config?.epoch)
  if (silent !== undefined) return `p${silent.index} cannot write`
  const [write] = world.writes
  return write && `w${write.id} is not answered`
}

function whatIsMissing(world: World): string | undefined {
  const { status, listed } = world.api.object
  const { primary, phase, intent } = status ?? {}
  if (primary === undefined || phase !== 'Steady' || intent !== undefined) {
    const reason = status?.conditions?.find(({ type }) => type === 'PrimaryAvailable')?.message
    return `the phase is ${phase}: ${reason}`
  }
  const { operation } = world.api
  const last = status?.operation
  const isOver = last?.name === operation?.name && last?.phase !== 'Running'
  if (operation !== undefined && !isOver) return `${operation.name} does not end`
  const source = world.servers.find(({ process }) => process?.runId === primary.runId)
  if (source?.process?.isPrimary !== true) return `${primary.runId} is not a primary`
  if (!listed.includes(source.index)) return `the primary s${source.index} is not listed`
  for (const index of listed) {
    const own = world.servers[index]?.process
    if (index === source.index) continue
    if (own?.linkRunId !== primary.runId) return `s${index} is not attached`
    if (offsetOf(own) !== offsetOf(source.process)) return `s${index} is behind`
  }
  const cutOff = world.sidecars.find(({ connection }) => connection?.runId !== primary.runId)
  return cutOff && `p${cutOff.index} cannot write`
}
