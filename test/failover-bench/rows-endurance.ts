/** Many crashes, many restarts and many failovers in a row: R3, R21, R22. */
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../sim/random.ts'
import { until } from '../support/servers.ts'
import type { LabOperator, LabServer, LabSidecar } from '../faults/lab/index.ts'
import { Respmesh } from './respmesh.ts'
import { type Row, kinds, ms, quantile } from './row.ts'
import {
  type Tally,
  add,
  begin,
  end,
  isReplaced,
  lengthOf,
  longest,
  nothing,
  tally,
} from './trial.ts'

const followMaxMs = 30_000
/** Writing before and after a kill, so that most of it meets one at some time. */
const crashPassMs = { before: 3000, after: 1000 }

/** The primary is killed in the middle of writing, again and again, until so many writes were acknowledged. */
export async function crashes(
  { writes, maxMs }: { readonly writes: number; readonly maxMs: number },
  random: Random,
): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  try {
    const untilMs = performance.now() + maxMs
    let sum: Tally = nothing
    let kills = 0
    for (; sum.acked < writes && performance.now() < untilMs; kills += 1) {
      await rig.settle()
      await begin(rig.writers, `crash-${kills}`)
      await delay(crashPassMs.before * (0.5 + random.next()))
      const old = await rig.primary()
      await old.kill()
      await until('another primary', () => isReplaced(rig, old), followMaxMs)
      await delay(crashPassMs.after * random.next())
      await Promise.all(rig.writers.map((writers) => writers.progress(50)))
      const results = await end(rig.writers)
      await rig.restart(old)
      await rig.settle()
      sum = add(sum, await tally(await rig.primary(), results))
    }
    const { acked, lost, doubled, errors, unknownPerWriterMax, refused } = sum
    return [
      {
        id: 'R3',
        what: `primary killed ${kills} times under load`,
        figure: `${lost} of ${acked} acknowledged writes lost, ${doubled} run twice, errors: ${kinds(errors)}, at most ${unknownPerWriterMax} of unknown outcome on a connection per kill`,
        aim: `0 of ≥ ${writes}`,
        isMet: acked >= writes && lost === 0 && doubled === 0 && refused === 0,
      },
    ]
  } finally {
    await rig.stop()
  }
}

/** All servers are restarted in turn, the primary among them. */
export async function rollingServers(rounds: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s' })
  try {
    const stalls: number[] = []
    let sum: Tally = nothing
    for (let round = 0; round < rounds; round += 1) {
      for (const server of rig.servers) {
        await rig.settle()
        await begin(rig.writers, `${round}-${server.name}`)
        await replaced(rig, server, () => rig.restart(server))
        const results = await end(rig.writers)
        await rig.settle()
        sum = add(sum, await tally(await rig.primary(), results))
        stalls.push(lengthOf(longest(results, () => true)))
      }
    }
    const { acked, lost, errors, refused } = sum
    const slowest = Math.max(...stalls)
    return [
      {
        id: 'R21',
        what: `3 servers restarted in turn, ${rounds} rounds`,
        figure: `stall p50 ${ms(quantile(stalls, 0.5))}, max ${ms(slowest)} per restart, ${lost} of ${acked} lost, errors: ${kinds(errors)}`,
        aim: '≤ 1 s per restart, 0 lost',
        isMet: slowest <= 1000 && lost === 0 && refused === 0,
      },
    ]
  } finally {
    await rig.stop()
  }
}

/** Runs `act`, which may take the primary away, until writers go on. */
async function replaced(rig: Respmesh, server: LabServer, act: () => Promise<void>) {
  const runId = await server.runId()
  const wasPrimary = (await rig.primary()) === server
  await act()
  if (wasPrimary) {
    const isNew = () => {
      const { primary } = rig.lab.status
      return primary !== undefined && primary.runId !== runId
    }
    await until('a primary of another epoch', isNew, followMaxMs)
  }
  await Promise.all(rig.writers.map((writers) => writers.progress(50)))
}

interface Use {
  readonly rssMb: number
  /** What is left after garbage was collected. */
  readonly heapMb: number
  readonly handles: number
}

/** What is made once, and code that is compiled once it is often run, is not growth. */
const warmUpFailovers = 20

/** Failovers and planned changes, as fast as all is in order again. */
export async function storm(failovers: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 2, isMeasured: true })
  const { lab } = rig
  const [sidecar] = lab.sidecars
  if (sidecar === undefined) throw new Error('the lab has no sidecar')
  const uses = async () => ({ operator: await useOf(lab.operator), sidecar: await useOf(sidecar) })
  try {
    await begin(rig.writers, 'storm')
    for (let count = 0; count < warmUpFailovers; count += 1) await change(rig, count)
    const before = await uses()
    const startedMs = performance.now()
    for (let count = 0; count < failovers; count += 1) await change(rig, count)
    const seconds = (performance.now() - startedMs) / 1000
    const after = await uses()
    const results = await end(rig.writers)
    await rig.settle()
    const { acked, lost, errors } = await tally(await rig.primary(), results)
    const what = `${failovers} failovers in ${seconds.toFixed(0)} s`
    return [
      {
        id: 'R22',
        what: `${what}: writes`,
        figure: `${lost} of ${acked} lost, errors: ${kinds(errors)}`,
        aim: '0 lost',
        isMet: lost === 0,
      },
      ...growth(`${what}: operator`, before.operator, after.operator),
      ...growth(`${what}: sidecar`, before.sidecar, after.sidecar),
    ]
  } finally {
    await rig.stop()
  }
}

async function change(rig: Respmesh, count: number): Promise<void> {
  await rig.settle()
  const old = await rig.primary()
  const isPlanned = count % 2 === 1
  await (isPlanned ? rig.switchOver() : old.kill())
  await until('another primary', () => isReplaced(rig, old), followMaxMs)
  if (!isPlanned) await rig.restart(old)
  await rig.settle()
}

async function useOf(part: LabOperator | LabSidecar): Promise<Use> {
  const status = readFileSync(`/proc/${part.pid}/status`, 'utf8')
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  const handles = readdirSync(`/proc/${part.pid}/fd`).length
  return { rssMb, handles, heapMb: await part.heapMb() }
}

/** A heap that is as large as before has no leak, while V8 may have taken more room for young objects meanwhile. */
function growth(what: string, before: Use, after: Use): readonly Row[] {
  const heap = 100 * (after.heapMb / before.heapMb - 1)
  const rss = 100 * (after.rssMb / before.rssMb - 1)
  return [
    {
      id: 'R22',
      what: `${what}: kept`,
      figure: `heap after collection ${before.heapMb.toFixed(1)} → ${after.heapMb.toFixed(1)} MB (${heap.toFixed(1)} %), handles ${before.handles} → ${after.handles}`,
      aim: 'heap ≤ 5 % more, handles back',
      isMet: heap <= 5 && after.handles <= before.handles + 2,
    },
    {
      id: 'R22',
      what: `${what}: resident`,
      figure: `RSS ${before.rssMb.toFixed(1)} → ${after.rssMb.toFixed(1)} MB (${rss.toFixed(1)} %)`,
      aim: 'RSS ≤ 5 % more',
      isMet: rss <= 5,
    },
  ]
}
