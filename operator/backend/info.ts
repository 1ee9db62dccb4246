/** Reads the reply of `INFO`. Pure; unknown fields are passed over, missing ones have the harmless meaning. */
import type { ClusterFacts, ServerFacts } from '../controller/observation.ts'

/** What `INFO replication` says. */
export type Replication = Pick<
  ServerFacts,
  | 'role'
  | 'replId'
  | 'replId2'
  | 'secondReplOffset'
  | 'offset'
  | 'source'
  | 'isLinkUp'
  | 'lastIoSeconds'
  | 'isSyncing'
  | 'priority'
  | 'connectedReplicas'
>

/** @returns undefined if the text is not that of a server that says who it is */
export function parseInfo(text: string): ServerFacts | undefined {
  const fields = readFields(text)
  const runId = fields.get('run_id')
  const replication = readReplication(fields)
  if (runId === undefined || replication === undefined) return undefined
  return {
    ...replication,
    runId,
    version: fields.get('valkey_version') ?? fields.get('redis_version') ?? '',
    isLoading: numberIn(fields, 'loading') !== 0 || numberIn(fields, 'async_loading') !== 0,
    keyCount: countKeys(fields),
  }
}

/** @returns undefined if the text does not tell the role */
export function parseReplication(text: string): Replication | undefined {
  return readReplication(readFields(text))
}

function readReplication(fields: ReadonlyMap<string, string>): Replication | undefined {
  const role = fields.get('role')
  if (role !== 'master' && role !== 'slave') return undefined
  const isReplica = role === 'slave'
  const number = (name: string, fallback = 0) => numberIn(fields, name, fallback)
  const sourceHost = fields.get('master_host')
  const masterOffset = number('master_repl_offset')
  return {
    role: isReplica ? 'replica' : 'primary',
    replId: fields.get('master_replid') ?? '',
    replId2: fields.get('master_replid2') ?? '',
    secondReplOffset: number('second_repl_offset', -1),
    offset: Math.max(0, isReplica ? number('slave_repl_offset', masterOffset) : masterOffset),
    ...(isReplica &&
      sourceHost !== undefined && {
        source: { host: sourceHost, port: number('master_port') },
      }),
    isLinkUp: fields.get('master_link_status') === 'up',
    lastIoSeconds: number('master_last_io_seconds_ago', -1),
    isSyncing: number('master_sync_in_progress') !== 0,
    priority: number('slave_priority', 100),
    connectedReplicas: number('connected_slaves'),
  }
}

function numberIn(fields: ReadonlyMap<string, string>, name: string, fallback = 0): number {
  const value = Number(fields.get(name))
  return fields.has(name) && Number.isFinite(value) ? value : fallback
}

/** Whether the text of `INFO` is that of a node of a cluster. */
export function isClusterNode(info: string): boolean {
  return readFields(info).get('cluster_enabled') === '1'
}

/** Reads the reply of `CLUSTER INFO`. */
export function parseClusterInfo(text: string): ClusterFacts {
  const fields = readFields(text)
  const number = (name: string) => Number(fields.get(name) ?? 0) || 0
  return {
    isOk: fields.get('cluster_state') === 'ok',
    slotsOk: number('cluster_slots_ok'),
    shardCount: number('cluster_size'),
  }
}

function readFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) {
      fields.set(line.slice(0, colon), line.slice(colon + 1).trimEnd())
    }
  }
  return fields
}

/** Sums `dbN:keys=…,expires=…`. */
function countKeys(fields: ReadonlyMap<string, string>): number {
  let sum = 0
  for (const [name, value] of fields) {
    if (/^db\d+$/.test(name)) sum += Number(/^keys=(\d+)/.exec(value)?.[1] ?? 0)
  }
  return sum
}
