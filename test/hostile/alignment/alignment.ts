/**
 * S5: no reply ever reaches another client. Many clients that come and go and ask in every way, while the server’s
 * connections are killed, the server stops for a moment and is now and then replaced; every reply bears its client’s
 * name.
 */
import { Worker } from 'node:worker_threads'
import { setTimeout as delay } from 'node:timers/promises'
import { residentNow } from '../run-row.ts'
import { type Site, startSidecar } from '../sites.ts'
import { ask, command, open } from '../wire.ts'
import { keyCount, keyOf, newTally, type Tally, valueOf } from './client.ts'
import type { WorkerPlan } from './worker.ts'

export interface AlignmentOptions {
  readonly replyCount: number
  readonly seed: number
  readonly usesSources: boolean
  readonly deadlineMs: number
  readonly say: (text: string) => void
}

export interface AlignmentReport extends Omit<Tally, 'right'> {
  readonly replies: number
  readonly clients: number
  readonly seed: number
  readonly serverConnectionsKilled: number
  readonly serverStops: number
  readonly serverRestarts: number
  readonly deaths: number
  readonly rssGrowthBytes: number
  readonly seconds: number
  /** The last disturbances before the first foreign reply was seen, or none. */
  readonly disturbances: readonly string[]
}

const clientCount = 200
const workerCount = 2
const chaosEveryMs = 700
/** Of this many disturbances one is a new server process. */
const restartEvery = 20

export async function alignment(options: AlignmentOptions): Promise<AlignmentReport> {
  const site = await startSidecar({ usesSources: options.usesSources })
  const ids = Array.from(
    { length: clientCount },
    (_, index) => `c${String(index).padStart(3, '0')}`,
  )
  const chaos: Chaos = { kills: 0, stops: 0, restarts: 0, isOver: false, last: [] }
  let disturbances: readonly string[] | undefined
  try {
    await load(site, ids)
    const rssBefore = residentNow(site.pid())
    const start = performance.now()
    const tallies: Tally[] = []
    const looks = setInterval(() => {
      const tally = sum(tallies)
      look(options, tally, start)
      if (tally.foreign > 0 && disturbances === undefined) {
        disturbances = [...chaos.last]
        options.say(`${tally.example}${disturbances.join('\n')}`)
      }
    }, 2000)
    const disturbing = disturb(site, ids, chaos)
    const share = clientCount / workerCount
    await Promise.all(
      Array.from({ length: workerCount }, (_, index) =>
        runWorker(
          {
            port: site.port,
            ids: ids.slice(index * share, (index + 1) * share),
            replyCount: Math.ceil(options.replyCount / workerCount),
            seed: options.seed + 1000 * index,
            deadlineMs: options.deadlineMs,
          },
          (tally) => (tallies[index] = tally),
        ),
      ),
    )
    clearInterval(looks)
    chaos.isOver = true
    await disturbing
    const { right, ...rest } = sum(tallies)
    if (!site.isAlive()) options.say(`the process died: ${site.logTail()}`)
    return {
      replies: right,
      ...rest,
      clients: clientCount,
      seed: options.seed,
      serverConnectionsKilled: chaos.kills,
      serverStops: chaos.stops,
      serverRestarts: chaos.restarts,
      deaths: site.isAlive() ? 0 : 1,
      rssGrowthBytes: site.isAlive() ? Math.max(0, residentNow(site.pid()) - rssBefore) : 0,
      seconds: (performance.now() - start) / 1000,
      disturbances: disturbances ?? (rest.foreign > 0 ? chaos.last : []),
    }
  } finally {
    await site.stop()
  }
}

function runWorker(plan: WorkerPlan, onTally: (tally: Tally) => void): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: plan })
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.on('message', (message: { readonly tally: Tally; readonly isDone: boolean }) => {
      onTally(message.tally)
      if (message.isDone) void worker.terminate().then(() => resolve())
    })
  })
}

/** Gives every client its values, over a connection to the server itself. */
async function load(site: Site, ids: readonly string[]): Promise<void> {
  const wire = await open(site.server.port)
  const indexes = Array.from({ length: keyCount }, (_, index) => index)
  for (const id of ids) {
    for (const index of indexes) wire.send(command('SET', keyOf(id, index), valueOf(id, index)))
  }
  wire.socket.end()
  await new Promise((resolve) => wire.socket.once('close', resolve))
}

interface Chaos {
  kills: number
  stops: number
  restarts: number
  isOver: boolean
  /** What was done last, and when. */
  last: string[]
}

const rememberedMax = 12

function remember(chaos: Chaos, what: string): void {
  chaos.last.push(`${new Date().toISOString()} ${what}`)
  if (chaos.last.length > rememberedMax) chaos.last.shift()
}

async function disturb(site: Site, ids: readonly string[], chaos: Chaos): Promise<void> {
  for (let round = 1; !chaos.isOver; round += 1) {
    await delay(chaosEveryMs)
    if (chaos.isOver) return
    if (round % restartEvery === 0) {
      chaos.restarts += 1
      remember(chaos, 'the server is replaced')
      await site.server.kill()
      await site.server.restart()
      await load(site, ids)
    } else if (round % 5 === 0) {
      chaos.stops += 1
      remember(chaos, 'the server stops for 200 ms')
      site.server.signal('SIGSTOP')
      await delay(200)
      site.server.signal('SIGCONT')
    } else {
      remember(chaos, 'connections to the server are killed')
      const killed = await ask(site.server.port, 'CLIENT', 'KILL', 'TYPE', 'normal').catch(
        () => ':0',
      )
      chaos.kills += Number(killed.slice(1)) || 0
    }
  }
}

function sum(tallies: readonly (Tally | undefined)[]): Tally {
  const total = newTally()
  for (const tally of tallies) {
    if (tally === undefined) continue
    total.right += tally.right
    total.errors += tally.errors
    total.missing += tally.missing
    total.foreign += tally.foreign
    total.connections += tally.connections
    total.cancels += tally.cancels
    total.resets += tally.resets
    total.specials += tally.specials
    total.hangs += tally.hangs
    total.example += tally.example
  }
  return total
}

function look(options: AlignmentOptions, tally: Tally, start: number): void {
  const perSecond = tally.right / ((performance.now() - start) / 1000)
  options.say(
    `alignment: ${tally.right} of ${options.replyCount} replies, ${perSecond.toFixed(0)} a second, ` +
      `${tally.errors} errors, ${tally.cancels} cancels, ${tally.hangs} late, ${tally.foreign} FOREIGN`,
  )
}
