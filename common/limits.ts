/**
 * Every bound of respmesh that is not a field of a configuration, and the defaults of those that are.
 * Each names its unit and what happens when it is reached.
 */
export * from './liveness-limits.ts'
export * from './operation-limits.ts'
export * from './routing-limits.ts'
export * from './server-limits.ts'
export * from './topology-limits.ts'

/** Defaults of `ProxyConfig.limits`; see the schema for what happens at each. */
export const defaultLimits = {
  clientsMax: 10_000,
  argumentBytesMax: 512 * 1024 * 1024,
  clientInFlightBytesMax: 1024 * 1024,
  upstreamQueueBytesMax: 16 * 1024 * 1024,
  clientOutputBytesMax: 1024 * 1024,
  upstreamQueueCommandsMax: 10_000,
} as const

/** Defaults of `ProxyConfig.timing`, milliseconds. */
export const defaultTiming = {
  connectTimeoutMs: 1000,
  holdTimeoutMs: 5000,
  replyTimeoutMs: 0,
  drainTimeoutMs: 10_000,
  queueTimeoutMs: 5000,
  clientIdleTimeoutMs: 0,
} as const

/** Longest line of the configuration stream; a longer one ends the connection. */
export const streamLineBytesMax = 1024 * 1024
/** Each side of the stream says something at least this often. */
export const streamPingMs = 2000
/** A side of the stream that was silent this long is taken for gone; the sidecar connects again. */
export const streamSilenceMaxMs = 7000
/** Wait before a stream is opened again: doubles from the first to the last, with jitter. */
export const streamRetryMinMs = 100
export const streamRetryMaxMs = 2000
/** Sidecars that one control plane serves at once; the next gets 503 and tries again. */
export const streamClientsMax = 10_000
/** Bytes of unsent configuration per sidecar; one that reads slower is cut off and starts anew. */
export const streamBacklogBytesMax = 4 * 1024 * 1024
/** Sidecars of a stream server whose token is being checked at once; the next gets 503 and tries again. */
export const streamPendingMax = 256
/** Longest id that a sidecar may give itself; a longer one ends the connection. */
export const streamIdLengthMax = 256
/** Longest error text kept of a sidecar; the rest is cut. */
export const streamErrorLengthMax = 512
/** Longest wait for the head of a request to the stream server; then the connection is closed. */
export const streamHeadTimeoutMs = 10_000

/** Longest wait for an answer of the Kubernetes API; then the attempt has failed. */
export const apiTimeoutMs = 10_000
/** Attempts of a request to the Kubernetes API that may be repeated; then RM_API. */
export const apiAttemptsMax = 4
/** Wait between such attempts: doubles from the first to the last, with jitter. */
export const apiRetryMinMs = 100
export const apiRetryMaxMs = 5000
/** Largest answer of the Kubernetes API that is read; a larger one fails the request. */
export const apiResponseBytesMax = 64 * 1024 * 1024
/** How long credentials of a kubeconfig are used before they are read anew: projected tokens change. */
export const apiCredentialsMs = 30_000
/** Objects in one page of a list. */
export const listPageCount = 500
/** Pages of one list; more fail it. */
export const listPagesMax = 400
/** How long the API server holds a watch open; it is then taken up where it ended. */
export const watchSecondsMin = 240
export const watchSecondsMax = 360
/** A watch that said nothing this long, bookmarks included, is taken for dead and opened again. */
export const watchSilenceMaxMs = 90_000
/** Longest line of a watch; a longer one ends it and the objects are listed anew. */
export const watchLineBytesMax = 8 * 1024 * 1024
/** Wait before a watch or list is tried again: doubles from the first to the last, with jitter. */
export const watchRetryMinMs = 200
export const watchRetryMaxMs = 30_000
/** Leadership: how long a lease lasts, until when it must have been renewed, and how often that is tried. */
export const leaseDurationMs = 15_000
export const leaseRenewDeadlineMs = 10_000
export const leaseRetryMs = 2000
/** Longest wait for an answer to a renewal of the lease. */
export const leaseRequestTimeoutMs = 3000
/** Events that wait to be written; the oldest is dropped. */
export const eventsPendingMax = 256
/** Events that are remembered so that repeated ones are merged; the oldest is forgotten. */
export const eventsKnownMax = 1024
/** An event that repeats within this time becomes a series. */
export const eventSeriesMs = 360_000
/** A repeated event is written at most this often. */
export const eventSeriesWriteMs = 30_000
/** How long the operator waits to be told the addresses behind a Service before it goes by names. */
export const endpointsWaitMs = 2000
/** How long the answer to a token's check is believed, and how many are kept; the oldest goes. */
export const tokenCacheMs = 30_000
export const tokenCacheMax = 10_000
/** Largest admission request that is read; a larger one is answered 413, which admits the pod as it is. */
export const admissionBytesMax = 3 * 1024 * 1024
/** Admission requests at once; the next is answered 503, which admits the pod as it is. */
export const admissionPendingMax = 64
/** Longest time that the injector waits for a RedisProxy it has not seen. */
export const admissionLookupMs = 2000
/** Pause after a change before the per-proxy ConfigMap is written. */
export const bootstrapDelayMs = 200
/** Wait before a failed write of a per-proxy ConfigMap is tried again. */
export const bootstrapRetryMs = 5000
/** How long an operator that was told to end still answers: as long as a cluster takes to send no more. */
export const operatorFarewellMs = 3000
/** Longest time that the operator takes to stop. */
export const operatorStopMs = 10_000

