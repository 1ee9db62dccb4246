/** The places that the configuration names, as they are resolved now: a name may stand for all nodes, or for new ones. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { clusterSeedAddressesMax } from '../../../common/limits.ts'
import { isUnixPath } from '../../../common/redis/url.ts'
import type { ServerAddress } from '../../route/backend.ts'

export interface Seed {
  readonly address: ServerAddress
  readonly isSeed: boolean
  /** What the configuration calls it, where that is not its address: its certificate says so too. */
  readonly name?: string
}

/** A name that cannot be resolved in time gives nothing. */
export async function resolveSeeds(
  places: readonly ServerAddress[],
  timeoutMs: number,
): Promise<readonly Seed[]> {
  return (await Promise.all(places.map((place) => resolveSeed(place, timeoutMs)))).flat()
}

async function resolveSeed(place: ServerAddress, timeoutMs: number): Promise<readonly Seed[]> {
  const { host, port } = place
  const itself = [{ address: place, isSeed: true }]
  if (isUnixPath(host) || isIP(host) !== 0) return itself
  const abort = new AbortController()
  const late = delay(timeoutMs, [], { signal: abort.signal }).catch(() => [])
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), late])
  abort.abort()
  if (found.length === 0) return []
  if (found.length === 1) return itself
  return found.slice(0, clusterSeedAddressesMax).map((one) => ({
    address: { host: one.address, port },
    isSeed: true,
    name: host,
  }))
}
