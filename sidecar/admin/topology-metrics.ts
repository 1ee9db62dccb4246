/** The part of the catalogue of metrics that is about servers and who has which keys; see `metrics.ts`. */
import type { MetricDefinition } from '../../common/metrics.ts'
import { metricServersMax } from '../../common/limits.ts'
import { slotCount } from '../../common/redis/slots.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import type { MemberView, TopologyView } from '../topology/view.ts'

export interface TopologyMetricSource {
  readonly view: { readonly counters: Readonly<DataPlaneCounters> }
  /** Absent before a configuration is in force. */
  readonly topology?: TopologyView
}

type Definition = MetricDefinition<TopologyMetricSource>

/** One for each server that has the value; of servers beyond the bound nothing is shown. */
function perServer(
  name: string,
  type: 'gauge' | 'counter',
  texts: { readonly help: string; readonly read: (member: MemberView) => number | undefined },
): Definition {
  return {
    name,
    help: texts.help,
    type,
    labels: ['server', 'role'],
    read: ({ topology }) =>
      serversOf(topology).flatMap((member) => {
        const value = texts.read(member)
        if (value === undefined) return []
        return [{ labels: { server: member.address, role: member.role }, value }]
      }),
  }
}

function serversOf(topology: TopologyView | undefined): readonly MemberView[] {
  const found = new Map<string, MemberView>()
  for (const { members } of topology?.shards ?? []) {
    for (const member of members) {
      if (found.size < metricServersMax) found.set(`${member.role} ${member.address}`, member)
    }
  }
  return [...found.values()]
}

function whole(
  name: string,
  help: string,
  read: (topology: TopologyView) => number | undefined,
): Definition {
  const type = name.endsWith('_total') ? 'counter' : 'gauge'
  return { name, help, type, read: ({ topology }) => topology && read(topology) }
}

export const topologyMetrics: readonly Definition[] = [
  perServer('respmesh_server_up', 'gauge', {
    help: '1 while there is a connection to the server that can be used.',
    read: ({ state }) => (state === 'ready' ? 1 : 0),
  }),
  perServer('respmesh_server_fit', 'gauge', {
    help: '1 while the server is given what its role can take.',
    read: ({ isFit }) => (isFit ? 1 : 0),
  }),
  perServer('respmesh_server_commands_total', 'counter', {
    help: 'Commands sent to the server over connections that clients share.',
    read: ({ commandsSent }) => commandsSent,
  }),
  perServer('respmesh_server_commands_in_flight', 'gauge', {
    help: 'Of these, commands that are not answered yet.',
    read: ({ inFlightCommands }) => inFlightCommands,
  }),
  perServer('respmesh_server_connections', 'gauge', {
    help: 'Connections to the server that clients share.',
    read: ({ connections }) => connections,
  }),
  perServer('respmesh_server_lag_bytes', 'gauge', {
    help: 'How far the replica is behind its primary, in bytes of the replication stream.',
    read: ({ lagBytes }) => lagBytes,
  }),
  perServer('respmesh_server_lag_seconds', 'gauge', {
    help: 'How old what the replica has may be, at most.',
    read: ({ lagSeconds }) => lagSeconds,
  }),
  perServer('respmesh_server_latency_seconds', 'gauge', {
    help: 'Smoothed time of one question to the server and its answer.',
    read: ({ latencyMs }) => latencyMs && latencyMs / 1000,
  }),
  whole(
    'respmesh_topology_version',
    'Rises when commands go elsewhere than before.',
    ({ version }) => version,
  ),
  whole('respmesh_shards', 'Parts of the keys, each with a primary.', ({ shards }) => {
    return shards.length
  }),
  whole(
    'respmesh_cluster_slots_covered',
    'Hash slots that are known to have a primary.',
    ({ kind, slotsUncovered }) => (kind === 'cluster' ? slotCount - slotsUncovered : undefined),
  ),
  whole(
    'respmesh_topology_refreshes_total',
    'Times that nodes of the cluster were asked for the slots.',
    ({ looks }) => looks,
  ),
  whole(
    'respmesh_topology_refresh_failures_total',
    'Of these, times that nothing could be concluded.',
    ({ looksFailed }) => looksFailed,
  ),
  {
    name: 'respmesh_commands_refused_total',
    help: 'Times that a server did not run a command and the client was not told, by what it said instead.',
    type: 'counter',
    labels: ['reason'],
    read: ({ view: { counters } }) => [
      { labels: { reason: 'moved' }, value: counters.refusedMoved },
      { labels: { reason: 'ask' }, value: counters.refusedAsk },
      { labels: { reason: 'tryagain' }, value: counters.refusedTryAgain },
      { labels: { reason: 'clusterdown' }, value: counters.refusedClusterDown },
      { labels: { reason: 'state' }, value: counters.refusedByState },
    ],
  },
]
