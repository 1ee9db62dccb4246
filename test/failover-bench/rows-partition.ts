/** Primaries that come back, networks that split, and links that flap: R4, R6, R7. */
import { setTimeout as delay } from 'node:timers/promises'
import { grantMarginMs, grantMarginRatio } from '../../common/limits.ts'
import {
  type Lab,
  type LabOptions,
  type LabServer,
  type Undo,
  wallMs,
} from '../faults/lab/index.ts'
import { until } from '../support/servers.ts'
import { Respmesh } from './respmesh.ts'
import { type Row, kinds, ms } from './row.ts'
import { add, begin, end, isReplaced, lengthOf, longest, tally } from './trial.ts'
import type { WriterResult } from './writers.ts'

const followMaxMs = 40_000

/** A primary stops for `stopMs` and goes on as if nothing had been. */
export async function pausedPrimary(stopMs: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  try {
    const old = await rig.primary()
    await begin(rig.writers, 'paused')
    const stoppedMs = wallMs()
    old.stop()
    await until('another primary', () => isReplaced(rig, old), followMaxMs)
    await delay(Math.max(0, stoppedMs + stopMs - wallMs()))
    old.continue()
    const continuedMs = wallMs()
    await until('the old primary is demoted', () => isReplica(old), followMaxMs)
    const demotedMs = wallMs() - continuedMs
    await Promise.all(rig.writers.map((writers) => writers.progress(50)))
    const results = await end(rig.writers)
    await rig.settle()
    const { acked, lost, errors, refused } = await tally(await rig.primary(), results)
    const stallMs = lengthOf(longest(results, () => true))
    const what = `primary stopped for ${stopMs} ms`
    return [
      row('R4', `${what}: longest stall`, ms(stallMs), '≤ 1500 ms', stallMs <= 1500),
      row('R4', `${what}: demoted after SIGCONT`, ms(demotedMs), '≤ 1 s', demotedMs <= 1000),
      row('R4', `${what}: acknowledged writes lost`, `${lost} of ${acked}`, '0', lost === 0),
      row('R4', `${what}: errors`, kinds(errors), '≤ 1 of unknown outcome each', refused === 0),
    ]
  } finally {
    await rig.stop()
  }
}

async function isReplica(server: LabServer): Promise<boolean> {
  return (await server.info('replication')).get('role') === 'slave'
}

const grantTtlMs = 1000
const stopWrites = `operatorAway: StopWrites, grantTtl: ${grantTtlMs}ms`

export const unconfirmed = 'operatorAway: StopWrites, grantTtl: 1s'
export const confirmed = 'StopWrites, grantTtl 1s, waitReplicas 1'
const policies: Readonly<Record<string, Pick<LabOptions, 'failover' | 'proxy'>>> = {
  default: {},
  [unconfirmed]: { failover: stopWrites },
  [confirmed]: { failover: stopWrites, proxy: 'writes: {waitReplicas: 1, waitTimeout: 1s}' },
}

interface Split {
  /** When the first and the last packet filter was set. */
  readonly fromMs: number
  readonly doneMs: number
  readonly healedMs: number
  readonly isPromoted: boolean
}

/** The primary and a sidecar on one side, everyone else on the other; clients write on both. */
export async function partition(policy: string, splitMs: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({
    downAfter: '1s',
    paceMs: 1,
    isTimed: true,
    ...policies[policy],
  })
  try {
    const { lab } = rig
    const left = [lab.primary.name, 'sidecar-1']
    const right = [...lab.servers, ...lab.sidecars]
      .map(({ name }) => name)
      .filter((name) => !left.includes(name))
    await begin(rig.writers, 'partition')
    const fromMs = wallMs()
    await lab.network.split(left, [...right, 'operator'])
    const doneMs = wallMs()
    await delay(Math.max(0, fromMs + splitMs - wallMs()))
    const isPromoted = lab.history().some(({ proxy }) => {
      const { epoch = 0, primary } = proxy.status ?? {}
      return epoch > 1 && primary !== undefined
    })
    const split = { fromMs, doneMs, healedMs: wallMs(), isPromoted }
    await lab.network.heal()
    await Promise.all(rig.writers.map((writers) => writers.progress(50)))
    const [minority = [], majority = []] = await Promise.all(
      rig.writers.map((writers) => writers.end()),
    )
    await rig.settle()
    const primary = await rig.primary()
    const sum = add(await tally(primary, minority), await tally(primary, majority))
    const what = `partition ${splitMs / 1000} s, ${policy}`
    return [
      ...lossRows(what, { ...sum, split, minority, isLossy: policy === unconfirmed }),
      availabilityRow(what, {
        minority: sideOf(minority, split),
        majority: sideOf(majority, split),
        isPromoted,
      }),
    ]
  } finally {
    await rig.stop()
  }
}

interface Side {
  /** From the split to its last acknowledgement before its longest stall. */
  readonly wroteForMs: number
  /** From the split until it wrote again. */
  readonly backAfterMs: number
}

function sideOf(results: readonly WriterResult[], { fromMs, healedMs }: Split): Side {
  const gaps = results.flatMap((each) => {
    const most = longest([each], ([from, upTo]) => upTo >= fromMs && from <= healedMs)
    return lengthOf(most) === 0 ? [] : [most]
  })
  return {
    wroteForMs: Math.max(...gaps.map(([from]) => from)) - fromMs,
    backAfterMs: Math.max(...gaps.map(([, upTo]) => upTo)) - fromMs,
  }
}

