/** How the servers of a laptop are arranged, after the backend they stand in for. Pure. */
import type { Secret } from '../../common/secret.ts'
import type { RedisProxySpec } from '../api/redis-proxy.ts'
import { parkSource } from '../controller/observation.ts'

/** replication: the operator arranges them; sentinel: Sentinels do; cluster; ring: each for itself. */
export type Arrangement = 'replication' | 'sentinel' | 'cluster' | 'ring'

export function arrangementOf({ backend }: RedisProxySpec): Arrangement {
  if (backend.mode === 'Cluster') return 'cluster'
  if (backend.mode === 'Ring') return 'ring'
  return backend.sentinel === undefined ? 'replication' : 'sentinel'
}

/** With six nodes or more half of them are replicas; a cluster elects with a majority of three primaries at least. */
export function clusterPrimaries(count: number): number {
  return count >= 6 ? Math.floor(count / 2) : count
}

export interface ServerPlace {
  readonly port: number
  /** Of a cluster’s nodes among themselves. */
  readonly busPort?: number
  readonly directory: string
}

/** Data survives the process in an append-only file, as on a volume; the folder goes with us. */
export function commonArgs({ port, directory, busPort }: ServerPlace): readonly string[] {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    appendonly: 'yes',
    appendfsync: 'no',
    'repl-diskless-sync': 'yes',
    'repl-diskless-sync-delay': '0',
    ...(busPort !== undefined && {
      'cluster-enabled': 'yes',
      'cluster-port': String(busPort),
      'cluster-node-timeout': String(nodeTimeoutMs),
    }),
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

/** Silence after which nodes of a cluster, or Sentinels, hold a server for down. */
export const nodeTimeoutMs = 1500

/** The first starts as the primary, the others as its replicas; one that died comes back parked. */
export function sourceArgs(start: {
  readonly arrangement: Arrangement
  readonly isFirst: boolean
  readonly index: number
  readonly primaryPort: number
  readonly isAlone: boolean
}): readonly string[] {
  const { arrangement, isAlone, isFirst, index, primaryPort } = start
  if (arrangement === 'cluster' || arrangement === 'ring') return []
  if (isAlone || (isFirst && index === 0)) return []
  if (isFirst) return ['--replicaof', '127.0.0.1', String(primaryPort)]
  return ['--replicaof', parkSource.host, String(parkSource.port)]
}

export function passwordArgs(password: Secret | undefined): readonly string[] {
  if (password === undefined) return []
  return ['--requirepass', password.reveal(), '--masterauth', password.reveal()]
}
