/** Which server takes writes, judged from what the servers say of themselves. Pure. */
import { formatHostPort } from '../../common/redis/url.ts'
import type { ReplicationInfo } from './replication/replication-info.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What one server answered. */
export interface Facts {
  readonly kind: 'master' | 'replica'
  readonly runId?: string
  /** Absent if it does not say. */
  readonly info?: ReplicationInfo
}

export type Observation = Address &
  (Facts | { readonly kind: 'unreachable'; readonly reason: string })

export interface Primary extends Address {
  readonly runId?: string
}

export type Choice =
  | { readonly kind: 'primary'; readonly primary: Primary }
  /** Nothing was learnt that speaks against the present one. */
  | { readonly kind: 'keep' }
  | { readonly kind: 'none'; readonly reason: string }

type Master = Address & Facts & { readonly kind: 'master' }
type Replica = Address & Facts & { readonly kind: 'replica' }

/**
 * Exactly one master is the primary, unless more replicas hear another than hear it. Several: the present one if it is
 * among them, else the one that most replicas hear, else none, since writing to either could be wrong. None: no
 * primary, unless the present one just could not be asked; then it stays, and the data path finds out for itself
 * whether it can be reached.
 */
export function choosePrimary(
  observations: readonly Observation[],
  present: Primary | undefined,
): Choice {
  const masters = distinct(observations.filter(isMaster))
  const same = masters.find((master) => present !== undefined && isSamePlace(master, present))
  const [first] = masters
  if (first !== undefined && masters.length === 1) {
    if (same !== undefined || !isContradicted(first, observations)) return chosen(first)
  } else if (first !== undefined) {
    const best = same ?? mostHeard(masters, observations)
    if (best !== undefined) return chosen(best)
    const places = masters.map(formatHostPort).join(', ')
    return { kind: 'none', reason: `several servers say that they are masters: ${places}` }
  }
  const asked = observations.find((one) => present !== undefined && isSamePlace(one, present))
  if (asked?.kind === 'unreachable') return { kind: 'keep' }
  return { kind: 'none', reason: whyNone(observations, first) }
}

function whyNone(observations: readonly Observation[], doubted: Address | undefined): string {
  if (doubted !== undefined) {
    return `${formatHostPort(doubted)} says that it is the master, and the replicas follow another`
  }
  const isAnyReachable = observations.some((one) => one.kind !== 'unreachable')
  return isAnyReachable ? 'all servers that answer are replicas' : 'no server can be reached'
}

function chosen({ host, port, runId }: Primary): Choice {
  return { kind: 'primary', primary: { host, port, ...(runId !== undefined && { runId }) } }
}

export function isMaster(one: Observation): one is Master {
  return one.kind === 'master'
}

export function isReplica(one: Observation): one is Replica {
  return one.kind === 'replica'
}

export function isSamePlace(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port
}

/**
 * The history of writes that a replica takes part in now. Told by its number, not by the address of its primary, which
 * may have another name here.
 */
function heardLineages(observations: readonly Observation[]): string[] {
  const replicas = distinct(observations.filter(isReplica))
  return replicas.flatMap(({ info }) => (info?.isLinkUp === true ? info.lineage : []))
}

/** A server that began anew as a master, say, while the primary cannot be asked from here. */
function isContradicted({ info }: Master, observations: readonly Observation[]): boolean {
  if (info === undefined) return false
  const heard = heardLineages(observations)
  const isOf = (lineage: string) => lineage === info.lineage
  const others = heard.filter((lineage) => !isOf(lineage) && lineage !== info.formerLineage)
  return others.length > heard.filter(isOf).length
}

function mostHeard(
  masters: readonly Master[],
  observations: readonly Observation[],
): Master | undefined {
  const heard = heardLineages(observations)
  const counted = masters.map((master) => ({
    master,
    count: heard.filter((lineage) => lineage === master.info?.lineage).length,
  }))
  const [best, next] = counted.toSorted((one, other) => other.count - one.count)
  return best !== undefined && best.count > (next?.count ?? 0) ? best.master : undefined
}

/** One process under two names counts once, under the first. */
export function distinct<T extends { readonly runId?: string }>(servers: readonly T[]): T[] {
  const seen = new Set<string>()
  return servers.filter(({ runId }) => {
    if (runId === undefined) return true
    if (seen.has(runId)) return false
    seen.add(runId)
    return true
  })
}
