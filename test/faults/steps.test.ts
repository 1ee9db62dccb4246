/**
 * The operator is killed right before and after every step of a failover and of a planned change; the next one goes on
 * from the record. One lab for all; at CI size some of the steps.
 */
import assert from 'node:assert/strict'
import { type TestContext, after, before, test } from 'node:test'
import { judge } from './judge.ts'
import { Lab, namespaceObstacle } from './lab/index.ts'
import { settledData } from './settle.ts'
import { ServerWatch } from './watch.ts'
import { Workload } from './workload.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const obstacle = namespaceObstacle()
const skip = obstacle === undefined ? false : `no faults can be made here: ${obstacle}`

const ofFailover = [
  'before record:Fencing',
  'after record:Fencing',
  'before replicate',
  'after replicate',
  'before record:Promoting',
  'after record:Promoting',
  'before promote',
  'after promote',
  'before record:Steady',
  'after record:Steady',
]
const ofChange = [
  'before record:Switching',
  'after record:Switching',
  'before handOver',
  'after handOver',
  'before record:Steady',
]
const small = ['after record:Fencing', 'after record:Promoting', 'after promote']
const smallOfChange = ['after record:Switching', 'after handOver']

let lab: Lab
let rounds = 0

before(async () => {
  if (skip === false) lab = await Lab.start({ servers: 3, sidecars: 1 })
})
after(async () => {
  if (skip === false) await lab.stop()
})

for (const point of isFull ? ofFailover : small) {
  test(`a failover goes on although the operator died ${point}`, { skip }, (t) =>
    survives(t, point, async () => {
      const { primary } = lab
      await primary.kill()
      return async () => {
        await primary.restart()
      }
    }),
  )
}

for (const point of isFull ? ofChange : smallOfChange) {
  test(`a planned change ends well although the operator died ${point}`, { skip }, (t) =>
    survives(t, point, async () => {
      lab.request({ name: `change-${performance.now().toFixed(0)}`, kind: 'Switchover' })
      return async () => {}
    }),
  )
}

/** Whether writers have what they were promised, whatever `disturb` did and wherever the operator died. */
async function survives(
  t: TestContext,
  point: string,
  disturb: () => Promise<() => Promise<void>>,
): Promise<void> {
  await lab.settled()
  const watch = new ServerWatch(lab.servers)
  rounds += 1
  const name = `${rounds}.`
  const workload = new Workload(lab.sidecars, { writersPerSidecar: 3, readersPerSidecar: 1, name })
  const formerEpoch = lab.status.epoch ?? 0
  try {
    lab.operator.dieAt(point)
    const mend = await disturb()
    await lab.operator.died(15_000)
    await lab.operator.start()
    await mend()
  } finally {
    await lab.connected()
    await lab.settled()
    await workload.stop()
  }
  const data = await settledData(lab)
  await watch.stop()
  const found = judge({ lab, ops: workload.ops, watch, mode: 'async', data })
  t.diagnostic(`epoch ${lab.status.epoch}, stall ${found.longestStallMs} ms, lost ${found.lost}`)
  assert.deepEqual(found.problems, [])
  assert.ok(found.acknowledged > 0)
  assert.ok((lab.status.epoch ?? 0) >= formerEpoch)
}
