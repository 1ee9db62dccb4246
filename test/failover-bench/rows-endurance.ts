/** Many restarts and many failovers in a row: R21, R22. */
import { readFileSync, readdirSync } from 'node:fs'
import { until } from '../support/servers.ts'
import type { LabServer } from '../faults/lab/index.ts'
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
  readonly handles: number
}

/** Failovers and planned changes, as fast as all is in order again. */
export async function storm(failovers: number): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 2 })
  const { lab } = rig
  const pids = { operator: lab.operator.pid, sidecar: lab.sidecars[0]?.pid ?? 0 }
  try {
    await begin(rig.writers, 'storm')
    // What is made once is not growth.
    for (let count = 0; count < 4; count += 1) await change(rig, count)
    const before = { operator: useOf(pids.operator), sidecar: useOf(pids.sidecar) }
    const startedMs = performance.now()
    for (let count = 0; count < failovers; count += 1) await change(rig, count)
    const seconds = (performance.now() - startedMs) / 1000
    const after = { operator: useOf(pids.operator), sidecar: useOf(pids.sidecar) }
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
      growth(`${what}: operator`, before.operator, after.operator),
      growth(`${what}: sidecar`, before.sidecar, after.sidecar),
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

function useOf(pid: number): Use {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  return { rssMb, handles: readdirSync(`/proc/${pid}/fd`).length }
}

function growth(what: string, before: Use, after: Use): Row {
  const percent = 100 * (after.rssMb / before.rssMb - 1)
  return {
    id: 'R22',
    what,
    figure: `RSS ${before.rssMb.toFixed(1)} → ${after.rssMb.toFixed(1)} MB (${percent.toFixed(1)} %), handles ${before.handles} → ${after.handles}`,
    aim: 'RSS ≤ 5 % more, handles back',
    isMet: percent <= 5 && after.handles <= before.handles + 2,
  }
}
