/** Which server is the primary, judged from what Sentinels say. Pure. */
import { formatHostPort } from '../../../common/redis/url.ts'
import type { Address } from '../choose-primary.ts'

/** One Sentinel’s opinion. */
export interface Opinion {
  readonly primary: Address
  /** Number of the failover that made it the primary. */
  readonly configEpoch: number
}

export interface Verdict extends Opinion {
  /** Otherwise most Sentinels cannot be asked, and these few need a proof beside. */
  readonly isMajority: boolean
}

/**
 * What more than half of `sentinelCount` agree on; where not even so many answer, the newest that is said. Nothing older
 * than `epochFloor` counts, so that who was away in a failover brings no old primary back. Undefined: they disagree, and
 * will tell more soon.
 */
export function chooseBySentinels(
  opinions: readonly Opinion[],
  sentinelCount: number,
  epochFloor: number,
): Verdict | undefined {
  const groups = new Map<string, Opinion & { count: number }>()
  for (const { primary, configEpoch } of opinions) {
    if (configEpoch < epochFloor) continue
    const key = `${configEpoch} ${formatHostPort(primary)}`
    const group = groups.get(key) ?? { primary, configEpoch, count: 0 }
    group.count += 1
    groups.set(key, group)
  }
  const isMost = (count: number) => count * 2 > sentinelCount
  for (const { primary, configEpoch, count } of groups.values()) {
    if (isMost(count)) return { primary, configEpoch, isMajority: true }
  }
  if (isMost(opinions.length)) return undefined
  const newest = Math.max(...[...groups.values()].map((one) => one.configEpoch))
  const [only, other] = [...groups.values()].filter((one) => one.configEpoch === newest)
  if (only === undefined || other !== undefined) return undefined
  return { primary: only.primary, configEpoch: newest, isMajority: false }
}
