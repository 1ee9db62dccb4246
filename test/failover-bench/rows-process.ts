/** What happens to clients when a process of ours ends, and transactions across a failover: R15, R18, R20. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, type Lab, type Reply, textOf, wallMs } from '../faults/lab/index.ts'
import type { Random } from '../sim/random.ts'
import { until } from '../support/servers.ts'
import { Respmesh } from './respmesh.ts'
import { promotedTwice } from './rows-operators.ts'
import { type Row, kinds, ms, quantile } from './row.ts'
import { begin, end, isReplaced, lengthOf, longest, tally } from './trial.ts'

const followMaxMs = 30_000

/** Each client has a transaction queued; the primary is killed around the time of its EXEC. */
export async function transactions(
  size: { readonly clients: number; readonly rounds: number },
  random: Random,
): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  const { lab } = rig
  let [halves, lost, executed, failed] = [0, 0, 0, 0]
  try {
    const clients = await Promise.all(
      Array.from({ length: size.clients }, async (_none, at) =>
        lab.sidecars[at % lab.sidecars.length]?.connect(),
      ),
    )
    for (let round = 0; round < size.rounds; round += 1) {
      const replies = await killAroundExec(rig, clients, { round, random })
      const isThere = async (side: string, at: number) =>
        (await lab.primary.call('LPOS', `${side}:${at}`, String(round))) !== null
      for (const [at, reply] of replies.entries()) {
        const [a, b] = await Promise.all([isThere('a', at), isThere('b', at)])
        if (a !== b) halves += 1
        if (Array.isArray(reply)) executed += 1
        else failed += 1
        if (Array.isArray(reply) && !a) lost += 1
      }
    }
    for (const client of clients) client?.close()
  } finally {
    await rig.stop()
  }
  const count = size.clients * size.rounds
  return [
    {
      id: 'R15',
      what: 'primary killed around EXEC',
      figure: `${count - halves} of ${count} all or nothing; ${executed} executed, ${failed} refused or unknown, ${lost} acknowledged and lost`,
      aim: 'all, none lost',
      isMet: halves === 0 && lost === 0,
    },
  ]
}

async function killAroundExec(
  rig: Respmesh,
  clients: readonly (Client | undefined)[],
  { round, random }: { readonly round: number; readonly random: Random },
): Promise<readonly (Reply | Error | undefined)[]> {
  await rig.settle()
  const old = await rig.primary()
  await Promise.all(
    clients.map(async (client, at) => {
      await client?.call('MULTI')
      await client?.call('RPUSH', `a:${at}`, String(round))
      await client?.call('RPUSH', `b:${at}`, String(round))
    }),
  )
  const killing = delay(5).then(() => old.kill())
  const replies = await Promise.all(
    clients.map(async (client) => {
      await delay(10 * random.next())
      return client?.call('EXEC').catch((error: Error) => error)
    }),
  )
  await killing
  await until('another primary', () => isReplaced(rig, old), followMaxMs)
  await rig.restart(old)
  await rig.settle()
  return replies
}

/** The operator dies, or stands still, in the middle of failovers; and is away for a while without any. */
export async function operatorAway(size: {
  readonly rounds: number
  readonly awayMs: number
}): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  try {
    const died: number[] = []
    const stopped: number[] = []
    await begin(rig.writers, 'operator')
    for (let round = 0; round < size.rounds; round += 1) {
      died.push(await failOverWith(rig, dieInBetween))
      stopped.push(await failOverWith(rig, stopInBetween))
    }
    const results = await end(rig.writers)
    const { acked, lost, refused, errors } = await tally(await rig.primary(), results)
    const slowest = Math.max(...died, ...stopped)
    const twice = promotedTwice(rig.lab)
    const what = 'operator in mid-failover'
    return [
      {
        id: 'R18',
        what: `${what}: from its return to the next primary`,
        figure: `p50 ${ms(quantile(died, 0.5))} after a kill, ${ms(quantile(stopped, 0.5))} after a stop, max ${ms(slowest)}`,
        aim: '≤ 2 s',
        isMet: slowest <= 2000,
      },
      {
        id: 'R18',
        what: `${what}: promotions and losses`,
        figure: `${twice} epochs with two primaries, ${lost} of ${acked} lost, errors: ${kinds(errors)}`,
        aim: '0 and 0',
        isMet: twice === 0 && lost === 0 && refused === 0,
      },
      await idleWithout(rig, size.awayMs),
    ]
  } finally {
    await rig.stop()
  }
}

