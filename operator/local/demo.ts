/**
 * The whole local story, unattended: write, kill the primary, see a replica promoted and writes go on, see the
 * old primary come back as a replica, and account for every acknowledged write.
 */
import type { RedisProxyStatus } from '../api/redis-proxy.ts'
import { demoDeadlineMs } from '../../common/limits.ts'
import { SystemError } from '../../common/errors.ts'
import type { LocalWorld } from './world.ts'
import { Writer } from './writer.ts'

export interface DemoTrial {
  readonly killedAddress: string
  readonly promotedAddress: string
  readonly epoch: number
  readonly killToPublishedMs: number
  readonly killToFirstWriteMs: number
  readonly killToRejoinedMs: number
  readonly ackedWrites: number
  readonly errors: number
  readonly errorKinds: Readonly<Record<string, number>>
  readonly lost: number
  readonly lostOnReplicas: number
}

export interface DemoResult {
  readonly trials: readonly DemoTrial[]
  readonly p50KillToFirstWriteMs: number
  readonly ackedWrites: number
  readonly lost: number
  readonly held: boolean
}

export interface DemoModules {
  readonly say: (line: string) => void
}

const connections = 4
const paceMs = 1
const writesBetween = 500

/** @throws SystemError RM_LOCAL_START if a step does not come to pass in time */
export async function playDemo(
  world: LocalWorld,
  trialCount: number,
  { say }: DemoModules,
): Promise<DemoResult> {
  const trials: DemoTrial[] = []
  for (let index = 0; index < trialCount; index += 1) {
    if (trialCount > 1) say(`trial ${index + 1} of ${trialCount}`)
    trials.push(await playTrial(world, `demo:${index}`, { say }))
  }
  const times = trials.map(({ killToFirstWriteMs }) => killToFirstWriteMs).sort((a, b) => a - b)
  const lost = sum(trials.map((trial) => trial.lost + trial.lostOnReplicas))
  return {
    trials,
    p50KillToFirstWriteMs: times[Math.floor((times.length - 1) / 2)] ?? Number.NaN,
    ackedWrites: sum(trials.map(({ ackedWrites }) => ackedWrites)),
    lost,
    held: lost === 0,
  }
}

async function playTrial(
  world: LocalWorld,
  prefix: string,
  { say }: DemoModules,
): Promise<DemoTrial> {
  await reached(world, 'primary, replicas and sidecars in order', isInOrder)
  const port = world.sidecars()[0]?.port ?? 0
  const from = world.proxy().status?.primary?.address ?? ''
  const epoch = world.proxy().status?.epoch ?? 0
  say(
    `the primary is ${from} (epoch ${epoch}); ${connections} clients write through 127.0.0.1:${port}`,
  )
  const writer = new Writer({ port, prefix, connections, paceMs })
  try {
    await inTime('writes through the sidecar', writer.more(writesBetween))
    say(`${writer.figures().acked} writes acknowledged`)
    const killedMs = await killPrimary(world, from)
    writer.mark()
    say(`kill -9 of the primary ${from}`)
    const published = reached(
      world,
      'a promotion',
      (status) => status.primary !== undefined && (status.epoch ?? 0) > epoch,
    ).then(() => performance.now() - killedMs)
    const firstAckMs = await inTime('a write after the kill', writer.firstAckAfterMark())
    const killToPublishedMs = await published
    const to = world.proxy().status?.primary?.address ?? ''
    say(`${to} is the primary, ${killToPublishedMs.toFixed(0)} ms after the kill`)
    say(`first write acknowledged ${(firstAckMs - killedMs).toFixed(0)} ms after the kill`)
    await inTime('more writes', writer.more(writesBetween))
    await reached(world, `${from} back as a replica`, isInOrder)
    const killToRejoinedMs = performance.now() - killedMs
    say(
      `${from} is back, as a replica of ${to}, ${(killToRejoinedMs / 1000).toFixed(1)} s after the kill`,
    )
    await inTime('more writes', writer.more(writesBetween))
    await writer.stop()
    const { acked, errors, errorKinds } = writer.figures()
    const counted = await countLost(world, writer, to)
    say(`${acked} writes acknowledged, ${errors} refused with an error, ${counted.lost} lost`)
    return {
      killedAddress: from,
      promotedAddress: to,
      epoch: world.proxy().status?.epoch ?? 0,
      killToPublishedMs: round(killToPublishedMs),
      killToFirstWriteMs: round(firstAckMs - killedMs),
      killToRejoinedMs: round(killToRejoinedMs),
      ackedWrites: acked,
      errors,
      errorKinds,
      ...counted,
    }
  } finally {
    await writer.stop()
  }
}

async function killPrimary(world: LocalWorld, address: string): Promise<number> {
  const pid = world.servers?.pidOf(address)
  const killedMs = performance.now()
  if (pid === undefined || world.servers?.signal(address, 'SIGKILL') !== true) {
    throw new SystemError('RM_LOCAL_START', `${address} does not run, so it cannot be killed`)
  }
  await reachedBy(world, `${address} gone`, () => world.servers?.pidOf(address) !== pid)
  return killedMs
}

/** Looks on the new primary itself, and on its replicas once they have all of its history. */
async function countLost(
  world: LocalWorld,
  writer: Writer,
  primary: string,
): Promise<{ readonly lost: number; readonly lostOnReplicas: number }> {
  const missing = await writer.missingAt(portOf(primary))
  const others = (world.servers?.addresses() ?? []).filter((address) => address !== primary)
  let lostOnReplicas = 0
  for (const address of others) {
    const missingThere = await settled(() => writer.missingAt(portOf(address)))
    lostOnReplicas += missingThere.filter((key) => !missing.includes(key)).length
  }
  return { lost: missing.length, lostOnReplicas }
}

/** Replication is asynchronous: the last writes get a moment to arrive. */
async function settled(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const deadline = performance.now() + settleMs
  let missing = await look()
  while (missing.length > 0 && performance.now() < deadline) missing = await look()
  return missing
}

const settleMs = 2000

function isInOrder(status: RedisProxyStatus, world: LocalWorld): boolean {
  const is = (type: string) =>
    status.conditions?.some((condition) => condition.type === type && condition.status === 'True')
  const views = world.sidecarViews()
  const areObedient = views.every(({ acked }) => acked?.epoch === status.epoch)
  return (
    is('Ready') === true &&
    is('ReplicationHealthy') === true &&
    views.length === world.sidecars().length &&
    areObedient
  )
}

function reached(
  world: LocalWorld,
  what: string,
  isThere: (status: RedisProxyStatus, world: LocalWorld) => boolean,
): Promise<void> {
  return reachedBy(world, what, () => isThere(world.proxy().status ?? {}, world))
}

async function reachedBy(world: LocalWorld, what: string, isTrue: () => boolean): Promise<void> {
  if (isTrue()) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = () => {
    if (isTrue()) resolve()
  }
  const stop = world.onChange(look)
  const poll = setInterval(look, pollMs)
  try {
    await inTime(what, promise)
  } finally {
    stop()
    clearInterval(poll)
  }
}

const pollMs = 5

async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const message = `${what}: not within ${demoDeadlineMs / 1000} s`
    late.reject(new SystemError('RM_LOCAL_START', message))
  }, demoDeadlineMs)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
