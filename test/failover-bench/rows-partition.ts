/** Primaries that come back, networks that split, and links that flap: R4, R6, R7. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Lab, type LabServer, type Undo, wallMs } from '../faults/lab/index.ts'
import { until } from '../support/servers.ts'
import { Respmesh } from './respmesh.ts'
import { type Row, kinds, ms } from './row.ts'
import { begin, end, isReplaced, lengthOf, longest, tally } from './trial.ts'
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

export const policies = {
  default: {},
  'operatorAway: StopWrites, grantTtl: 1s': { failover: 'operatorAway: StopWrites, grantTtl: 1s' },
  'StopWrites, grantTtl 1s, waitReplicas 1': {
    failover: 'operatorAway: StopWrites, grantTtl: 1s',
    proxy: 'writes: {waitReplicas: 1, waitTimeout: 1s}',
  },
} as const

/** The primary and a sidecar on one side, everyone else on the other; clients write on both. */
export async function partition(
  policy: keyof typeof policies,
  splitMs: number,
): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 1, ...policies[policy] })
  try {
    const { lab } = rig
    const left = [lab.primary.name, 'sidecar-1']
    const right = [...lab.servers, ...lab.sidecars]
      .map(({ name }) => name)
      .filter((name) => !left.includes(name))
    await begin(rig.writers, 'partition')
    const splitAtMs = wallMs()
    await lab.network.split(left, [...right, 'operator'])
    await delay(Math.max(0, splitAtMs + splitMs - wallMs()))
    const healedMs = wallMs()
    const epochs = lab.history().filter(({ atMs }) => atMs < healedMs)
    await lab.network.heal()
    await Promise.all(rig.writers.map((writers) => writers.progress(50)))
    const [minority = [], majority = []] = await Promise.all(
      rig.writers.map((writers) => writers.end()),
    )
    await rig.settle()
    const last = await tally(await rig.primary(), minority)
    const others = await tally(await rig.primary(), majority)
    const isPromoted = (epochs.at(-1)?.proxy.status?.epoch ?? 0) > 1
    const span = { splitAtMs, healedMs, isPromoted }
    const facts = { minority: sideOf(minority, span), majority: sideOf(majority, span) }
    const acked = last.acked + others.acked
    const lost = last.lost + others.lost
    return partitionRows(`partition ${splitMs / 1000} s, ${policy}`, {
      ...facts,
      isPromoted,
      lost,
      acked,
      isLossy: policy === 'operatorAway: StopWrites, grantTtl: 1s',
    })
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

function sideOf(
  results: readonly WriterResult[],
  { splitAtMs, healedMs }: { readonly splitAtMs: number; readonly healedMs: number },
): Side {
  const gaps = results.flatMap((each) => {
    const most = longest([each], ([from, upTo]) => upTo >= splitAtMs && from <= healedMs)
    return lengthOf(most) === 0 ? [] : [most]
  })
  return {
    wroteForMs: Math.max(...gaps.map(([from]) => from)) - splitAtMs,
    backAfterMs: Math.max(...gaps.map(([, upTo]) => upTo)) - splitAtMs,
  }
}

interface PartitionFacts {
  readonly minority: Side
  readonly majority: Side
  readonly isPromoted: boolean
  readonly lost: number
  readonly acked: number
  readonly isLossy: boolean
}

function partitionRows(what: string, facts: PartitionFacts): readonly Row[] {
  const { minority, majority, isPromoted, lost, acked, isLossy } = facts
  const share = `${lost} of ${acked} (${((100 * lost) / acked).toFixed(2)} %)`
  const both = isPromoted ? Math.max(0, minority.wroteForMs - majority.backAfterMs) : 0
  const aim = isLossy ? '≤ 0.1 %, none after grantTtl' : '0'
  const isMet = isLossy ? lost <= acked / 1000 : lost === 0
  const stall = isPromoted
    ? `a new primary served the rest after ${ms(majority.backAfterMs)}; the cut off side acknowledged for ${ms(minority.wroteForMs)} more`
    : `no promotion; the cut off side went on, the rest waited for ${ms(majority.backAfterMs)}`
  return [
    row('R6', `${what}: acknowledged writes lost`, share, aim, isMet),
    row('R6', `${what}: both sides acknowledged`, `${ms(both)}; ${stall}`, '0 ms', both === 0),
  ]
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
