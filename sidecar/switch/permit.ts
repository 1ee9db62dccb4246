/**
 * Whether the primary may be used. Where a configuration has `grantTtlMs`, the control plane has to say so again and
 * again: without a grant the configuration is obeyed as if it had no primary, and when a grant runs out the connections
 * end in the same turn.
 *
 * The time is looked at whenever something comes from the primary or is about to be sent to it, and not only by a timer:
 * a process that was suspended meanwhile finds what came late before its timers, and must pass nothing of it on.
 */
import type { Clock } from '../../common/clock.ts'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { Log } from '../../common/log.ts'
import type { DataPlaneCounters, DataPlaneView } from '../data-plane.ts'
import type { Hearing } from '../upstream/hearing.ts'
import { localMs } from './machine-time.ts'

/** The primary of `epoch` of the resource `uid` may be used until `untilMs` of the machine’s clock. */
export interface Grant {
  readonly uid: string
  readonly epoch: number
  readonly untilMs: number
}

export interface PermitModules {
  readonly clock: Clock
  readonly log: Log
  readonly counters: DataPlaneCounters
  /** Of the connections to the primary. */
  readonly hearing: Hearing
  /** Ends all connections to the primary. */
  readonly end: () => void
  /** Obeys the configuration again: what is `allowed` has changed. */
  readonly obey: () => void
}

const timerMsMax = 2 ** 31 - 1

export class Permit {
  private readonly modules: PermitModules
  private wanted: Pick<Grant, 'uid' | 'epoch'> | undefined
  private grant: Grant | undefined
  /** By the clock of this process: when what is open now has to end. */
  private untilMs = 0
  private timer: NodeJS.Timeout | undefined

  constructor(modules: PermitModules) {
    this.modules = modules
  }

  /** `config` as far as it may be obeyed now. */
  allowed(config: ProxyConfig): ProxyConfig {
    const { upstream, proxy, epoch } = config
    const isGranted = upstream.discovery === 'operator' && upstream.grantTtlMs !== undefined
    this.wanted = isGranted && upstream.primary ? { uid: proxy.uid, epoch } : undefined
    // What is still owed while the primary is handed over may not come later than the grant that it was sent under.
    const isDraining = isGranted && upstream.handover !== undefined
    if (this.wanted === undefined && !isDraining) this.open()
    if (this.wanted === undefined) return config
    const { grant } = this
    const isMatching = grant?.uid === proxy.uid && grant.epoch === epoch
    if (grant !== undefined && isMatching && this.bound(grant)) return config
    this.open()
    const { primary: _unused, ...rest } = upstream
    return { ...config, upstream: rest }
  }

  give(grant: Grant): void {
    const { wanted } = this
    const wasUsed = this.isUsed
    this.grant = grant
    if (wanted?.epoch !== grant.epoch || wanted.uid !== grant.uid) return
    if (!wasUsed) this.modules.obey()
    else if (!this.bound(grant)) this.expire()
  }

  get view(): DataPlaneView['grant'] {
    const { wanted, grant } = this
    if (wanted === undefined) return undefined
    const isIt = wanted.epoch === grant?.epoch && wanted.uid === grant.uid
    return { isValid: this.isUsed, ...(isIt && { untilMs: grant.untilMs }) }
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  /** Whether the primary is used under the present grant. */
  private get isUsed(): boolean {
    const { wanted, grant } = this
    const isIt = wanted?.epoch === grant?.epoch && wanted?.uid === grant?.uid
    return isIt && this.modules.hearing.gate !== undefined
  }

  /** Nothing has to end. */
  private open(): void {
    this.modules.hearing.gate = undefined
    this.stop()
  }

  /** Has everything end with `grant`; false: it is over already. */
  private bound(grant: Grant): boolean {
    const { clock, hearing } = this.modules
    this.untilMs = localMs(grant.untilMs, clock)
    if (this.untilMs <= clock.monotonicMs()) return false
    hearing.gate = this.check
    this.arm()
    return true
  }

  private arm(): void {
    this.stop()
    const leftMs = Math.ceil(this.untilMs - this.modules.clock.monotonicMs())
    // A timer may be early, by the loop’s idea of now.
    const again = () => void (this.check() && this.arm())
    this.timer = setTimeout(again, Math.max(1, Math.min(leftMs, timerMsMax))).unref()
  }

  private readonly check = (): boolean => {
    const { clock } = this.modules
    if (this.modules.hearing.gate === undefined) return false
    const leftMs = this.untilMs - clock.monotonicMs()
    if (leftMs > 0) return true
    this.expire()
    return false
  }

  private expire(): void {
    const { log, counters, end, obey } = this.modules
    this.open()
    counters.grantsExpired += 1
    log.warn({}, 'the control plane has not said in time that the primary may be used; held')
    this.grant = undefined
    obey()
    // What a handover left open is not what a configuration leads to.
    end()
  }
}
