/** A client that does nothing wrong, and how long it had to wait. */
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

export interface BystanderPlaces {
  readonly port: number
  /** The server itself: what it cannot do faster the proxy is not blamed for. */
  readonly controlPort: number
  readonly password?: string
  readonly shared: SharedArrayBuffer
}

export const Cell = {
  worst: 0,
  errors: 1,
  controlWorst: 2,
  controlErrors: 3,
  rounds: 4,
  late: 5,
  controlRounds: 6,
  controlLate: 7,
} as const

export interface Waits {
  readonly worstMs: number
  readonly controlWorstMs: number
  /** Share of the answers that took longer than `lateMs`. */
  readonly lateShare: number
  /** The same of the server’s own. */
  readonly controlLateShare: number
  /** Wrong answers and connections that ended. */
  readonly errors: number
}

export const lateMs = 20

export class Bystander {
  private readonly cells: Int32Array<SharedArrayBuffer>
  private readonly worker: Worker

  constructor(port: number, controlPort: number, password?: string) {
    const shared = new SharedArrayBuffer(4 * Object.keys(Cell).length)
    this.cells = new Int32Array(shared)
    const workerData: BystanderPlaces = {
      port,
      controlPort,
      shared,
      ...(password !== undefined && { password }),
    }
    this.worker = new Worker(new URL('./bystander-worker.ts', import.meta.url), { workerData })
    this.worker.unref()
  }

  /** Waits for a few answers, so that what happened just now is in the figures. */
  async settle(answerCount = 6): Promise<void> {
    const seen = Atomics.load(this.cells, Cell.rounds)
    const deadline = performance.now() + 1000
    while (
      Atomics.load(this.cells, Cell.rounds) < seen + answerCount &&
      performance.now() < deadline
    ) {
      await delay(2)
    }
  }

  /** The figures since the last call. */
  take(): Waits {
    const take = (cell: number) => Atomics.exchange(this.cells, cell, 0)
    const share = (late: number, rounds: number) => take(late) / Math.max(1, take(rounds))
    return {
      lateShare: share(Cell.late, Cell.rounds),
      controlLateShare: share(Cell.controlLate, Cell.controlRounds),
      worstMs: take(Cell.worst) / 10,
      controlWorstMs: take(Cell.controlWorst) / 10,
      errors: take(Cell.errors),
    }
  }

  async stop(): Promise<void> {
    await this.worker.terminate()
  }
}
