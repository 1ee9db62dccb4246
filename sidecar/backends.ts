/**
 * Which backend the data path has at present: made when a configuration wants one of its kind, ended when another is
 * wanted, and told what happens to its servers. Without one everything goes to the primary that the configuration names.
 */
import { assertNever } from '../common/errors.ts'
import type { ProxyConfig } from '../common/contract/proxy-config.ts'
import type { BackendModules, RunningBackend } from './route/backend.ts'
import { ClusterBackend } from './topology/cluster/index.ts'
import { ReplicationBackend, splitsReads } from './topology/replication/backend.ts'
import { viewPlain } from './topology/plain-view.ts'
import { RingBackend } from './topology/ring/index.ts'
import type { TopologyView } from './topology/view.ts'
import type { UpstreamAccess } from './upstream/access.ts'
import type { ServerConnections } from './upstream/server-connections.ts'
import type { ServerPool } from './upstream/server-pool.ts'

type BackendKind = RunningBackend['kind']

export interface BackendsModules extends BackendModules {
  readonly access: UpstreamAccess
}

export class Backends {
  /** Undefined: everything goes to `primary`. */
  present: RunningBackend | undefined
  private readonly modules: BackendsModules
  private readonly pool: ServerPool
  /** The server that is asked what needs none in particular. */
  private anyServer: ServerConnections

  constructor(modules: BackendsModules) {
    this.modules = modules
    this.pool = modules.pool
    this.anyServer = this.pool.primary
  }

  /** Where commands go that have no key, and questions of our own. */
  get primary(): ServerConnections {
    const { present, anyServer } = this
    if (present === undefined || present.kind === 'replication') return this.pool.primary
    const isPrimary = present.shards.some(({ primary }) => primary === anyServer)
    if (isPrimary && anyServer.isReady) return anyServer
    this.anyServer = present.anyShard(0)?.primary ?? this.pool.primary
    return this.anyServer
  }

  /** When this returns nothing more goes to servers that `config` does not name. */
  use(config: ProxyConfig): void {
    const { pool } = this
    const kind = kindOf(config)
    pool.use(config)
    pool.lead(config)
    if (this.present?.kind !== kind) {
      this.present?.close()
      pool.retain(new Set(), true)
      this.anyServer = pool.primary
      this.present = kind && this.create(kind)
    }
    this.present?.use(config)
  }

  topology(config: ProxyConfig): TopologyView {
    return this.present?.topologyView() ?? viewPlain(config, this.pool.primary)
  }

  close(): void {
    this.present?.close()
    this.present = undefined
  }

  private create(kind: BackendKind): RunningBackend {
    switch (kind) {
      case 'replication':
        return new ReplicationBackend(this.modules)
      case 'cluster':
        return new ClusterBackend(this.modules)
      case 'ring':
        return new RingBackend(this.modules)
      default:
        return assertNever(kind)
    }
  }
}

function kindOf(config: ProxyConfig): BackendKind | undefined {
  const { mode } = config.upstream
  if (mode === 'cluster' || mode === 'ring') return mode
  return splitsReads(config) ? 'replication' : undefined
}
