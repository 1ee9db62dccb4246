/** What `GET /topology` answers: what the data path tells of its servers, with what the configuration says of them. Pure. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { slotCount } from '../../common/redis/slots.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { TopologyView } from '../topology/view.ts'

export interface TopologyAnswer extends TopologyView {
  /** Who says which server is the primary, or who has which keys. */
  readonly discovery: ProxyConfig['upstream']['discovery']
  readonly serverCount: number
  /** Servers that are given what their role can take. */
  readonly fitCount: number
  /** Only of a cluster. */
  readonly cluster?: {
    /** Whether every slot has a primary that can be used. */
    readonly state: 'ok' | 'fail'
    readonly slotsCovered: number
    readonly slotsServed: number
    readonly slotsAll: number
  }
  /** Only where Sentinels are followed. */
  readonly sentinel?: { readonly name: string; readonly members: readonly string[] }
}

export function topologyAnswer({ upstream }: ProxyConfig, view: TopologyView): TopologyAnswer {
  const members = view.shards.flatMap((shard) => shard.members)
  const { sentinel, discovery } = upstream
  return {
    ...view,
    discovery,
    serverCount: members.length,
    fitCount: members.filter(({ isFit }) => isFit).length,
    ...(view.kind === 'cluster' && { cluster: clusterOf(view) }),
    ...(sentinel && {
      sentinel: { name: sentinel.name, members: sentinel.members.map(formatHostPort) },
    }),
  }
}

function clusterOf({
  shards,
  slotsUncovered,
}: TopologyView): NonNullable<TopologyAnswer['cluster']> {
  const slotsCovered = slotCount - slotsUncovered
  let slotsServed = 0
  for (const { slots = [], members } of shards) {
    const isServed = members.some(({ role, isFit }) => role === 'primary' && isFit)
    for (const [first, last] of slots) if (isServed) slotsServed += last - first + 1
  }
  const state = slotsServed === slotCount ? 'ok' : 'fail'
  return { state, slotsCovered, slotsServed, slotsAll: slotCount }
}
