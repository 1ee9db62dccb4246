/**
 * A primary and its replicas, of which reads may go to those that are fit (`replica-group.ts`). Who they are is in the
 * configuration.
 */
import type { Clock } from '../../../common/clock.ts'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import type { Backend, ServerAddress, Shard } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { ServerPool } from '../../upstream/server-pool.ts'
import type { TopologyView } from '../view.ts'
import { ReplicaGroup } from './replica-group.ts'
import { viewReplication } from './replication-view.ts'

export interface ReplicationModules {
  readonly pool: Pick<ServerPool, 'primary' | 'get' | 'retain'>
  readonly clock: Clock
}

/** Whether a configuration wants this backend; otherwise everything goes to the primary. */
export function splitsReads({ upstream }: ProxyConfig): boolean {
  return upstream.mode === 'replication' && upstream.reads?.policy === 'readsToReplicas'
}

export class ReplicationBackend implements Backend {
  readonly kind = 'replication'
  readonly splitsReads = true
  readonly shards: readonly [Shard]
  version = 0
  private readonly modules: ReplicationModules
  private readonly shard: Shard
  private readonly group: ReplicaGroup
  private primaryAddress: ServerAddress | undefined

  constructor(modules: ReplicationModules) {
    this.modules = modules
    const { primary } = modules.pool
    this.group = new ReplicaGroup(primary, modules.clock)
    this.shard = { id: 'all', primary, reader: (sinceMs) => this.group.reader(sinceMs) }
    this.shards = [this.shard]
  }

  /** Goes on with the members of `config`, after the pool. */
  use(config: ProxyConfig): void {
    const { members, primary, reads } = config.upstream
    const { pool } = this.modules
    const address = primary && formatHostPort(primary)
    this.primaryAddress = primary && { host: primary.host, port: primary.port }
    const key = primary && `${address} ${primary.runId}`
    if (this.group.follow(pool.primary, key)) this.version += 1
    const places = members.flatMap(({ host, port, role, zone }) => {
      if (role !== 'replica' || formatHostPort({ host, port }) === address) return []
      const server = pool.get({ host, port }, 'replica')
      return server
        ? [{ address: { host, port }, server, ...(zone !== undefined && { zone }) }]
        : []
    })
    this.group.use(places, reads)
    pool.retain(new Set(this.group.servers))
  }

  close(): void {
    this.group.close()
    this.modules.pool.retain(new Set())
  }

  /** A server can be used again, or cannot any more. */
  noteView(server: ServerConnections): void {
    this.group.noteView(server)
  }

  /** A server can be asked now. */
  noteReserve(): void {
    this.group.askSoon()
  }

  hashOf(): number {
    return 0
  }

  isTogether(): boolean {
    return true
  }

  shardOf(): Shard {
    return this.shard
  }

  anyShard(): Shard {
    return this.shard
  }

  /** Servers that replicate send nobody elsewhere. */
  onMoved(): undefined {
    return undefined
  }

  onAsk(): undefined {
    return undefined
  }

  lookAgain(): void {
    this.group.askSoon()
  }

  topologyView(): TopologyView {
    const { shard, group, version, primaryAddress } = this
    const nowMs = this.modules.clock.monotonicMs()
    const primary = { ...group.primaryState(), server: shard.primary, address: primaryAddress }
    return viewReplication({ id: shard.id, version, primary, replicas: group.replicas, nowMs })
  }
}