/** A sidecar begins with a stored configuration when the stream failed once or gave none for this long. */
export const storedConfigGraceMs = 1000
/** Wait before a sidecar that could not bind its listeners tries again. */
export const listenRetryMs = 2000
/** How often a configuration file is looked at for a change. */
export const configFilePollMs = 1000
/** Largest configuration file, bytes; a larger one is refused. */
export const configFileBytesMax = 1024 * 1024
/** How often a sidecar without a control plane asks its servers for their roles, and while it has no usable primary. */
export const topologyPollMs = 2000
export const topologyPollFailingMs = 250
/** Longest reply of a server to such a question, bytes; a longer one ends the connection. */
export const topologyReplyBytesMax = 256 * 1024
/** Defaults of `upstream.reads`: how far behind a replica that is read from may be. */
export const defaultLagSecondsMax = 10
export const defaultLagBytesMax = 16 * 1024 * 1024
/** Servers of one backend that are learnt from others; further ones are not used. */
export const membersLearntMax = 64
/** A server that nobody names any more, and that does not answer, is forgotten after this. */
export const memberForgetMs = 60_000
/** Sentinels that are learnt from others; further ones are not asked. */
export const sentinelsMax = 16
/** How often replicas are asked how far they are while they are read from, and otherwise; sooner for a tight bound on lag. */
export const replicaPollMs = 1000
export const replicaIdlePollMs = 5000
/** The same where reads found no replica that has what their clients wrote: for so many reads per server, no closer than this. */
export const replicaPollSoonMs = 25
export const replicaPollReadsMin = 16
/** A replica that owes such an answer for so long gets no reads; after the second its connections are ended. */
export const replicaSilentMs = 500
export const replicaHungMs = 3000
/** Answers of a primary by which the lag of replicas is judged; beyond them older ones are thinned out. */
export const primarySamplesMax = 64
/** Replicas that answer within this factor of the fastest, or so much later, milliseconds, count as fast. */
export const latencyFactor = 1.5
export const latencySlackMs = 0.25
/** Clients that are told of maintenance in one go; the others in the next turns. */
export const maintenanceBatchCount = 256
/** A client that cannot be told now, in the middle of a reply or while it does not read, is tried again after this. */
export const maintenanceRetryMs = 20
/** A shard of a cluster that has had no primary for so long is failing over. */
export const shardMissingMs = 300
/** How long commands are still served when clients were told at shutdown to connect again; half of the drain at most. */
export const movingGraceMs = 700
/** What such clients are told as the time in which that happens. */
export const movingTtlSeconds = 15
/** Bounds of the admin port; a request beyond them is refused or cut. */
export const adminBodyBytesMax = 4096
export const adminConnectionsMax = 64
export const adminRequestTimeoutMs = 5000
/** Wrong passwords of an address that change nothing, by how much each later one has it wait longer, and at most. */
export const adminFailuresFree = 5
export const adminWaitStepMs = 200
export const adminWaitMaxMs = 5000
/** They are forgotten after this time; and of more addresses the one that failed longest ago is. */
export const adminForgetMs = 60_000
export const adminAddressesMax = 256
/** `respmesh pause` and its kin: longest wait for an answer. */
export const controlTimeoutMs = 60_000
/** An app is let start without Redis this long after the sidecar has its configuration. */
export const startGraceMs = 10_000
/** Shutdown that takes longer than the drain timeout and this is cut off. */
export const stopMarginMs = 2000
/** A primary that refuses connections this long, and whose replicas lost it too, is down without more waiting. */
export const fastDownMs = 300
/**
 * A replica hears from a live primary at least every 10 s (its repl-ping-replica-period). After this much
 * silence beyond downAfter, a link that still calls itself up is no sign of life.
 */
