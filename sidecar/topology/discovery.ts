/**
 * Keeps the sidecar at the primary where the configuration does not name it (`upstream.discovery`), and tells who the
 * replicas are. It follows; it never promotes and never writes to a server.
 */
import type { Clock } from '../../common/clock.ts'
import type {
  ProxyConfig,
  UpstreamMember,
  UpstreamPrimary,
} from '../../common/contract/proxy-config.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import { topologyPollFailingMs, topologyPollMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { Environment } from '../config/index.ts'
import { type Address, isSamePlace } from './choose-primary.ts'
import { SelfDiscovery } from './self-discovery.ts'
import { SentinelDiscovery } from './sentinel/sentinel-discovery.ts'

export interface SearchModules {
  readonly env: Environment
  readonly log: Log
  readonly clock: Clock
}

export interface DiscoveryModules extends SearchModules {
  readonly primary: () => PrimaryView
  /** Obeys what was found. */
  readonly follow: (primary: UpstreamPrimary | undefined, replicas: readonly Address[]) => void
}

export interface Found {
  /** Nothing was learnt that speaks against the present primary. */
  readonly isKept: boolean
  /** Otherwise this one; absent: none. */
  readonly primary?: UpstreamPrimary
  readonly replicas: readonly Address[]
}

/** A way to find out. */
export interface Search {
  look(present: UpstreamPrimary | undefined): Promise<Found>
  close(): void
}

export class Discovery {
  private readonly modules: DiscoveryModules
  private config: ProxyConfig | undefined
  private search: Search | undefined
  /** What the search was begun for. */
  private searchKey = ''
  private timer: NodeJS.Timeout | undefined
  private isPolling = false
  private isAskedAgain = false
  private isStopped = false

  constructor(modules: DiscoveryModules) {
    this.modules = modules
  }

  /**
   * Goes on with `config`; rests while another names the primary. `seeds` are the members as the source of the
   * configuration gave them, without those that were found.
   */
  use(config: ProxyConfig, seeds: readonly UpstreamMember[] = config.upstream.members): void {
    this.config = config
    const { mode, discovery, credentials, tls, sentinel } = config.upstream
    const isOurs = mode === 'standalone' || mode === 'replication'
    if (discovery === 'operator' || !isOurs) return this.rest()
    const places = seeds.map(({ host, port }) => ({ host, port }))
    const { connectTimeoutMs } = config.timing
    const key = JSON.stringify([mode, places, credentials, tls, sentinel, connectTimeoutMs])
    if (key === this.searchKey) return
    this.rest()
    this.searchKey = key
    const given = { ...config, upstream: { ...config.upstream, members: seeds } }
    this.search =
      sentinel === undefined
        ? new SelfDiscovery(given, this.modules)
        : new SentinelDiscovery(given, sentinel, {
            ...this.modules,
            onNews: () => this.pollNow(),
          })
    this.pollNow()
  }

  /** Looks now, and once more if it is looking already: what is asked for may be newer than the answers. */
  pollNow(): void {
    if (this.isStopped || this.search === undefined) return
    clearTimeout(this.timer)
    if (this.isPolling) {
      this.isAskedAgain = true
      return
    }
    this.isPolling = true
    this.poll(this.search)
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
    this.search?.close()
    this.search = undefined
    this.searchKey = ''
  }

  private schedule(): void {
    if (this.isStopped || this.search === undefined) return
    const isSteady = this.modules.primary() === 'ok'
    const ms = this.isAskedAgain ? 0 : isSteady ? topologyPollMs : topologyPollFailingMs
    this.isAskedAgain = false
    this.timer = setTimeout(() => this.pollNow(), ms)
  }

  private async poll(search: Search): Promise<void> {
    const found = await search.look(this.config?.upstream.primary)
    if (this.isStopped || search !== this.search || this.config === undefined) return
    const { primary: present, members } = this.config.upstream
    const primary = found.isKept ? present : found.primary
    if (isSame(present, primary) && isSameReplicas(members, found.replicas)) return
    if (isSame(present, primary)) {
      const replicas = found.replicas.map(formatHostPort)
      this.modules.log.info({ replicas }, 'the replicas are others')
    }
    this.modules.follow(primary, found.replicas)
  }
}

function isSame(one: UpstreamPrimary | undefined, other: UpstreamPrimary | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  return isSamePlace(one, other) && one.runId === other.runId
}

function isSameReplicas(members: readonly UpstreamMember[], replicas: readonly Address[]): boolean {
  const before = members.filter(({ role }) => role === 'replica').map(formatHostPort)
  const now = new Set(replicas.map(formatHostPort))
  return before.length === now.size && before.every((one) => now.has(one))
}
