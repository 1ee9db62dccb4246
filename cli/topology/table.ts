/** The answer of `GET /topology` as text: a line on the whole, then a table with a row for each server. Pure. */
import type { Paint } from '../up/terminal.ts'

/** What is read of it; another release may say more or less. */
export interface Topology {
  readonly kind?: string
  readonly discovery?: string
  readonly version?: number
  readonly splitsReads?: boolean
  readonly serverCount?: number
  readonly fitCount?: number
  readonly cluster?: {
    readonly state?: string
    readonly slotsCovered?: number
    readonly slotsServed?: number
    readonly slotsAll?: number
  }
  readonly sentinel?: { readonly name?: string; readonly members?: readonly string[] }
  readonly shards?: readonly Shard[]
}

interface Shard {
  readonly id?: string
  readonly slots?: readonly (readonly [number, number])[]
  readonly keyShare?: number
  readonly members?: readonly Member[]
}

interface Member {
  readonly address?: string
  readonly name?: string
  readonly zone?: string
  readonly role?: string
  readonly state?: string
  readonly isFit?: boolean
  readonly reason?: string
  readonly lagBytes?: number
  readonly lagSeconds?: number
  readonly latencyMs?: number
  readonly inFlightCommands?: number
  readonly connections?: number
  readonly commandsSent?: number
}

type Mark = 'good' | 'warn' | 'dim'

interface Cell {
  readonly text: string
  readonly mark?: Mark
}

const columns = [
  'SHARD',
  'KEYS',
  'SERVER',
  'ZONE',
  'ROLE',
  'HEALTH',
  'LAG',
  'LATENCY',
  'SENT',
  'IN FLIGHT',
] as const
const rangesShown = 3
const idLength = 8

export function topologyText(topology: Topology, paint: Paint): string {
  const first = ({ slots }: Shard) => slots?.[0]?.[0] ?? 0
  const shards = (topology.shards ?? []).toSorted((a, b) => first(a) - first(b))
  const rows = shards.flatMap((shard, index) => rowsOf(shard, index))
  return [paint.bold(headline(topology)), ...details(topology), '', ...table(rows, paint)].join(
    '\n',
  )
}

/** Whether every server is as it should be, and every key has one. */
export function isWell({ cluster, splitsReads, shards = [] }: Topology): boolean {
  const members = shards.flatMap((shard) => shard.members ?? [])
  const isUsed = ({ reason, role }: Member) =>
    reason !== 'unused' && (role !== 'replica' || splitsReads === true)
  const isCovered = cluster === undefined || cluster.state === 'ok'
  return (
    isCovered && members.length > 0 && members.filter(isUsed).every(({ isFit }) => isFit === true)
  )
}

function headline(topology: Topology): string {
  const { kind = 'unknown', version = 0, serverCount = 0, fitCount = 0, cluster, shards } = topology
  const parts = [
    `${kind}${cluster === undefined ? '' : ` ${cluster.state}`}`,
    ...(kind === 'standalone' || kind === 'replication'
      ? []
      : [`${shards?.length ?? 0} ${shards?.length === 1 ? 'shard' : 'shards'}`]),
    `${fitCount} of ${serverCount} servers in use`,
    ...(cluster === undefined
      ? []
      : [`${cluster.slotsServed ?? 0} of ${cluster.slotsAll ?? 0} slots served`]),
    `version ${version}`,
  ]
  return parts.join(' · ')
}

function details({ discovery, splitsReads, sentinel }: Topology): string[] {
  const who: Readonly<Record<string, string>> = {
    operator: 'the operator says which server is the primary',
    self: 'the sidecar asks the servers',
    sentinel: 'Sentinels say which server is the primary',
  }
  return [
    ...(discovery === undefined ? [] : [who[discovery] ?? discovery]),
    ...(sentinel === undefined
      ? []
      : [`Sentinels of ${sentinel.name}: ${(sentinel.members ?? []).join(', ')}`]),
    splitsReads === true ? 'reads go to replicas' : 'everything goes to primaries',
  ]
}

function rowsOf(shard: Shard, index: number): readonly (readonly Cell[])[] {
  return (shard.members ?? []).map((member, place) => [
    { text: place === 0 ? shardName(shard, index) : '' },
    { text: place === 0 ? keysOf(shard) : '', mark: 'dim' },
    { text: member.address ?? '?' },
    { text: member.zone ?? '', mark: 'dim' },
    { text: member.role ?? '' },
    healthOf(member),
    { text: lagOf(member) },
    { text: member.latencyMs === undefined ? '' : `${member.latencyMs.toFixed(1)} ms` },
    { text: String(member.commandsSent ?? '') },
    { text: String(member.inFlightCommands ?? '') },
  ])
}

/** Names of a ring and short ids are shown, ids of nodes are cut. */
function shardName({ id = '', keyShare }: Shard, index: number): string {
  if (id === '' || id === 'all') return String(index)
  return keyShare === undefined ? id.slice(0, idLength) : id
}

function keysOf({ slots, keyShare }: Shard): string {
  if (keyShare !== undefined) return `${(keyShare * 100).toFixed(1)} %`
  if (slots === undefined) return 'all'
  const shown = slots
    .slice(0, rangesShown)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const left = slots.length - rangesShown
  return `${shown.join(' ')}${left > 0 ? ` and ${left} more` : ''}`
}

function healthOf({ isFit, reason, state = '' }: Member): Cell {
  if (isFit === true) return { text: 'ok', mark: 'good' }
  if (reason === 'unused') return { text: 'unused', mark: 'dim' }
  return { text: reason ?? state, mark: 'warn' }
}

function lagOf({ lagBytes, lagSeconds }: Member): string {
  const bytes = lagBytes === undefined ? [] : [bytesText(lagBytes)]
  const seconds = lagSeconds === undefined ? [] : [`${lagSeconds.toFixed(1)} s`]
  return [...bytes, ...seconds].join(' ')
}

function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const [value, unit] = bytes < 1024 * 1024 ? [bytes / 1024, 'KiB'] : [bytes / (1024 * 1024), 'MiB']
  return `${value.toFixed(1)} ${unit}`
}

/** Columns that nobody has anything in are left out; what is coloured is aligned first. */
function table(rows: readonly (readonly Cell[])[], paint: Paint): string[] {
  const used = columns.flatMap((_name, at) =>
    rows.some((row) => row[at]?.text !== '') ? [at] : [],
  )
  const widths = used.map((at) =>
    Math.max(columns[at]?.length ?? 0, ...rows.map((row) => row[at]?.text.length ?? 0)),
  )
  const line = (cells: readonly Cell[]) =>
    used
      .map((at, index) => {
        const { text = '', mark } = cells[at] ?? {}
        const padded = text.padEnd(widths[index] ?? 0)
        return mark === undefined ? padded : paint[mark](padded)
      })
      .join('  ')
      .trimEnd()
  const head = line(columns.map((text): Cell => ({ text, mark: 'dim' })))
  return rows.length === 0 ? ['no server is known'] : [head, ...rows.map(line)]
}