export const witnessSilenceMs = 12_000
/** Wait for members that do not answer before a primary without replicas is taken for the primary of the set. */
export const adoptWaitMs = 10_000
/** A status that differs in offsets only is written this often at most. */
export const statusOffsetIntervalMs = 10_000
/** Sidecars have this long to acknowledge a new configuration before the status calls them behind. */
export const sidecarGraceMs = 3000
/** A failed reconcile is tried again after a wait that doubles from the first to the last, with jitter. */
export const reconcileRetryMinMs = 50
export const reconcileRetryMaxMs = 10_000
/** Reconciles of one key: at most one per this time in the long run, so that a storm of changes costs little. */
export const reconcileSpacingMs = 5
/** So many may follow each other at once: the steps of a planned change, which clients wait for. */
export const reconcileBurstMax = 20
/** What a sidecar or a replica heard so long ago from the primary is no sign of life any more. */
export const witnessFreshMs = 2500
/** A grant has certainly run out after this part more than its time: clocks that differ in pace, and the way to the sidecar. */
export const grantMarginRatio = 0.05
export const grantMarginMs = 50
/** A planned change is begun when its target is at most so far behind: it must catch up while clients are held. */
export const switchoverLagBytesMax = 8 * 1024 * 1024
/** A replica of a cluster that was told to take over has done so within this time, or the operation failed. */
export const clusterFailoverMs = 15_000
/** Between two looks while a planned change waits for sidecars. */
export const switchoverPollMs = 20
/** Sidecars are told of a suspicion for downAfter and this. */
export const suspectMarginMs = 2000
/** Replicas of a primary that ended are given so long to see that, and to take all that it sent, before they are parked. */
export const parkDrainMs = 500
/** An old primary that comes back with the sidecar that was cut off with it has answered a look by then. */
export const oldPrimaryGraceMs = 2000
/** A replica that its primary turns away for so long is given its credentials anew. */
export const keptOutMs = 3000
/** Former failovers that a status keeps, beside the last: what each lost may be known only later. */
export const failoversKeptMax = 8
/** Fewer keys than these say nothing about how complete a data set is. */
export const datasetKeysMin = 100
/** A key is looked at this often even if nothing was heard of it. */
export const reconcileIdleMs = 10_000
/** Secrets are read again after this time, so that a rotated password is found. */
export const secretCacheMs = 30_000
/** How often the operator looks whether its certificates and their announcement are right. */
export const pkiCheckMs = 60_000
/** Reconciles of different keys at once; the next waits for its turn. */
export const reconcileParallelMax = 16
/** How often the per-proxy ConfigMaps are written again, in case someone changed or removed one. */
export const bootstrapRefreshMs = 600_000

/** On a laptop, a child process that does not end when asked is killed after this. */
export const localStopTimeoutMs = 3000
/** Longest time in which servers started on a laptop become one cluster. */
export const localClusterMs = 30_000
/** A local server or sidecar that died is started again after this, as a cluster would do. */
export const localRestartMs = 3000
export const localSidecarRestartMs = 500
/** Ports that are tried upwards from the wanted one before a random free one is taken. */
export const localPortTriesMax = 20

