/** Two operators, the leading one suspended in mid-failover until its lease is lost: R18. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Lab, type LabOperator, LeaseFile, wallMs } from '../faults/lab/index.ts'
import { until } from '../support/servers.ts'
import { Respmesh } from './respmesh.ts'
import { type Row, kinds, ms } from './row.ts'
import { begin, end, isReplaced, lengthOf, longest, tally } from './trial.ts'

/** The lease must run out first. */
const followMaxMs = 60_000
/** Whatever the suspended one was about to do it has done by then. */
const afterwardsMs = 3000

/** Where it is suspended: with nothing but the intent on record, and between the last check of its lease and a command. */
export const suspensions = ['after record:Fencing', 'before promote'] as const

export async function twoOperators(points: readonly string[]): Promise<readonly Row[]> {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 2, hasStandby: true })
  const { lab } = rig
  try {
    const took: number[] = []
    await begin(rig.writers, 'two')
    for (const point of points) took.push(await failOverPast(rig, point))
    const results = await end(rig.writers)
    await rig.settle()
    const { acked, lost, doubled, errors } = await tally(await rig.primary(), results)
    const twice = promotedTwice(lab)
    const strays = strayPromotions(lab)
    const stallMs = lengthOf(longest(results, () => true))
    return [
      {
        id: 'R18',
        what: `the leading of two operators suspended ${points.join(', ')}, and resumed when its lease was lost`,
        figure: `${twice} epochs with two primaries, ${strays} promotions that were not on record, ${lost} of ${acked} lost, ${doubled} run twice; the other one named a primary ${took.map(ms).join(', ')} after the suspension, longest stall ${ms(stallMs)}, errors: ${kinds(errors)}`,
        aim: '0, 0, 0 and 0',
        isMet: twice === 0 && strays === 0 && lost === 0 && doubled === 0,
      },
    ]
  } finally {
    await rig.stop()
  }
}

/** @returns how long after the suspension the other operator had a primary on record */
async function failOverPast(rig: Respmesh, point: string): Promise<number> {
  const { lab } = rig
  await rig.settle()
  const old = await rig.primary()
  const leader = leaderOf(lab)
  leader.stopAt(point)
  await old.kill()
  await leader.stopped(followMaxMs)
  const stoppedMs = wallMs()
  await until('another primary', () => isReplaced(rig, old), followMaxMs)
  const tookMs = wallMs() - stoppedMs
  leader.continue()
  await delay(afterwardsMs)
  if (leaderOf(lab) === leader) throw new Error('the lease was not lost')
  await rig.restart(old)
  await Promise.all(rig.writers.map((writers) => writers.progress(20)))
  return tookMs
}

function leaderOf({ directory, operator, standby }: Lab): LabOperator {
  const { holder } = new LeaseFile(directory)
  const leader = [operator, standby].find((each) => each?.name === holder)
  if (leader === undefined) throw new Error(`no operator of the lab is ${holder ?? 'the leader'}`)
  return leader
}

export function promotedTwice(lab: Lab): number {
  const primaries = new Map<number, Set<string>>()
  for (const { proxy } of lab.history()) {
    const { epoch = 0, primary } = proxy.status ?? {}
    if (primary === undefined) continue
    primaries.set(epoch, (primaries.get(epoch) ?? new Set()).add(primary.runId))
  }
  return [...primaries.values()].filter((processes) => processes.size > 1).length
}

/** Processes that an operator says it promoted, and that no record names as a target. */
function strayPromotions(lab: Lab): number {
  const targets = new Set(lab.history().map(({ proxy }) => proxy.status?.intent?.targetRunId))
  const told = [lab.operator, lab.standby].flatMap((operator) => operator?.promotions() ?? [])
  return told.filter((runId) => !targets.has(runId)).length
}
