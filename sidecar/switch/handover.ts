/**
 * A planned change of the primary: the control plane withdraws it and says who is to be next. Nothing more is sent,
 * what was sent is answered, connections to the next one are opened, and then the configuration counts as obeyed. The
 * old connections stay open, unused, until the next configuration says who it is: the next one, or the old one after all.
 *
 * Invariant: once `begin` has resolved nothing of the old epoch is sent or passed on, whatever follows.
 */
import { type ProxyConfig, handoverOf } from '../../common/contract/proxy-config.ts'
import { handoverSettleMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import type { Pause } from './pause.ts'

export interface HandoverModules {
  readonly pauses: Pause
  readonly primary: ServerConnections
  readonly log: Log
}

export class Handover {
  private readonly modules: HandoverModules
  /** Rises with each configuration: what began under an older one has no say. */
  private generation = 0
  private isOn = false

  constructor(modules: HandoverModules) {
    this.modules = modules
  }

  /**
   * Has `apply` obey `config`, which withdraws the primary in order or brings one. Gives a promise if that takes time;
   * without one it is obeyed when this returns. @throws what `apply` throws
   */
  obey(config: ProxyConfig, apply: () => void): void | Promise<void> {
    this.generation += 1
    const handover = handoverOf(config)
    if (handover === undefined) return this.end(apply)
    this.isOn = true
    const drained = this.modules.pauses.beginHandover(handover.drainMs)
    apply()
    return this.drain(drained, this.generation)
  }

  private async drain(drained: Promise<boolean>, generation: number): Promise<void> {
    const { primary, log } = this.modules
    if ((await drained) || generation !== this.generation) return
    log.warn({}, 'commands did not end in time for a handover; their connections were closed')
    primary.disconnect()
  }

  /** Commands go on when this configuration is obeyed, and when clients have back what the change took from them. */
  private end(apply: () => void): void {
    const { pauses } = this.modules
    const { generation } = this
    try {
      apply()
    } finally {
      if (this.isOn && !pauses.isAwaited) this.goOn()
      else if (this.isOn) {
        void pauses.settle(handoverSettleMs).then(() => {
          if (generation === this.generation) this.goOn()
        })
      }
    }
  }

  private goOn(): void {
    this.isOn = false
    this.modules.pauses.endHandover()
  }
}
