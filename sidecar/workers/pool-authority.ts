/** What the control plane says of the primary, passed on to every worker: each obeys it by itself. */
import { workerAnswerMs } from '../../common/limits.ts'
import type { Authority } from '../data-plane.ts'
import type { Grant } from '../switch/permit.ts'
import type { Request } from './protocol.ts'
import type { Worker } from './worker.ts'

export class PoolAuthority implements Authority {
  private readonly workers: ReadonlySet<Worker>
  private readonly listeners: (() => void)[] = []
  private present: Grant | undefined

  constructor(workers: ReadonlySet<Worker>) {
    this.workers = workers
  }

  grant(grant: Grant): void {
    this.present = grant
    this.tellAll({ kind: 'grant', grant })
  }

  suspect(epoch: number, forMs: number): void {
    this.tellAll({ kind: 'suspect', epoch, forMs })
  }

  onEvidence(listener: () => void): void {
    this.listeners.push(listener)
  }

  readonly tell = (): void => {
    for (const listener of this.listeners) listener()
  }

  /** One that was started later is told what the others know. */
  introduce(worker: Worker): void {
    if (this.present !== undefined) this.ask(worker, { kind: 'grant', grant: this.present })
  }

  private tellAll(request: Request): void {
    for (const worker of this.workers) this.ask(worker, request)
  }

  /** A worker that does not answer is ended, which is as good as obeying. */
  private ask(worker: Worker, request: Request): void {
    worker.ask(request, workerAnswerMs).catch(() => worker.kill())
  }
}