/** A frame of a client that is larger than this, bytes, goes on in pieces over a connection of its own. */
export const gatheredFrameBytesMax = 256 * 1024
/** What a client may send before it has authenticated; more is a protocol error. */
export const unauthenticatedArgumentCountMax = 10
export const unauthenticatedArgumentBytesMax = 16 * 1024
/** Longest inline command, bytes; a longer one is a protocol error. */
export const inlineBytesMax = 64 * 1024
/** A command that is not whole after this time, and came no faster than `slowCommandBytesMin` in it, ends its client. */
export const incompleteCommandMs = 10_000
export const slowCommandBytesMin = 16 * 1024
/** Bytes that are still read, so that it sees why, of a client whose connection is ending; then it is cut. */
export const farewellBytesMax = 8 * 1024 * 1024
/** Commands of one client in flight: rises from 1 as its replies turn out to be small; more are read later. */
export const clientWindowMax = 512
/** A reply larger than this, bytes, moves its client to a connection of its own, where it delays nobody. */
export const largeReplyBytesMin = 64 * 1024
/** After so many replies in a row that are not large such a client comes back to the shared connection. */
export const smallRepliesToReturn = 64
/** A client’s first replies, of which nobody knows the size, come over a connection of newcomers. */
export const repliesOfNewcomers = 16
/** Commands of newcomers that are in flight together until their replies turn out to be small. */
export const waryCommandsMin = 32
/** Share of what a client may leave unread that large replies may, which come over a connection of its own. */
export const largeOutputShare = 0.25
/** Reply bytes that a client may leave unread however they came to be; it is then cut. */
export const clientOutputCutBytes = 64 * 1024 * 1024
/** Shared connections that only finish a large reply to a slow client; at the bound such replies are gathered. */
export const retiredLanesMax = 16
/** How long others wait for replies behind such a one; then the client that does not read is cut. */
export const retiredWaitMs = 5000
/** Connections of clients that need one of their own; the next command that does gets RM_OVERLOADED. */
export const pinnedConnectionsMax = 1024
/** Such connections that are being opened at once, after a restart of the server say; the next ones wait their turn. */
export const pinnedOpeningMax = 32
/** Such connections that are kept when nobody needs them; more are closed. */
export const pinnedIdleMax = 16
/** Subscriptions of one client, and bytes of their names, that are made again when its connection was lost; a client with more is closed then. */
export const subscriptionsMax = 10_000
export const subscriptionBytesMax = 1024 * 1024
/** Scripts that are given to the next server process, bytes of those that were loaded and of those that were run; the oldest are forgotten. */
export const loadedScriptBytesMax = 4 * 1024 * 1024
export const runScriptBytesMax = 1024 * 1024
/** Longest reply that is read because client ids in it are ours to tell, bytes; a longer one passes as it is. */
export const rewrittenReplyBytesMax = 4 * 1024 * 1024
/** How long clients have connections of their own after a CLIENT PAUSE of writes that lasts longer. */
export const writePauseMaxMs = 600_000
/** Largest confirmation of a subscription, bytes; a larger one ends the connection. */
export const confirmationBytesMax = 512 * 1024
/** Wait before the connection of a client that cannot be without one is tried again; half of it is left to chance. */
export const restoreRetryMs = 1000
/** Longest line of a server's reply, bytes; a longer one ends the connection. */
export const replyLineBytesMax = 1024 * 1024
/** Longest answer of a server to a question of the sidecar itself, bytes; a longer one ends the connection. */
export const upstreamAnswerBytesMax = 256 * 1024
/** Wait before a server is connected again: doubles from the first to the last, with jitter. */
export const upstreamRetryMinMs = 25
export const upstreamRetryMaxMs = 1000
/** A server that answers -READONLY has its identity checked again at most this often. */
export const identityCheckMs = 1000
/** How long a primary that is a replica by now may take to refuse what it was sent, before its connections end, and how often that is looked at. */
export const demotedDrainMs = 1000
export const demotedPollMs = 5
/** Times that a server that answers -READONLY is asked what it is before commands are sent to it again, if no answer is to be had. */
export const demotedAttemptsMax = 3
/** While the oldest waits this share of the longest wait for a server, the next command is refused at once. */
export const shedEarlyShare = 0.5
/** At this share of its memory the process closes the clients that hold most, at the next it takes no new ones. */
export const memoryCutShare = 0.85
export const memoryRefuseShare = 0.95
/** They are refused if at least this share of what clients can have is in use, and not only kept by the allocator. */
export const memoryLiveShare = 0.5
/** A client that holds less, bytes, is not closed for memory; and so many are at once. */
export const memoryCutBytesMin = 64 * 1024
export const memoryCutsMax = 256
/** Near the bound garbage is collected this often at most. */
export const memoryCollectMs = 500
/** How often within the idle timeout it is looked who is idle. */
export const idleLooks = 4
/** Open files that are kept from clients: an eighth of what there is, within these. */
export const filesReservedMin = 32
export const filesReservedMax = 1024
/** A subscriber that leaves more unread than it may for so long is closed; it is looked for this often. */
export const slowSubscriberMs = 60_000
export const slowSubscriberLookMs = 5000
/** How exactly the delay of the event loop is measured, and for how long it is remembered. */
export const loopDelayResolutionMs = 20
export const loopDelayWindowMs = 60_000
/** Least memory that a process of the sidecar is bounded to. */
export const memoryBytesMin = 64 * 1024 * 1024
/** How often a worker tells what has changed, and how long it may take to obey; then it is ended. */
export const workerStateMs = 100
export const workerAnswerMs = 2000
/** Clients that wait while no worker serves; the next is refused. */
export const workerClientsWaitingMax = 512
/** Wait before a worker that ended is started again: doubles from the first to the last; one that lasts this long is well. */
export const workerRestartMinMs = 100
export const workerRestartMaxMs = 5000
export const workerSettledMs = 10_000
/** A connection that is silent this long is probed by the operating system. */
export const keepAliveMs = 15_000
/** Wrong passwords of one connection; at the last it is closed. */
export const authFailuresMax = 32
/** Wrong passwords of a connection, and of an address within `authForgetMs`, that are answered at once. */
export const authFailuresFree = 10
export const authForgetMs = 60_000
/** The answer to each later one of a connection waits so long, and for the number of those before it longer. */
export const authSlowMs = 100
export const authSlowStepMs = 10
/** Wrong passwords of an address are answered no closer to each other than this. */
export const authSpacingMs = 50
/**
 * Answers that wait longer than this: until fewer do, no further password of the address is looked at, right ones
 * neither. So far only someone comes who leaves before thousands of answers.
 */
