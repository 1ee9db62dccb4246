/**
 * Sidecars as far as failover can tell: what they obey, when they stop, what they acknowledge, and writes on their way to
 * a server and back. A sidecar looks at its clock before everything that it does.
 */
import { carries, carriesBoth, clockOf, nodeOf, note } from './nodes.ts'
import { append, offsetOf, refusal, replicasAt } from './server.ts'
import { leads } from './lease.ts'
import { checkAck, checkGrant, noteEnd } from './truth.ts'
import {
  type Config,
  type DownMessage,
  type Sidecar,
  type UpMessage,
  Violation,
  type World,
  type Write,
} from './types.ts'

const queueMax = 8

export function say(sidecar: Sidecar, message: UpMessage): void {
  const { stream } = sidecar
  if (stream === undefined) return
  sidecar.stream = { ...stream, up: [...stream.up, message].slice(-queueMax) }
}

export function acknowledge(sidecar: Sidecar, isRefusal = false): void {
  const { config } = sidecar
  if (config === undefined) return
  say(sidecar, { kind: 'ack', version: config.version, epoch: config.epoch, isRefusal })
}

/** Whether it may send to the primary by its grant. */
export function isGranted(world: World, sidecar: Sidecar): boolean {
  if (sidecar.config?.grantTtlMs === undefined) return true
  return clockOf(world, sidecar) < sidecar.grantedUntilMs
}

/** What was sent and not answered is told to its client as lost. */
export function close(sidecar: Sidecar): void {
  sidecar.connection = undefined
}

/** Closes what may not be open any more. */
export function settle(world: World, sidecar: Sidecar): void {
  const { config, connection } = sidecar
  if (connection === undefined) return
  if (!isGranted(world, sidecar) && sidecar.drainUntilMs === undefined) {
    note(world, () => `p${sidecar.index} closes: its grant ran out`)
    close(sidecar)
  }
  if (sidecar.drainUntilMs === undefined) return
  const isLate = clockOf(world, sidecar) >= sidecar.drainUntilMs
  const owes = world.writes.some((write) => write.connection === connection.id)
  if (owes && !isLate && !world.mutations.has('drain not waited for')) return
  close(sidecar)
  sidecar.drainUntilMs = undefined
  note(world, () => `p${sidecar.index} has drained, acknowledges epoch ${config?.epoch}`)
  acknowledge(sidecar)
}

/** The next message of the control plane. */
export function hear(world: World, sidecar: Sidecar): void {
  const { stream } = sidecar
  if (stream === undefined) return
  const [message, ...rest] = stream.down
  if (message === undefined) return
  sidecar.stream = { ...stream, down: rest }
  if (message.kind === 'config') obey(world, sidecar, message.config)
  if (message.kind === 'grant') takeGrant(world, sidecar, message)
  if (message.kind === 'suspect') suspect(world, sidecar, message)
}

function obey(world: World, sidecar: Sidecar, next: Config): void {
  const { config } = sidecar
  if (config !== undefined && !isNewer(world, config, next)) {
    if (sidecar.drainUntilMs === undefined) {
      acknowledge(sidecar, next.epoch !== config.epoch || next.version !== config.version)
    }
    return
  }
  note(world, () => `p${sidecar.index} obeys epoch ${next.epoch}: ${next.runId ?? 'hold'}`)
  sidecar.config = next
  sidecar.holdUntilMs = Number.NEGATIVE_INFINITY
  // What was granted before still ends when it would have ended.
  const drainMaxMs =
    config?.grantTtlMs === undefined ? Number.POSITIVE_INFINITY : sidecar.grantedUntilMs
  if (config?.epoch !== next.epoch) {
    sidecar.renewals = []
    sidecar.grantedUntilMs = Number.NEGATIVE_INFINITY
  }
  const isSame = sidecar.connection !== undefined && sidecar.connection.runId === next.runId
  if (world.mutations.has('acknowledged before it stops') && !isSame) {
    acknowledge(sidecar)
    if (sidecar.connection !== undefined) sidecar.drainUntilMs = clockOf(world, sidecar) + 3000
    return
  }
  if (!isSame && sidecar.connection !== undefined) {
    const untilMs = Math.min(clockOf(world, sidecar) + (next.drainMs ?? 0), drainMaxMs)
    if (next.drainMs !== undefined) sidecar.drainUntilMs = untilMs
    else {
      sidecar.drainUntilMs = undefined
      close(sidecar)
    }
  } else sidecar.drainUntilMs = undefined
  if (sidecar.drainUntilMs === undefined) acknowledge(sidecar)
}

