/** Which server takes writes, judged from what the servers say of themselves. Pure. */
import { formatHostPort } from '../../common/redis/url.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What one server answered. */
export type Observation = Address &
  (
    | { readonly kind: 'master'; readonly runId?: string }
    | { readonly kind: 'replica'; readonly runId?: string }
    | { readonly kind: 'unreachable'; readonly reason: string }
  )

export interface Primary extends Address {
  readonly runId?: string
}

export type Choice =
  | { readonly kind: 'primary'; readonly primary: Primary }
  /** Nothing was learnt that speaks against the present one. */
  | { readonly kind: 'keep' }
  | { readonly kind: 'none'; readonly reason: string }

/**
 * Exactly one master is the primary. Several: the present one if it is among them, else none, since writing to
 * either could be wrong. None: no primary, unless the present one just could not be asked; then it stays, and
 * the data path finds out for itself whether it can be reached.
 */
export function choosePrimary(
  observations: readonly Observation[],
  present: Primary | undefined,
): Choice {
  const masters = distinct(observations.filter((one) => one.kind === 'master'))
  const [first] = masters
  if (first !== undefined && masters.length === 1) return chosen(first)
  if (masters.length > 1) {
    const same = masters.find((master) => present !== undefined && isSamePlace(master, present))
    if (same !== undefined) return chosen(same)
    const places = masters.map(formatHostPort).join(', ')
    return { kind: 'none', reason: `several servers say that they are masters: ${places}` }
  }
  const asked = observations.find((one) => present !== undefined && isSamePlace(one, present))
  if (asked?.kind === 'unreachable') return { kind: 'keep' }
  const isAnyReachable = observations.some((one) => one.kind !== 'unreachable')
  return {
    kind: 'none',
    reason: isAnyReachable ? 'all servers that answer are replicas' : 'no server can be reached',
  }
}

function chosen({ host, port, runId }: Primary): Choice {
  return { kind: 'primary', primary: { host, port, ...(runId !== undefined && { runId }) } }
}

export function isSamePlace(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port
}

/** One process under two names counts once. */
function distinct<T extends { readonly runId?: string }>(masters: readonly T[]): readonly T[] {
  const seen = new Set<string>()
  return masters.filter(({ runId }) => {
    if (runId === undefined) return true
    if (seen.has(runId)) return false
    seen.add(runId)
    return true
  })
}
