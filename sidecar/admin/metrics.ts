/** The catalogue of the sidecar’s metrics; `docs/reference/metrics.md` lists the same, which a test compares. */
import { type MetricDefinition, processMetrics } from '../../common/metrics.ts'
import { grantMsLeft } from '../control/evidence.ts'
import type { StreamView } from '../control/stream-client.ts'
import type { DataPlaneCounters, DataPlaneView } from '../data-plane.ts'
import type { SidecarUse } from '../overload/process-use.ts'
import type { TopologyView } from '../topology/view.ts'
import { topologyMetrics } from './topology-metrics.ts'

export interface MetricSource {
  readonly view: DataPlaneView
  readonly process: SidecarUse
  readonly version: string
  readonly config?: {
    readonly epoch: number
    readonly version: number
    readonly appliedAtMs: number
  }
  readonly isReady: boolean
  readonly topology?: TopologyView
  readonly stream?: StreamView
}

type Definition = MetricDefinition<MetricSource>

function counter(name: string, key: keyof DataPlaneCounters, help: string): Definition {
  return { name, help, type: 'counter', read: ({ view }) => view.counters[key] }
}

function gauge(name: string, help: string, read: Definition['read']): Definition {
  return { name, help, type: 'gauge', read }
}

const counters: readonly Definition[] = [
  counter('respmesh_clients_accepted_total', 'clientsAccepted', 'Client connections accepted.'),
  counter(
    'respmesh_clients_refused_total',
    'clientsRefused',
    'Client connections refused because the limit of clients was reached.',
  ),
  counter(
    'respmesh_raw_connections_total',
    'rawAccepted',
    'Connections of clients to raw listeners.',
  ),
  counter(
    'respmesh_client_protocol_errors_total',
    'protocolErrors',
    'Client connections closed because of what the client sent.',
  ),
  counter(
    'respmesh_client_auth_failures_total',
    'authFailures',
    'Failed AUTH and HELLO of clients.',
  ),
  counter(
    'respmesh_client_tls_errors_total',
    'tlsHandshakeErrors',
    'TLS handshakes of clients that failed or took too long.',
  ),
  counter(
    'respmesh_file_reloads_total',
    'fileReloads',
    'Passwords and certificates read anew because their files changed.',
  ),
  counter(
    'respmesh_file_reload_errors_total',
    'fileReloadErrors',
    'Changed files of passwords and certificates that could not be used.',
  ),
  counter('respmesh_client_read_bytes_total', 'clientBytesRead', 'Bytes received from clients.'),
  counter('respmesh_client_written_bytes_total', 'clientBytesWritten', 'Bytes sent to clients.'),
  counter('respmesh_commands_total', 'commands', 'Commands received from clients.'),
  counter(
    'respmesh_commands_lost_total',
    'commandsLost',
    'Commands whose connection to the server ended before the reply came.',
  ),
  counter('respmesh_commits_total', 'commits', 'Times that writes waited for replicas together.'),
  {
    name: 'respmesh_commit_wait_seconds_total',
    help: 'Time that writes waited for replicas, of each commit once.',
    type: 'counter',
    read: ({ view }) => view.counters.commitMicros / 1e6,
  },
  counter(
    'respmesh_writes_unconfirmed_total',
    'writesUnconfirmed',
    'Writes that were run and answered with an error, because too few replicas had them in time.',
  ),
  counter(
    'respmesh_commits_too_large_total',
    'commitsTooLarge',
    'Connections to the server ended because of replies too large to be withheld.',
  ),
  counter(
    'respmesh_commands_hold_timeouts_total',
    'commandsHeldTooLong',
    'Commands answered with an error because no primary took them in time.',
  ),
  counter(
    'respmesh_commands_sent_again_total',
    'commandsSentAgain',
    'Commands that were sent again: not run, by redirects and refusals, or reads that were lost.',
  ),
  counter(
    'respmesh_commands_shed_total',
    'commandsShed',
    'Commands refused, unsent, because too much waited for the server or it had stalled.',
  ),
  counter(
    'respmesh_upstream_stalls_total',
    'upstreamStalls',
    'Times that a server owed replies and said nothing.',
  ),
  counter(
    'respmesh_upstream_silences_total',
    'upstreamSilences',
    'Times that commands were kept back because a server owed replies and said nothing for a moment.',
  ),
  counter(
    'respmesh_upstream_suspicions_total',
    'upstreamSuspicions',
    'Times that commands were kept back because the control plane suspected the primary.',
  ),
  counter(
    'respmesh_grant_expirations_total',
    'grantsExpired',
    'Times that the grant of the control plane to use the primary ran out.',
  ),
  {
    name: 'respmesh_clients_cut_total',
    help: 'Client connections closed by the sidecar, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: ({ view: { counters } }) => [
      { labels: { reason: 'slow' }, value: counters.clientsCutSlow },
      { labels: { reason: 'memory' }, value: counters.clientsCutMemory },
      { labels: { reason: 'idle' }, value: counters.clientsCutIdle },
      { labels: { reason: 'incomplete' }, value: counters.clientsCutPatience },
      { labels: { reason: 'time-limit' }, value: counters.clientsCutTimeLimit },
    ],
  },
  counter(
    'respmesh_maintenance_notices_total',
    'maintenanceNotices',
    'Messages to clients that asked to be told of maintenance.',
  ),
  counter('respmesh_upstream_connects_total', 'upstreamConnects', 'Connections made to servers.'),
  counter(
    'respmesh_upstream_connect_errors_total',
    'upstreamConnectErrors',
    'Connections to servers that failed.',
  ),
  counter(
    'respmesh_upstream_identity_errors_total',
    'upstreamIdentityErrors',
    'Connections dropped because the server was not the recorded process or not a primary.',
  ),
  counter(
    'respmesh_upstream_read_bytes_total',
    'upstreamBytesRead',
    'Bytes received from servers.',
  ),
  counter(
    'respmesh_upstream_written_bytes_total',
    'upstreamBytesWritten',
    'Bytes sent to servers.',
  ),
]

