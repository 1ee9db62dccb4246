/**
 * Asks the control plane again and again whether the primary may be used, where the configuration wants that, and hands
 * on what it says. A grant counts from when the question was sent that it answers, so that neither a slow way nor a
 * process that was suspended makes it longer.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { ServerMessage, SidecarMessage } from '../../common/contract/stream.ts'
import { grantAsksMax, grantRenewalsPerTtl, grantRetryMs } from '../../common/limits.ts'
import type { Grant } from '../switch/permit.ts'

export interface GrantModules {
  /** The clock that all processes of the machine share, milliseconds. */
  readonly nowMs: () => number
  readonly give: (grant: Grant) => void
}

type Renew = Extract<SidecarMessage, { kind: 'renew' }>
type Granted = Extract<ServerMessage, { kind: 'grant' }>

interface Wanted {
  readonly uid: string
  readonly epoch: number
  readonly ttlMs: number
}

export class Grants {
  private readonly modules: GrantModules
  private wanted: Wanted | undefined
  private send: ((message: Renew) => void) | undefined
  /** When each question was sent that is not answered yet. */
  private readonly asked = new Map<number, number>()
  private seq = 0
  private grantedMs: number | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(modules: GrantModules) {
    this.modules = modules
  }

  /** Asks for the primary of `config` from now on, as long as there is someone to ask. */
  use(config: ProxyConfig): void {
    const { wanted } = this
    const next = wantedBy(config)
    const isSame = wanted?.uid === next?.uid && wanted?.epoch === next?.epoch
    if (isSame && wanted?.ttlMs === next?.ttlMs) return
    this.wanted = next
    this.asked.clear()
    if (!isSame) this.grantedMs = undefined
    else if (wanted !== undefined && next !== undefined && next.ttlMs < wanted.ttlMs)
      this.give(next)
    this.ask()
  }

  /** There is a control plane to ask. */
  open(send: (message: Renew) => void): void {
    this.send = send
    this.asked.clear()
    this.ask()
  }

  close(): void {
    this.send = undefined
    this.asked.clear()
  }

  take({ seq, epoch }: Granted): void {
    const sentMs = this.asked.get(seq)
    const { wanted } = this
    if (sentMs === undefined || wanted?.epoch !== epoch) return
    for (const older of this.asked.keys()) if (older <= seq) this.asked.delete(older)
    this.grantedMs = sentMs
    this.give(wanted)
  }

  stop(): void {
    this.wanted = undefined
    clearTimeout(this.timer)
    this.close()
  }

  private give({ uid, epoch, ttlMs }: Wanted): void {
    if (this.grantedMs === undefined) return
    this.modules.give({ uid, epoch, untilMs: this.grantedMs + ttlMs })
  }

  private readonly ask = (): void => {
    const { wanted, send, asked } = this
    clearTimeout(this.timer)
    this.timer = wanted && setTimeout(this.ask, this.waitMs(wanted)).unref()
    if (wanted === undefined || send === undefined) return
    this.seq += 1
    const [oldest] = asked.keys()
    if (asked.size >= grantAsksMax && oldest !== undefined) asked.delete(oldest)
    asked.set(this.seq, this.modules.nowMs())
    send({ kind: 'renew', seq: this.seq, epoch: wanted.epoch, ttlMs: wanted.ttlMs })
  }

  /** Until it is asked again: sooner where the last answers did not come. */
  private waitMs({ ttlMs }: Wanted): number {
    const waitMs = ttlMs / grantRenewalsPerTtl
    const sinceMs = this.modules.nowMs() - (this.grantedMs ?? Number.NEGATIVE_INFINITY)
    return sinceMs < 2 * waitMs ? waitMs : Math.min(waitMs, grantRetryMs)
  }
}

function wantedBy({ proxy, epoch, upstream }: ProxyConfig): Wanted | undefined {
  const { discovery, grantTtlMs, primary } = upstream
  if (discovery !== 'operator' || grantTtlMs === undefined || !primary) return undefined
  return { uid: proxy.uid, epoch, ttlMs: grantTtlMs }
}
