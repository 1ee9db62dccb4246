/** A worker: the data path in a process of its own. It is given its clients and its orders by the main process. */
import type { Socket } from 'node:net'
import { systemClock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import { workerStateMs } from '../../common/limits.ts'
import { createLog } from '../../common/log.ts'
import { processBounds } from '../overload/process-bounds.ts'
import { UseMeter } from '../overload/process-use.ts'
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
  const meter = new UseMeter(systemClock)
  const plane = createDataPlane({
    env: process.env,
    log,
    clock: systemClock,
    // Its share of the memory is in its configuration.
    bounds: filesMax === undefined ? {} : { filesMax },
    isWorker: true,
  })
  const state = async (): Promise<WorkerState> => ({
    view: plane.view(),
    use: await meter.read(),
  })
  const tell = (message: ToMain) => {
    if (process.connected && process.send) process.send(message, undefined, {}, () => {})
  }
  const run = async (request: Request): Promise<void> => {
    switch (request.kind) {
      case 'start':
        return plane.start(request.config)
      case 'apply':
        return plane.apply(request.config)
      case 'pause':
        return plane.pause()
      case 'resume':
        return plane.resume()
      case 'stop':
        return plane.stop()
    }
  }
  plane.onPrimaryChange(() => void state().then((now) => tell({ kind: 'state', state: now })))
  process.on('message', (message: ToWorker, socket?: Socket) => {
    if (message.kind === 'client') {
      // It is gone if its client was when it came.
      if (socket !== undefined) plane.adopt(socket, message.listener)
      return
    }
    const { id, request } = message
    const done = async (failure?: Failure) =>
      tell({ kind: 'done', id, state: await state(), ...(failure && { failure }) })
    run(request)
      .then(() => done())
      .catch((error: unknown) => done(failureOf(error)))
      .then(() => request.kind === 'stop' && process.disconnect?.())
      .catch(die)
  })
  let before = ''
  const timer = setInterval(() => {
    const seen = JSON.stringify(plane.view())
    if (seen === before) return
    before = seen
    void state().then((now) => tell({ kind: 'state', state: now }))
  }, workerStateMs)
  tell({ kind: 'ready' })
  await new Promise<void>((resolve) => {
    process.once('disconnect', resolve)
  })
  clearInterval(timer)
  // Nobody can tell it any more which primary it may write to.
  process.exit(0)
}

function failureOf(error: unknown): Failure {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  return { message, ...(code !== undefined && { code }) }
}
