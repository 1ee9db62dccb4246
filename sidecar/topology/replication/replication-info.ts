/** What `INFO replication` says of a server. Pure; what it does not say is not made up. */
import type { ServerAddress } from '../../route/backend.ts'

export interface ReplicationInfo {
  readonly role: 'primary' | 'replica'
  /** Which history of writes its offset counts in. */
  readonly lineage: string
  /** The one before, of which it is the continuation. */
  readonly formerLineage?: string
  /** Of a primary what it has written, of a replica what it has applied. */
  readonly offset: number
  /** Of a replica: whether it hears its primary, and whether it receives all data anew. */
  readonly isLinkUp: boolean
  readonly isSyncing: boolean
  /** Whom a replica follows. */
  readonly follows?: ServerAddress
  /** Who follows it, by the addresses that they announce, in the server’s order; at most `max`. */
  readonly followers: readonly ServerAddress[]
}

/** Undefined if it is not what a server answers. */
export function parseReplicationInfo(text: string, max: number): ReplicationInfo | undefined {
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const role = roles[fields.get('role') ?? '']
  if (role === undefined) return undefined
  const offsetField = role === 'primary' ? 'master_repl_offset' : 'slave_repl_offset'
  const offset = wholeNumber(fields.get(offsetField))
  const lineage = fields.get('master_replid')
  if (offset === undefined || lineage === undefined) return undefined
  const former = fields.get('master_replid2')
  const hasFormer = former !== undefined && !/^0*$/.test(former)
  const follows = address(fields.get('master_host'), fields.get('master_port'))
  return {
    role,
    lineage,
    ...(hasFormer && { formerLineage: former }),
    offset,
    isLinkUp: fields.get('master_link_status') === 'up',
    isSyncing: fields.get('master_sync_in_progress') === '1',
    ...(role === 'replica' && follows !== undefined && { follows }),
    followers: followersOf(fields, max),
  }
}

const roles: Readonly<Record<string, ReplicationInfo['role']>> = {
  master: 'primary',
  slave: 'replica',
}

/** `slave0:ip=10.0.0.7,port=6379,state=online,offset=42,lag=0`, and so on; an address may have colons. */
function followersOf(fields: ReadonlyMap<string, string>, max: number): ServerAddress[] {
  const found: ServerAddress[] = []
  for (const [name, value] of fields) {
    if (found.length >= max) break
    if (!/^slave\d+$/.test(name)) continue
    const parts = new Map(value.split(',').map((part) => splitOnce(part)))
    const one = address(parts.get('ip'), parts.get('port'))
    if (one !== undefined) found.push(one)
  }
  return found
}

function splitOnce(part: string): readonly [string, string] {
  const equals = part.indexOf('=')
  return equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
}

function address(host: string | undefined, port: string | undefined): ServerAddress | undefined {
  const number = wholeNumber(port)
  if (!host || number === undefined || number < 1 || number > 65_535) return undefined
  // It stands in the configuration as a name or an address.
  return /^[\w.:%-]{1,253}$/.test(host) ? { host, port: number } : undefined
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
