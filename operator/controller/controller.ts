/** The controller: hears of changes in the resource, the servers and the sidecars, and reconciles their keys. */
import type { Clock } from '../../common/clock.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import { type Backend, Prober } from '../backend/index.ts'
import type { Provider } from './provider.ts'
import { WorkQueue } from './queue.ts'
import { Reconciler } from './reconcile.ts'

export interface ControllerModules {
  readonly provider: Provider
  readonly clock: Clock
  readonly log: Log
  /** Default: real servers. */
  readonly backend?: Backend
  /** In [0, 1). Default: Math.random. */
  readonly random?: () => number
}

export class Controller implements Stoppable {
  private readonly provider: Provider
  private readonly backend: Backend
  private readonly queue: WorkQueue
  private readonly unsubscribes: (() => void)[] = []

  constructor({ provider, clock, log, backend, random }: ControllerModules) {
    this.provider = provider
    this.backend = backend ?? new Prober({ clock, log })
    const reconciler = new Reconciler({ provider, backend: this.backend, clock, log })
    this.queue = new WorkQueue({
      work: (key) => reconciler.reconcile(key as ProxyKey),
      clock,
      log,
      random: random ?? Math.random,
    })
  }

  start(): void {
    const enqueue = (key: ProxyKey) => this.queue.add(key)
    this.unsubscribes.push(
      this.provider.store.onChange(enqueue),
      this.provider.publisher.onChange(enqueue),
      this.backend.onChange(enqueue),
      this.provider.operations?.onChange(enqueue) ?? (() => {}),
    )
    this.enqueueAll()
  }

  /** Looks at every resource again at once, e.g. when this process became the leader. */
  enqueueAll(): void {
    for (const key of this.provider.store.keys()) this.queue.add(key)
  }

  /** Waits for turns under way; sends nothing afterwards. Servers and sidecars are left as they are. */
  async stop(): Promise<void> {
    for (const unsubscribe of this.unsubscribes.splice(0)) unsubscribe()
    await this.queue.stop()
    this.backend.stop()
  }
}