export const authBacklogMs = 300_000
/** Files with secrets and certificates are looked at this often, so that new content is in use within a second. */
export const filesPollMs = 500
/** A TLS handshake of a client that takes longer is cut. */
export const tlsHandshakeMs = 5000
/** Such handshakes at once; the next client is refused. */
export const tlsHandshakesMax = 1024
/** Failed handshakes are logged this often at most; all are counted. */
export const tlsErrorLogMs = 1000
/** Reply bytes that a client may leave unread before it has authenticated; then it is cut. */
export const unauthenticatedOutputBytesMax = 64 * 1024
/** Addresses whose failures are remembered; the oldest is forgotten. */
export const authAddressesMax = 1024
/** Longest client or library name that the sidecar remembers, bytes. */
export const clientNameBytesMax = 1024
/** Commands beside those of the table that are remembered of a server; the oldest is forgotten. */
export const liveCommandsMax = 2048
/** A longer name of a command, characters, is not asked for but passed on. */
export const liveNameLengthMax = 128
/** Commands that the server is asked about in one question. */
export const liveCommandsAskedAtOnce = 64
/** How long a server is believed that it has no such command: a module may be loaded. */
export const liveCommandAbsentMs = 5000
/** The same where it could not tell. */
export const liveCommandRetryMs = 100
/** How long a command that the table does not know waits for a server that can be asked; then it is passed on. */
export const liveCommandWaitMs = 1000
/** Status pages open at once; the next gets 503. */
export const consoleClientsMax = 32
/** Longest body of a request to the status page; a longer one is refused. */
export const consoleBodyBytesMax = 1024
/** The status page is told of changes this often at most. */
export const consoleRefreshMs = 100
/** Events that the status page remembers; older ones are forgotten. */
export const consoleEventsMax = 200
/** Servers that metrics are shown of; of the others the topology tells. */
export const metricServersMax = 256
/** `respmesh topology --watch` asks again after this. */
export const topologyWatchMs = 1000
/** `respmesh status`, `respmesh topology`: longest wait for an answer, and the longest answer. */
export const statusTimeoutMs = 5000
export const statusBytesMax = 4 * 1024 * 1024
/** A step of the demo that does not come to pass in this time is a failure of the demo. */
export const demoDeadlineMs = 30_000
/** Arguments of a command whose places a router keeps room for; after a larger command the room is given back. */
export const frameArgumentsKept = 4096
/** Shards that SCAN can go through; the number of one has its place in the low digits of cursors. */
export const scanShardsMax = 1024