interface Losses {
  readonly lost: number
  readonly acked: number
  readonly lostAtMs: readonly number[]
  readonly split: Split
  readonly minority: readonly WriterResult[]
  /** Writes are acknowledged before anyone else has them, and go on until the grant ends. */
  readonly isLossy: boolean
}

/** Without confirmation all may be lost that the cut off side acknowledges while it has its grant, and nothing later. */
function lossRows(what: string, losses: Losses): readonly Row[] {
  const { lost, acked, lostAtMs, split, minority, isLossy } = losses
  const share = `${lost} of ${acked} (${((100 * lost) / acked).toFixed(2)} %)`
  const title = `${what}: acknowledged writes lost`
  if (!isLossy) return [row('R6', title, share, '0', lost === 0)]
  const endMs = split.doneMs + grantTtlMs * (1 + grantMarginRatio) + grantMarginMs
  const isWithin = (atMs: number) => atMs >= split.fromMs && atMs <= endMs
  const most = minority.flatMap(({ ackedAtMs }) => ackedAtMs).filter(isWithin).length
  const late = lostAtMs.filter((atMs) => atMs > endMs).length
  const figure = `${share}; that side acknowledged ${most} within its grant`
  const aim = '≤ what the cut off side acknowledges in grantTtl; 0 needs waitReplicas'
  return [
    row('R6', title, figure, aim, lost <= most),
    row(
      'R6',
      `${what}: lost of those acknowledged after grantTtl and skew`,
      `${late}`,
      '0',
      late === 0,
    ),
  ]
}

function availabilityRow(
  what: string,
  {
    minority,
    majority,
    isPromoted,
  }: { readonly minority: Side; readonly majority: Side; readonly isPromoted: boolean },
): Row {
  const both = isPromoted ? Math.max(0, minority.wroteForMs - majority.backAfterMs) : 0
  const stall = isPromoted
    ? `a new primary served the rest after ${ms(majority.backAfterMs)}; the cut off side acknowledged for ${ms(minority.wroteForMs)} more`
    : `no promotion; the cut off side went on, the rest waited for ${ms(majority.backAfterMs)}`
  return row('R6', `${what}: both sides acknowledged`, `${ms(both)}; ${stall}`, '0 ms', both === 0)
}

/** Faults that come and go; each is to make few failovers, or none. */
export async function unsteadyNetwork(flapMs: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 2 })
  try {
    const rows: Row[] = []
    for (const [name, fault] of Object.entries(unsteady)) {
      await rig.settle()
      const former = rig.lab.status.epoch ?? 0
      await begin(rig.writers, name.replaceAll(' ', '-'))
      const isFlapping = name.startsWith('flapping')
      const forMs = isFlapping ? flapMs : Math.min(flapMs, 5000)
      await fault(rig.lab, forMs)
      const results = await end(rig.writers)
      await rig.settle()
      const { acked, lost, errors } = await tally(await rig.primary(), results)
      const failovers = (rig.lab.status.epoch ?? 0) - former
      const stallMs = lengthOf(longest(results, () => true))
      const allowed = isFlapping ? Math.max(1, Math.round((2 * forMs) / 60_000)) : 1
      const figure = `${failovers} failovers in ${forMs / 1000} s, ${lost} of ${acked} lost, longest stall ${ms(stallMs)}, errors: ${kinds(errors)}`
      const aim = isFlapping ? '≤ 2 failovers a minute, 0 lost' : '≤ 1 failover, 0 lost'
      rows.push(row('R7', name, figure, aim, failovers <= allowed && lost === 0))
    }
    return rows
  } finally {
    await rig.stop()
  }
}

const unsteady: Readonly<Record<string, (lab: Lab, forMs: number) => Promise<void>>> = {
  'one way, the operator does not hear the primary': (lab, forMs) =>
    holdFor(forMs, [lab.network.cut({ from: lab.primary.name, to: 'operator' })]),
  'one way, the primary does not hear the operator': (lab, forMs) =>
    holdFor(forMs, [lab.network.cut({ from: 'operator', to: lab.primary.name })]),
  'bridge, the primary and a replica apart': (lab, forMs) =>
    holdFor(forMs, [lab.network.part(lab.primary.name, lab.replicas[0]?.name ?? '')]),
  'ring, each hears its neighbours only': (lab, forMs) => {
    const { network, primary, replicas } = lab
    return holdFor(forMs, [
      network.part(primary.name, 'operator'),
      network.part(replicas[0]?.name ?? '', 'sidecar-1'),
      network.part(replicas[1]?.name ?? '', 'sidecar-2'),
    ])
  },
  'flapping link of the primary, 1 s down, 1 s up': async (lab, forMs) => {
    const { name } = lab.primary
    const untilMs = performance.now() + forMs
    while (performance.now() < untilMs) await holdFor(1000, [lab.network.unplug(name)], 1000)
  },
}

async function holdFor(forMs: number, faults: readonly Promise<Undo>[], restMs = 500) {
  const undoes = await Promise.all(faults)
  await delay(forMs)
  await Promise.all(undoes.map((undo) => undo()))
  await delay(restMs)
}

function row(id: string, what: string, figure: string, aim: string, isMet: boolean): Row {
  return { id, what, figure, aim, isMet }
}
