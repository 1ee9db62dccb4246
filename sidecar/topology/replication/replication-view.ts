/** What is shown of a replicated backend. */
import { formatHostPort } from '../../../common/redis/url.ts'
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { type MemberView, type TopologyView, type UnfitReason, memberState } from '../view.ts'
import { type PrimaryState, lagBytes } from './fitness.ts'
import type { Replica } from './replica.ts'

export interface Shown {
  readonly id: string
  readonly version: number
  readonly primary: PrimaryState & {
    readonly server: ServerConnections
    readonly address: ServerAddress | undefined
  }
  readonly replicas: readonly Replica[]
  readonly nowMs: number
}

export function viewReplication(shown: Shown): TopologyView {
  const { id, version, primary, replicas } = shown
  const first = primary.address === undefined ? [] : [viewPrimary(primary.address, primary.server)]
  const others = replicas.map((replica) => viewReplica(replica, shown))
  return {
    kind: 'replication',
    version,
    splitsReads: true,
    shards: [{ id, members: [...first, ...others] }],
    slotsUncovered: 0,
  }
}

function viewPrimary(address: ServerAddress, server: ServerConnections): MemberView {
  const state = memberState(server)
  const reason = unusable(server)
  return {
    address: formatHostPort(address),
    role: 'primary',
    state,
    isFit: reason === undefined,
    ...(reason && { reason }),
    inFlightCommands: server.inFlightCommands,
    connections: server.connectionCount,
    commandsSent: server.load.commandCount,
  }
}

export function viewReplica(
  replica: Replica,
  { primary, nowMs }: { readonly primary: PrimaryState; readonly nowMs: number },
): MemberView {
  const { address, zone, server, learnt, freshAsOfMs, latencyMs, verdict } = replica
  const reason = unusable(server) ?? (nowMs < verdict.untilMs ? undefined : verdict.reason)
  const hasOffsets = learnt !== undefined && primary.last !== undefined
  return {
    address: formatHostPort(address),
    ...(zone !== undefined && { zone }),
    role: learnt?.role ?? 'replica',
    state: memberState(server),
    isFit: reason === undefined,
    ...(reason && { reason }),
    ...(hasOffsets && { lagBytes: lagBytes(replica, primary) }),
    ...(Number.isFinite(freshAsOfMs) && { lagSeconds: (nowMs - freshAsOfMs) / 1000 }),
    ...(latencyMs !== undefined && { latencyMs }),
    inFlightCommands: server.inFlightCommands,
    connections: server.connectionCount,
    commandsSent: server.load.commandCount,
  }
}

function unusable(server: ServerConnections): UnfitReason | undefined {
  if (server.isStalled) return 'stalled'
  return server.view === 'ok' ? undefined : 'connecting'
}
