/** What is shown of a ring. */
import { formatHostPort } from '../../../common/redis/url.ts'
import { type MemberView, type ShardView, type TopologyView, memberState } from '../view.ts'
import type { RingShard } from './ring-shard.ts'

export interface Shown {
  readonly shards: readonly RingShard[]
  /** Of the keys, by shard. */
  readonly shares: readonly number[]
  readonly version: number
}

export function viewRing({ shards, shares, version }: Shown): TopologyView {
  return {
    kind: 'ring',
    version,
    splitsReads: false,
    shards: shards.map((shard, index): ShardView => {
      return { id: shard.id, keyShare: shares[index] ?? 0, members: [viewServer(shard)] }
    }),
    slotsUncovered: 0,
  }
}

function viewServer({ id, address, zone, primary, ejection }: RingShard): MemberView {
  const state = ejection.isOut ? 'ejected' : memberState(primary)
  const reason = state === 'ready' ? undefined : state
  return {
    address: formatHostPort(address),
    name: id,
    ...(zone !== undefined && { zone }),
    role: 'primary',
    state,
    isFit: reason === undefined,
    ...(reason && { reason }),
    inFlightCommands: primary.inFlightCommands,
    connections: primary.connectionCount,
    commandsSent: primary.load.commandCount,
  }
}
