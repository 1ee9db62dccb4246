/**
 * How far the primary may be used at present, as the control plane says beside its configurations, and what it is told
 * of the primary in return.
 */
import type { Clock } from '../../common/clock.ts'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { Log } from '../../common/log.ts'
import type { Authority, DataPlaneCounters, DataPlaneView } from '../data-plane.ts'
import type { Session } from '../session/session.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import { machineMsOf } from './machine-time.ts'
import { type Grant, Permit } from './permit.ts'

export interface PrimaryUseModules {
  readonly clock: Clock
  readonly log: Log
  readonly counters: DataPlaneCounters
  readonly primary: ServerConnections
  /** Obeys `config` as far as it is allowed now. */
  readonly obey: (config: ProxyConfig) => void
}

export class PrimaryUse implements Authority {
  private readonly modules: PrimaryUseModules
  private readonly listeners: (() => void)[] = []
  private readonly permit: Permit
  private config: ProxyConfig | undefined

  constructor(modules: PrimaryUseModules) {
    const { primary, log } = modules
    this.modules = modules
    this.permit = new Permit({
      ...modules,
      hearing: primary.hearing,
      end: () => primary.disconnect(),
      obey: () => this.obeyAgain(log),
    })
  }

  /** `config` as far as it may be obeyed now; from now on it is the one that grants and hints are about. */
  allowed(config: ProxyConfig): ProxyConfig {
    const { primary } = this.modules
    if (config.epoch !== this.config?.epoch) primary.attention.suspect(0)
    this.config = config
    return this.permit.allowed(config)
  }

  grant(grant: Grant): void {
    this.permit.give(grant)
  }

  suspect(epoch: number, forMs: number): void {
    const { config } = this
    if (config?.upstream.primary === undefined || config.epoch !== epoch) return
    this.modules.primary.attention.suspect(Math.min(forMs, config.timing.holdTimeoutMs))
  }

  onEvidence(listener: () => void): void {
    this.listeners.push(listener)
  }

  /** What is known of the primary is news. */
  readonly tell = (): void => {
    for (const listener of this.listeners) listener()
  }

  get view(): Pick<DataPlaneView, 'isDoubted' | 'heardAtMs' | 'grant'> {
    const { primary, clock } = this.modules
    const heardAtMs = primary.hearing.heardAtMs(clock.monotonicMs())
    const { view: grant } = this.permit
    return {
      isDoubted: primary.attention.isDoubted,
      ...(heardAtMs !== undefined && { heardAtMs: Math.round(machineMsOf(heardAtMs, clock)) }),
      ...(grant && { grant }),
    }
  }

  stop(): void {
    this.permit.stop()
  }

  private obeyAgain(log: Log): void {
    const { config } = this
    if (config === undefined) return
    try {
      this.modules.obey(config)
    } catch (err) {
      // The primary is obeyed all the same; of files that cannot be read it was told before.
      log.warn({ err }, 'a part of the configuration cannot be used')
    }
  }
}

/** Whether clients are owed replies over connections to `server` of their own, other than those that wait there. */
export function owesPinned(sessions: Iterable<Session>, server: ServerConnections): boolean {
  for (const { pinning, inFlight, large } of sessions) {
    const isOwed = inFlight > 0 && !pinning.isBlocking && !pinning.isRaw && large === undefined
    if (isOwed && pinning.lane !== undefined && pinning.server === server) return true
  }
  return false
}