function isNewer(world: World, config: Config, next: Config): boolean {
  if (world.mutations.has('epoch not compared')) return next.version !== config.version
  if (next.epoch !== config.epoch) return next.epoch > config.epoch
  return next.version > config.version
}

function takeGrant(
  world: World,
  sidecar: Sidecar,
  { seq, epoch }: Extract<DownMessage, { kind: 'grant' }>,
) {
  const { config } = sidecar
  const renewal = sidecar.renewals.find((each) => each.seq === seq)
  if (renewal === undefined || epoch !== config?.epoch || config.grantTtlMs === undefined) return
  const isByReceipt = world.mutations.has('grant counted from its receipt')
  const fromMs = isByReceipt ? clockOf(world, sidecar) : renewal.atMs
  sidecar.grantedUntilMs = Math.max(sidecar.grantedUntilMs, fromMs + config.grantTtlMs)
  checkGrant(world, sidecar)
  if (isByReceipt) return
  sidecar.renewals = sidecar.renewals.filter((each) => each.seq > seq)
}

function suspect(
  world: World,
  sidecar: Sidecar,
  { epoch, forMs }: Extract<DownMessage, { kind: 'suspect' }>,
) {
  if (sidecar.config?.epoch !== epoch) return
  sidecar.holdUntilMs = clockOf(world, sidecar) + forMs
}

/** Asks whether it may go on. */
export function renew(world: World, sidecar: Sidecar): void {
  const { config } = sidecar
  if (config?.grantTtlMs === undefined || config.runId === undefined) return
  const seq = sidecar.nextSeq
  sidecar.nextSeq += 1
  const renewal = { seq, atMs: clockOf(world, sidecar), epoch: config.epoch }
  sidecar.renewals = [...sidecar.renewals, renewal].slice(-queueMax)
  say(sidecar, { kind: 'renew', seq, epoch: config.epoch })
}

export function report(world: World, sidecar: Sidecar): void {
  const { config, heard, isFailing } = sidecar
  if (config === undefined) return
  const view = config.runId === undefined ? 'none' : isFailing ? 'failing' : 'ok'
  const heardMsAgo =
    heard?.epoch === config.epoch ? clockOf(world, sidecar) - heard.atMs : undefined
  say(sidecar, {
    kind: 'report',
    view,
    epoch: config.epoch,
    ...(heardMsAgo !== undefined && { heardMsAgo }),
  })
}

/** A new stream to an operator that takes itself for the leader. */
export function connectStream(world: World, sidecar: Sidecar, index: number): void {
  const operator = world.operators[index]
  if (operator === undefined || !leads(world, operator)) return
  const a = nodeOf.sidecar(world, sidecar.index)
  if (!carriesBoth(world, a, nodeOf.operator(world, index))) return
  const config = operator.memory?.published?.config
  const down: DownMessage[] = config === undefined ? [] : [{ kind: 'config', config }]
  sidecar.stream = { operator: index, down, up: [] }
  operator.views = {
    ...operator.views,
    [sidecar.index]: {
      id: `p${sidecar.index}`,
      primary: 'none',
      connectedAtMs: clockOf(world, operator),
    },
  }
}

/** Opens a connection to the primary and asks who is there. */
export function connect(world: World, sidecar: Sidecar): void {
  const { config } = sidecar
  if (config?.server === undefined || sidecar.connection !== undefined) return
  const server = world.servers[config.server]
  const node = nodeOf.sidecar(world, sidecar.index)
  const process = server?.process
  const isThere = process !== undefined && server?.isSuspended === false
  sidecar.isFailing = !isThere || !carriesBoth(world, node, config.server)
  if (sidecar.isFailing || process === undefined) return
  const isMeant = process.runId === config.runId || world.mutations.has('run-id not checked')
  if (!isMeant || !process.isPrimary) {
    sidecar.isFailing = true
    return
  }
  world.nextId += 1
  sidecar.connection = { id: world.nextId, server: config.server, runId: process.runId }
}

