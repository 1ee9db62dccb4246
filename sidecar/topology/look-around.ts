/** Asks servers, then those whom they name, until no further one is named or there are as many as there may be. */
import { membersLearntMax } from '../../common/limits.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import { type Address, type Observation, isSamePlace } from './choose-primary.ts'

/** In the order in which they became known, `first` before all others. `observe` never throws. */
export async function lookAround(
  first: readonly Address[],
  observe: (address: Address) => Promise<Observation>,
): Promise<Observation[]> {
  const known = new Set<string>()
  const observations: Observation[] = []
  let next = news(first, known)
  while (next.length > 0) {
    const seen = await Promise.all(next.map((address) => observe(address)))
    observations.push(...seen)
    next = news(seen.flatMap(named), known)
  }
  return observations
}

/** Those that are not known yet; they are from now on. */
function news(addresses: readonly Address[], known: Set<string>): Address[] {
  return addresses.filter((address) => {
    const key = formatHostPort(address)
    if (known.has(key) || known.size >= membersLearntMax) return false
    known.add(key)
    return true
  })
}

/** Whom a server follows, and who follows it. */
export function named(one: Observation): readonly Address[] {
  if (one.kind === 'unreachable' || one.info === undefined) return []
  const { follows, followers } = one.info
  return follows === undefined ? followers : [follows, ...followers]
}

export function isNamed(address: Address, observations: readonly Observation[]): boolean {
  return observations.some((one) => named(one).some((other) => isSamePlace(other, address)))
}
