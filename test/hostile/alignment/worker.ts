/** Some of the clients of the alignment run, in a thread of their own. */
import { parentPort, workerData } from 'node:worker_threads'
import { Random } from '../fuzz/random.ts'
import { AlignmentClient, newTally } from './client.ts'

export interface WorkerPlan {
  readonly port: number
  readonly ids: readonly string[]
  readonly replyCount: number
  readonly seed: number
  readonly deadlineMs: number
}

const plan = workerData as WorkerPlan
const tally = newTally()
const deadline = performance.now() + plan.deadlineMs
const isOver = () => tally.right >= plan.replyCount || performance.now() > deadline
const reports = setInterval(() => parentPort?.postMessage({ tally, isDone: false }, []), 500)
const clients = plan.ids.map(
  (id, index) =>
    new AlignmentClient({
      port: plan.port,
      id,
      random: new Random(plan.seed + index),
      tally,
      isOver,
    }),
)
await Promise.all(clients.map((client) => client.work()))
clearInterval(reports)
parentPort?.postMessage({ tally, isDone: true }, [])
