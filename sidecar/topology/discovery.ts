/**
 * Finds the primary where no control plane names one (`upstream.discovery: self`): asks every member for its
 * role, and tells who is to be followed. It follows; it never promotes and never writes to a server.
 */
import type { ProxyConfig, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import { assertNever } from '../../common/errors.ts'
import { topologyPollFailingMs, topologyPollMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { Environment } from '../config/index.ts'
import {
  type Address,
  type Choice,
  type Observation,
  choosePrimary,
  isSamePlace,
} from './choose-primary.ts'
import { Probe } from './probe.ts'

export interface DiscoveryModules {
  readonly env: Environment
  readonly log: Log
  readonly primary: () => PrimaryView
  /** Obeys what was found. */
  readonly follow: (primary: UpstreamPrimary | undefined, replicas: readonly Address[]) => void
}

export class Discovery {
  private readonly modules: DiscoveryModules
  private config: ProxyConfig | undefined
  private probes: readonly Probe[] = []
  private probesFor = ''
  private timer: NodeJS.Timeout | undefined
  private isPolling = false
  private isAskedAgain = false
  private isStopped = false
  private said = ''

  constructor(modules: DiscoveryModules) {
    this.modules = modules
  }

  /** Goes on with the members of `config`; rests while another names the primary. */
  use(config: ProxyConfig): void {
    this.config = config
    if (config.upstream.discovery !== 'self') return this.rest()
    const { members, credentials, tls } = config.upstream
    const places = members.map(({ host, port }) => ({ host, port }))
    const key = JSON.stringify([places, credentials, tls, config.timing.connectTimeoutMs])
    if (key === this.probesFor) return
    this.rest()
    this.probesFor = key
    this.probes = places.map(
      (address) =>
        new Probe({
          address,
          upstream: config.upstream,
          env: this.modules.env,
          timeoutMs: config.timing.connectTimeoutMs,
        }),
    )
    this.pollNow()
  }

  /** Asks now, and once more if it is asking already: what is asked for may be newer than the answers. */
  pollNow(): void {
    if (this.isStopped || this.probes.length === 0) return
    clearTimeout(this.timer)
    if (this.isPolling) {
      this.isAskedAgain = true
      return
    }
    this.isPolling = true
    this.poll()
      .catch((err: unknown) => {
        this.modules.log.error({ err }, 'asking the servers for their roles failed')
      })
      .finally(() => {
        this.isPolling = false
        this.schedule()
      })
  }

  stop(): void {
    this.isStopped = true
    this.rest()
  }

  private rest(): void {
    clearTimeout(this.timer)
    for (const probe of this.probes) probe.close()
    this.probes = []
    this.probesFor = ''
  }

  private schedule(): void {
    if (this.isStopped || this.probes.length === 0) return
    const isSteady = this.modules.primary() === 'ok'
    const ms = this.isAskedAgain ? 0 : isSteady ? topologyPollMs : topologyPollFailingMs
    this.isAskedAgain = false
    this.timer = setTimeout(() => this.pollNow(), ms)
  }

  private async poll(): Promise<void> {
    const { probes } = this
    const observations = await Promise.all(probes.map((probe) => probe.observe()))
    if (this.isStopped || probes !== this.probes || this.config === undefined) return
    const present = this.config.upstream.primary
    const choice = choosePrimary(observations, present)
    this.tell(choice, observations)
    switch (choice.kind) {
      case 'keep':
        return
      case 'none':
        if (present !== undefined) this.modules.follow(undefined, replicasOf(observations))
        return
      case 'primary':
        if (present !== undefined && isSame(present, choice.primary)) return
        this.modules.follow(choice.primary, replicasOf(observations))
        return
      default:
        assertNever(choice)
    }
  }

  /** Once for each change of mind. */
  private tell(choice: Choice, observations: readonly Observation[]): void {
    const { log } = this.modules
    const said = JSON.stringify(choice)
    if (said === this.said) return
    this.said = said
    const servers = observations.map((one) => ({
      server: formatHostPort(one),
      says: one.kind === 'unreachable' ? `unreachable: ${one.reason}` : one.kind,
    }))
    if (choice.kind === 'none') {
      log.warn({ reason: choice.reason, servers }, 'no server is the primary')
    } else if (choice.kind === 'keep') {
      log.warn({ servers }, 'the primary cannot be asked for its role and is kept')
    } else {
      log.info({ primary: formatHostPort(choice.primary), servers }, 'primary found')
    }
  }
}

function isSame(present: UpstreamPrimary, found: UpstreamPrimary): boolean {
  return isSamePlace(present, found) && present.runId === found.runId
}

function replicasOf(observations: readonly Observation[]): readonly Address[] {
  return observations.filter((one) => one.kind === 'replica')
}
