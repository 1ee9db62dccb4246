/**
 * The data path of a sidecar, in this process or in several: which, the first configuration says. With one worker,
 * which is the default, nothing of the others is loaded.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { Authority, DataPlane, DataPlaneView } from '../data-plane.ts'
import type { TopologyView } from '../topology/view.ts'
import type { MessageLogOptions } from '../messages/options.ts'
import { type DataPlaneModules, createDataPlane } from '../pipeline.ts'

export function createWorkers(modules: DataPlaneModules): DataPlane {
  return new Workers(modules)
}

class Workers implements DataPlane {
  private readonly modules: DataPlaneModules
  private readonly viewListeners: ((view: PrimaryView) => void)[] = []
  private readonly evidenceListeners: (() => void)[] = []
  readonly authority: Authority = {
    grant: (grant) => this.inner.authority.grant(grant),
    suspect: (epoch, forMs) => this.inner.authority.suspect(epoch, forMs),
    onEvidence: (listener) => {
      this.evidenceListeners.push(listener)
      this.inner.authority.onEvidence(listener)
    },
  }
  private inner: DataPlane
  private count = 1

  constructor(modules: DataPlaneModules) {
    this.modules = modules
    this.inner = createDataPlane(modules)
  }

  async start(config: ProxyConfig): Promise<void> {
    const count = config.workers ?? 1
    if (count > 1) {
      const { WorkerPool } = await import('./pool.ts')
      this.inner = new WorkerPool(this.modules, count)
      for (const listener of this.viewListeners) this.inner.onPrimaryChange(listener)
      for (const listener of this.evidenceListeners) this.inner.authority.onEvidence(listener)
    }
    this.count = count
    await this.inner.start(config)
  }

  addresses(): readonly string[] {
    return this.inner.addresses()
  }

  prepare(config: ProxyConfig): Promise<void> {
    return this.inner.prepare(config)
  }

  apply(config: ProxyConfig): void | Promise<void> {
    if ((config.workers ?? 1) !== this.count) {
      const { workers } = config
      this.modules.log.warn({ workers }, 'the number of workers changes with the next start')
    }
    return this.inner.apply(config)
  }

  pause(): Promise<void> {
    return this.inner.pause()
  }

  resume(): void {
    this.inner.resume()
  }

  switchTo(config: ProxyConfig): Promise<void> {
    return this.inner.switchTo(config)
  }

  logMessages(options: MessageLogOptions): void {
    this.inner.logMessages(options)
  }

  terminateRaw(): void {
    this.inner.terminateRaw()
  }

  view(): DataPlaneView {
    return this.inner.view()
  }

  topology(): TopologyView | undefined {
    return this.inner.topology()
  }

  onPrimaryChange(listener: (view: PrimaryView) => void): void {
    this.viewListeners.push(listener)
    this.inner.onPrimaryChange(listener)
  }

  stop(): Promise<void> {
    return this.inner.stop()
  }
}