const flag = (value: boolean) => (value ? 1 : 0)

const gauges: readonly Definition[] = [
  gauge('respmesh_clients', 'Client connections open.', ({ view }) => view.clients),
  gauge(
    'respmesh_raw_connections',
    'Client connections to raw listeners open.',
    ({ view }) => view.rawConnections,
  ),
  gauge(
    'respmesh_commands_in_flight',
    'Commands sent to a server and not yet answered.',
    ({ view }) => view.inFlightCommands,
  ),
  gauge(
    'respmesh_commands_held',
    'Commands that wait for a primary or for the end of a pause.',
    ({ view }) => view.heldCommands,
  ),
  gauge(
    'respmesh_upstream_connections',
    'Connections to servers that clients share.',
    ({ view }) => view.upstreamConnections,
  ),
  gauge(
    'respmesh_upstream_pinned_connections',
    'Connections to servers that belong to one client.',
    ({ view }) => view.pinnedConnections,
  ),
  {
    name: 'respmesh_primary_state',
    help: '1 for the state in which the sidecar sees its primary, 0 for the others.',
    type: 'gauge',
    labels: ['state'],
    read: ({ view }) =>
      (['ok', 'failing', 'none'] as const).map((state) => ({
        labels: { state },
        value: flag(view.primary === state),
      })),
  },
  gauge(
    'respmesh_grant_remaining_seconds',
    'How long the primary may be used without another word of the control plane; 0 while it may not. Only with grantTtlMs.',
    ({ view: { grant } }) => grant && grantMsLeft(grant) / 1000,
  ),
  gauge(
    'respmesh_stale_files',
    'Passwords and certificates in use that are older than their files, which cannot be used.',
    ({ view }) => view.staleFiles ?? 0,
  ),
  gauge(
    'respmesh_memory_limit_bytes',
    'Memory that the sidecar keeps below by closing clients.',
    ({ view }) => view.memoryBytesMax,
  ),
  {
    name: 'respmesh_event_loop_delay_seconds',
    help: 'How late the event loop was in the last minutes: all but one percent of the time, and at worst.',
    type: 'gauge',
    labels: ['quantile'],
    read: ({ process: { loopDelay } }) => [
      { labels: { quantile: '0.99' }, value: loopDelay.p99Seconds },
      { labels: { quantile: '1' }, value: loopDelay.maxSeconds },
    ],
  },
  gauge(
    'respmesh_workers',
    'Worker processes that serve clients.',
    ({ view }) => view.workers?.length,
  ),
  gauge('respmesh_paused', '1 while the sidecar is paused.', ({ view }) => flag(view.isPaused)),
  gauge(
    'respmesh_ready',
    '1 once a configuration is in force and the listeners are bound.',
    ({ isReady }) => flag(isReady),
  ),
  gauge(
    'respmesh_config_epoch',
    'Epoch of the configuration in force.',
    ({ config }) => config?.epoch,
  ),
  gauge(
    'respmesh_config_version',
    'Version of the configuration in force.',
    ({ config }) => config?.version,
  ),
  gauge(
    'respmesh_config_applied_timestamp_seconds',
    'When the configuration in force was applied, in seconds since 1970.',
    ({ config }) => (config === undefined ? undefined : config.appliedAtMs / 1000),
  ),
  gauge(
    'respmesh_stream_connected',
    '1 while the configuration stream to the control plane is open.',
    ({ stream }) => (stream === undefined ? undefined : flag(stream.isConnected)),
  ),
]

const streamCounters: readonly Definition[] = [
  {
    name: 'respmesh_worker_restarts_total',
    help: 'Worker processes that ended by themselves and were started again.',
    type: 'counter',
    read: ({ view }) => view.workerRestarts,
  },
  {
    name: 'respmesh_stream_connects_total',
    help: 'Configuration streams opened.',
    type: 'counter',
    read: ({ stream }) => stream?.connects,
  },
  {
    name: 'respmesh_stream_failures_total',
    help: 'Configuration streams that ended or could not be opened.',
    type: 'counter',
    read: ({ stream }) => stream?.failures,
  },
]

const info: Definition = {
  name: 'respmesh_build_info',
  help: 'Always 1; the label tells the release.',
  type: 'gauge',
  labels: ['version'],
  read: ({ version }) => [{ labels: { version }, value: 1 }],
}

export const sidecarMetrics: readonly Definition[] = [
  ...counters,
  ...gauges,
  ...topologyMetrics,
  ...streamCounters,
  ...processMetrics,
  info,
]