export function mayWrite(world: World, sidecar: Sidecar): boolean {
  const { config, connection } = sidecar
  if (connection === undefined || sidecar.drainUntilMs !== undefined) return false
  if (clockOf(world, sidecar) < sidecar.holdUntilMs) return false
  return config?.runId !== undefined && isGranted(world, sidecar)
}

/** Sends one write of a client. */
export function send(world: World, sidecar: Sidecar): void {
  const { config, connection } = sidecar
  if (config === undefined || connection === undefined || !mayWrite(world, sidecar)) return
  world.nextId += 1
  const write: Write = {
    id: world.nextId,
    sidecar: sidecar.index,
    connection: connection.id,
    server: connection.server,
    runId: connection.runId,
    epoch: config.epoch,
    waitReplicas: config.waitReplicas,
  }
  world.writes = [...world.writes, write]
}

/** A write arrives at its server, or never will. */
export function arrive(world: World, write: Write): void {
  if (write.offset !== undefined) return
  const server = world.servers[write.server]
  const own = server?.process
  const from = nodeOf.sidecar(world, write.sidecar)
  if (server === undefined || own?.runId !== write.runId) {
    lose(world, write)
    return
  }
  if (server.isSuspended || !carries(world, from, write.server)) return
  const why = refusal(world, server)
  if (why !== undefined) {
    note(world, () => `s${server.index} refuses w${write.id}: ${why}`)
    if (world.profile.isCalm) throw new Violation('no error', `s${server.index} says ${why}`)
    lose(world, write)
    return
  }
  if (world.nowMs < own.pausedUntilMs) return
  append(own, write.id)
  const { truth } = world
  let otherEpoch = -1
  for (const [runId, epoch] of Object.entries(truth.epochOf)) {
    if (runId !== own.runId) otherEpoch = Math.max(otherEpoch, epoch)
  }
  world.truth = {
    ...truth,
    epochOf: {
      ...truth.epochOf,
      [own.runId]: Math.max(truth.epochOf[own.runId] ?? -1, write.epoch),
    },
  }
  noteEnd(world, own)
  note(
    world,
    () => `s${server.index} runs w${write.id} of p${write.sidecar} (epoch ${write.epoch})`,
  )
  replace(world, { ...write, offset: offsetOf(own), otherEpoch })
}

/** The reply comes back to the sidecar, which tells its client. */
export function answer(world: World, write: Write): void {
  const sidecar = world.sidecars[write.sidecar]
  const server = world.servers[write.server]
  if (sidecar?.connection?.id !== write.connection || server === undefined) {
    if (world.profile.isCalm) {
      throw new Violation('no error', `w${write.id} ran and was not answered in a planned change`)
    }
    lose(world, write)
    return
  }
  if (!sidecar.isUp || sidecar.isSuspended || write.offset === undefined) return
  if (!carries(world, write.server, nodeOf.sidecar(world, write.sidecar))) return
  settle(world, sidecar)
  if (sidecar.connection?.id !== write.connection) {
    lose(world, write)
    return
  }
  if (!isConfirmed(world, write)) return
  lose(world, write)
  sidecar.heard = { atMs: clockOf(world, sidecar), epoch: write.epoch }
  sidecar.isFailing = false
  checkAck(world, write)
}

function isConfirmed(world: World, write: Write): boolean {
  if (write.waitReplicas === 0 || world.mutations.has('replicas not waited for')) return true
  const process = world.servers[write.server]?.process
  // WAIT is answered by the server itself, so that it has to be alive.
  if (process?.runId !== write.runId || !process.isPrimary) return false
  return replicasAt(process, write.offset ?? 0) >= write.waitReplicas
}

function lose(world: World, write: Write): void {
  world.writes = world.writes.filter(({ id }) => id !== write.id)
}

function replace(world: World, write: Write): void {
  world.writes = world.writes.map((each) => (each.id === write.id ? write : each))
}
