/**
 * A handover is prepared while clients go on, and begins in all sidecars at once: else clients of the first would wait
 * until the last has stored its configuration and opened its connections.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { ServerMessage, SidecarMessage } from '../../common/contract/stream.ts'
import { handoverBeginMs } from '../../common/limits.ts'

type Begin = Extract<ServerMessage, { kind: 'begin' }>

export class CommonStart {
  private waiting: { readonly version: number; readonly epoch: number; go(): void } | undefined

  /** Says that this one is ready; resolves when all are, when waiting is of no use any more, or after `handoverBeginMs`. */
  wait(
    { version, epoch }: Pick<ProxyConfig, 'version' | 'epoch'>,
    send: (message: SidecarMessage) => void,
  ): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(), handoverBeginMs)
      const go = () => {
        clearTimeout(timer)
        resolve()
      }
      this.end()
      this.waiting = { version, epoch, go }
      send({ kind: 'ready', version, epoch })
    })
  }

  take({ version, epoch }: Begin): void {
    const { waiting } = this
    if (waiting?.version === version && waiting.epoch === epoch) this.end()
  }

  /** Nobody is waited for any more. */
  end(): void {
    this.waiting?.go()
    this.waiting = undefined
  }
}