/** @returns how long it took from the operator’s return to the next primary on record */
async function failOverWith(
  rig: Respmesh,
  disturb: (lab: Lab, kill: () => Promise<void>) => Promise<number>,
): Promise<number> {
  await rig.settle()
  const old = await rig.primary()
  const backMs = await disturb(rig.lab, () => old.kill())
  await until('another primary', () => isReplaced(rig, old), followMaxMs)
  const named = rig.lab
    .history()
    .find(({ atMs, proxy }) => atMs >= backMs && proxy.status?.primary !== undefined)
  const tookMs = (named?.atMs ?? wallMs()) - backMs
  await rig.restart(old)
  await Promise.all(rig.writers.map((writers) => writers.progress(20)))
  return Math.max(0, tookMs)
}

async function dieInBetween({ operator }: Lab, kill: () => Promise<void>): Promise<number> {
  operator.dieAt('after record:Fencing')
  await kill()
  await operator.died(followMaxMs)
  const backMs = wallMs()
  await operator.start()
  return backMs
}

async function stopInBetween(lab: Lab, kill: () => Promise<void>): Promise<number> {
  await kill()
  await until('it is fencing', () => lab.status.primary === undefined, followMaxMs)
  lab.operator.stop()
  await delay(1000)
  lab.operator.continue()
  return wallMs()
}

async function idleWithout(rig: Respmesh, awayMs: number): Promise<Row> {
  const { operator } = rig.lab
  await begin(rig.writers, 'away')
  await operator.kill()
  await delay(awayMs)
  await operator.start()
  await rig.settle()
  const results = await end(rig.writers)
  await rig.settle()
  const { acked, lost, errors } = await tally(await rig.primary(), results)
  const stallMs = lengthOf(longest(results, () => true))
  return {
    id: 'R18',
    what: `operator away for ${awayMs / 1000} s without a fault`,
    figure: `errors: ${kinds(errors)}, ${lost} of ${acked} lost, longest stall ${ms(stallMs)}`,
    aim: 'no errors, 0 lost',
    isMet: Object.keys(errors).length === 0 && lost === 0,
  }
}

/** A sidecar is asked to end under load, and started again. */
export async function rollingSidecar(rounds: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  const [sidecar] = rig.lab.sidecars
  if (sidecar === undefined) throw new Error('the lab has no sidecar')
  try {
    const drains: number[] = []
    const blocked: string[] = []
    await begin(rig.writers, 'rolling')
    for (let round = 0; round < rounds; round += 1) {
      const client = await sidecar.connect()
      const waiting = client.call('BLPOP', 'nothing', '0').catch((error: Error) => error)
      await delay(200)
      const startedMs = wallMs()
      await sidecar.terminate()
      drains.push(wallMs() - startedMs)
      const answer = await waiting
      blocked.push(answer instanceof Error ? answer.message : textOf(answer) || 'no reply')
      await sidecar.start()
      await sidecar.serves(followMaxMs)
      await Promise.all(rig.writers.map((writers) => writers.progress(20)))
    }
    const results = await end(rig.writers)
    await rig.settle()
    const { acked, lost, doubled, errors } = await tally(await rig.primary(), results)
    const drainMs = Math.max(...drains)
    const isClean = Object.keys(errors).length === 0 && lost === 0 && doubled === 0
    return [
      {
        id: 'R20',
        what: `sidecar asked to end under load, ${rounds} times`,
        figure: `errors: ${kinds(errors)}, ${lost} of ${acked} lost, ${doubled} run twice, longest drain ${ms(drainMs)}, a blocked client: ${[...new Set(blocked)].join('; ')}`,
        aim: 'no errors, 0 lost, drain ≤ 10 s',
        isMet: isClean && drainMs <= 10_000,
      },
    ]
  } finally {
    await rig.stop()
  }
}
