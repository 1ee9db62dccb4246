/** A worker: the data path in a process of its own. It is given its clients and its orders by the main process. */
import type { Socket } from 'node:net'
import { systemClock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import { workerStateMs } from '../../common/limits.ts'
import { createLog } from '../../common/log.ts'
import { processBounds } from '../overload/process-bounds.ts'
import { UseMeter } from '../overload/process-use.ts'
import type { DataPlane, LocalDataPlane } from '../data-plane.ts'
import { createDataPlane } from '../pipeline.ts'
import type { Failure, Request, ToMain, ToWorker, WorkerState } from './protocol.ts'

/** Runs until it is told to stop, or the main process is gone. */
export async function sidecarWorker(): Promise<number> {
  const log = createLog({ level: 'error', part: 'sidecar' }).child({ worker: process.pid })
  // Signals of a terminal reach every process of it; the main one says what is to be done.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  const die = (err: unknown) => {
    log.error({ err }, 'internal error; the worker ends')
    process.exit(1)
  }
  process.on('unhandledRejection', die)
  process.on('uncaughtException', die)
  const { filesMax } = processBounds()
  const plane = createDataPlane({
    env: process.env,
    log,
    clock: systemClock,
    // Its share of the memory is in its configuration.
    bounds: filesMax === undefined ? {} : { filesMax },
    isWorker: true,
  })
  const state = stateOf(plane)
  process.on('message', (message: ToWorker, socket?: Socket) => {
    if (message.kind === 'request') {
      answer(message.id, obey(plane, message.request), state).catch(die)
    } else if (socket !== undefined) {
      // There is none if its client had gone when it came.
      plane.adopt(socket, message.listener)
    }
  })
  plane.onPrimaryChange(() => void state().then((now) => tell({ kind: 'state', state: now })))
  plane.authority.onEvidence(() => {
    void state().then((now) => tell({ kind: 'state', state: now, isEvidence: true }))
  })
  tellChanges(plane, state)
  tell({ kind: 'ready' })
  await new Promise<void>((resolve) => {
    process.once('disconnect', resolve)
  })
  // Nobody can tell it any more which primary it may write to.
  process.exit(0)
}

/** What changes by itself, as lag and latency do, is told this many times more seldom. */
const topologyTicks = 10

type ReadState = () => Promise<WorkerState>

function stateOf(plane: DataPlane): ReadState {
  const meter = new UseMeter(systemClock)
  return async () => ({
    view: plane.view(),
    use: await meter.read(),
    topology: plane.topology(),
  })
}

function tell(message: ToMain): void {
  if (process.connected && process.send) process.send(message, undefined, {}, () => {})
}

function tellChanges(plane: DataPlane, state: ReadState): void {
  let before = ''
  let sinceTopology = 0
  setInterval(() => {
    const seen = JSON.stringify(plane.view())
    sinceTopology += 1
    if (seen === before && sinceTopology < topologyTicks) return
    sinceTopology = 0
    before = seen
    void state().then((now) => tell({ kind: 'state', state: now }))
  }, workerStateMs)
}

async function answer(id: number, obeyed: Promise<void>, state: ReadState): Promise<void> {
  try {
    await obeyed
    tell({ kind: 'done', id, state: await state() })
  } catch (error) {
    tell({ kind: 'done', id, state: await state(), failure: failureOf(error) })
  }
}

/** Begins at once, so that requests are obeyed in the order in which they came. */
async function obey(plane: LocalDataPlane, request: Request): Promise<void> {
  switch (request.kind) {
    case 'start':
      return plane.start(request.config)
    case 'prepare':
      return plane.prepare(request.config)
    case 'apply':
      return plane.apply(request.config)
    case 'pause':
      return plane.pause()
    case 'resume':
      return plane.resume()
    case 'logMessages':
      return plane.logMessages(request.options)
    case 'grant':
      return plane.authority.grant(request.grant)
    case 'suspect':
      return plane.authority.suspect(request.epoch, request.forMs)
    case 'terminateRaw':
      return plane.terminateRaw()
    case 'hold':
      return plane.pauses.hold()
    case 'settle':
      return plane.pauses.settle()
    case 'endHold':
      return plane.pauses.endHold()
    case 'stop':
      return plane.stop()
    default:
      return request satisfies never
  }
}

function failureOf(error: unknown): Failure {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  return { message, ...(code !== undefined && { code }) }
}
