/**
 * The seam between the data path (listeners, sessions, routing, upstreams: `pipeline.ts`) and what steers it
 * (configuration sources, admin port, life cycle: `main.ts`). The data path obeys the last configuration it
 * was given and asks nobody anything.
 */
import type { Socket } from 'node:net'
import type { ProxyConfig } from '../common/contract/proxy-config.ts'
import type { PrimaryView } from '../common/contract/stream.ts'
import type { MessageLogOptions } from './messages/options.ts'
import type { Grant } from './switch/permit.ts'
import type { SwitchSteps } from './switch/switch-over.ts'
import type { SidecarUse } from './overload/process-use.ts'
import type { TopologyView } from './topology/view.ts'

/** Plain numbers that only rise, read when metrics are scraped. */
export interface DataPlaneCounters {
  clientsAccepted: number
  clientsRefused: number
  /** Clients of raw listeners, which are counted apart. */
  rawAccepted: number
  /** Closed because of what the client sent: protocol errors and other protocols’ openings. */
  protocolErrors: number
  commands: number
  clientBytesRead: number
  clientBytesWritten: number
  upstreamBytesRead: number
  upstreamBytesWritten: number
  upstreamConnects: number
  upstreamConnectErrors: number
  /** Connections refused at connect because the run-id or role was not the recorded one. */
  upstreamIdentityErrors: number
  /** Commands that were sent and whose connection ended before the reply. */
  commandsLost: number
  /** Commands answered with an error of our own because no primary took them in time. */
  commandsHeldTooLong: number
  /** Commands that were sent again: not run, by redirects and refusals, or reads whose connection ended. */
  commandsSentAgain: number
  /** Why servers did not run commands that they were sent: redirects and refusals, by their first word. */
  refusedMoved: number
  refusedAsk: number
  refusedTryAgain: number
  refusedClusterDown: number
  /** LOADING, MASTERDOWN and READONLY. */
  refusedByState: number
  /** Commands refused, unsent, because too much waited for the server. */
  commandsShed: number
  /** Times that a server was found to owe replies and say nothing. */
  upstreamStalls: number
  /** Times that commands were kept back because a server owed replies and said nothing for a moment. */
  upstreamSilences: number
  /** Times that commands were kept back because the control plane suspected the primary. */
  upstreamSuspicions: number
  /** Times that the control plane’s grant to use the primary ran out. */
  grantsExpired: number
  /** Clients closed because they did not read, as the largest when memory ran short, because they were idle. */
  clientsCutSlow: number
  clientsCutMemory: number
  clientsCutIdle: number
  /** Clients closed because a command or a farewell did not end in time. */
  clientsCutPatience: number
  /** Clients closed because a command took longer than it may. */
  clientsCutTimeLimit: number
  /** Times that replicas were waited for, and for how long in all. */
  commits: number
  commitMicros: number
  /** Writes that were run and answered with an error, because too few replicas had them in time. */
  writesUnconfirmed: number
  /** Connections ended because more had come than may be withheld. */
  commitsTooLarge: number
  authFailures: number
  /** Failed TLS handshakes of clients, those that were cut because they took too long among them. */
  tlsHandshakeErrors: number
  /** Messages to clients that asked to be told of maintenance. */
  maintenanceNotices: number
  /** Passwords and certificates that were read anew because their files changed, and attempts that failed. */
  fileReloads: number
  fileReloadErrors: number
}

/** The counters of clients that were closed for a reason. */
export type CutReason = Extract<keyof DataPlaneCounters, `clientsCut${string}`>

export function newCounters(): DataPlaneCounters {
  return {
    clientsAccepted: 0,
    clientsRefused: 0,
    rawAccepted: 0,
    protocolErrors: 0,
    commands: 0,
    clientBytesRead: 0,
    clientBytesWritten: 0,
    upstreamBytesRead: 0,
    upstreamBytesWritten: 0,
    upstreamConnects: 0,
    upstreamConnectErrors: 0,
    upstreamIdentityErrors: 0,
    commandsLost: 0,
    commandsHeldTooLong: 0,
    commandsSentAgain: 0,
    refusedMoved: 0,
    refusedAsk: 0,
    refusedTryAgain: 0,
    refusedClusterDown: 0,
    refusedByState: 0,
    commandsShed: 0,
    upstreamStalls: 0,
    upstreamSilences: 0,
    upstreamSuspicions: 0,
    grantsExpired: 0,
    clientsCutSlow: 0,
    clientsCutMemory: 0,
    clientsCutIdle: 0,
    clientsCutPatience: 0,
    clientsCutTimeLimit: 0,
    commits: 0,
    commitMicros: 0,
    writesUnconfirmed: 0,
    commitsTooLarge: 0,
    authFailures: 0,
    tlsHandshakeErrors: 0,
    maintenanceNotices: 0,
    fileReloads: 0,
    fileReloadErrors: 0,
  }
}

export interface WorkerView {
  readonly pid: number
  readonly clients: number
  readonly use: SidecarUse
}

export interface DataPlaneView {
  readonly counters: Readonly<DataPlaneCounters>
  readonly clients: number
  readonly rawConnections: number
  readonly inFlightCommands: number
  readonly heldCommands: number
  readonly upstreamConnections: number
  readonly pinnedConnections: number
  readonly primary: PrimaryView
  /** The primary was asked whether it lives, and is silent. */
  readonly isDoubted?: boolean
  /** When it was last heard, by the clock of the machine (`machineMs`); absent: never. */
  readonly heardAtMs?: number
  /** Whether the primary may be used, where that takes a grant of the control plane, and by the same clock until when. */
  readonly grant?: { readonly isValid: boolean; readonly untilMs?: number }
  /** `host:port` of the primary in use. */
  readonly primaryAddress?: string
  readonly isPaused: boolean
  /** What the process, or all of them, keep below; absent: no bound is known. */
  readonly memoryBytesMax?: number
  /** Passwords and certificates in use that are older than their files, which cannot be used. */
  readonly staleFiles?: number
  /** What each worker process uses, where there are several, and how often one was started again. */
  readonly workers?: readonly WorkerView[]
  readonly workerRestarts?: number
}

/** What the control plane says of the primary beside configurations, and is told of it. */
export interface Authority {
  /** Lets the primary of a configuration with `grantTtlMs` be used; when the grant runs out, that ends by itself. */
  grant(grant: Grant): void
  /** Keeps new commands from the primary of `epoch` for up to `forMs`, or until it says something; 0 ends it. */
  suspect(epoch: number, forMs: number): void
  /** Calls back when the control plane should hear at once how the primary is seen. */
  onEvidence(listener: () => void): void
}

export interface DataPlane {
  /** Binds the listeners of the first configuration. @throws SystemError RM_LISTEN_FAILED */
  start(config: ProxyConfig): Promise<void>
  /** Where clients can connect, with the ports that were taken for 0. */
  addresses(): readonly string[]
  /**
   * Opens connections to the one that is next in the handover that `config` will begin, and changes nothing else.
   * Resolves when they are open, or after `handoverPrepareMs`. Whatever is applied next may use or end them.
   */
  prepare(config: ProxyConfig): Promise<void>
  /**
   * Obeys `config` from the next event-loop turn on. A changed or withdrawn primary closes the connections to
   * the old one at once; commands not yet sent are held for the new one. Listeners and members that did not
   * change are left alone. Synchronous: when it returns, no further byte goes to a server that `config` does
   * not name as the primary, so that an acknowledgement may be sent. With several workers, and while the primary is
   * handed over (`upstream.handover`), the same holds when its promise resolves.
   * @throws ConfigError RM_SECRET_UNREADABLE
   */
  apply(config: ProxyConfig): void | Promise<void>
  /** Holds new commands and waits until none is in flight. @throws ProxyError RM_UPSTREAM_TIMEOUT after drainTimeoutMs, still paused */
  pause(): Promise<void>
  resume(): void
  /**
   * Obeys `config` between commands: holds new ones, waits for those in flight, goes over, has clients with a
   * connection of their own come back, and goes on unless it is paused.
   * Clients whose commands do not end within drainTimeoutMs are closed.
   * @throws ConfigError as `apply`
   */
  switchTo(config: ProxyConfig): Promise<void>
  /** Ends the connections of all clients of raw listeners. */
  terminateRaw(): void
  /** Logs what clients send and get, names and sizes, for a while. */
  logMessages(options: MessageLogOptions): void
  view(): DataPlaneView
  /** The servers and what is sent to them; undefined before a configuration was given. */
  topology(): TopologyView | undefined
  /** Calls back when `view().primary` changes. */
  onPrimaryChange(listener: (view: PrimaryView) => void): void
  readonly authority: Authority
  /** Accepts no more, lets commands in flight finish (drainTimeoutMs at most), closes everything. */
  stop(): Promise<void>
}

/** The data path of one process. */
export interface LocalDataPlane extends DataPlane {
  /** The steps of a switch, for several processes that take them together (`switch/switch-over.ts`). */
  readonly pauses: SwitchSteps
  /** Takes over a client that another process accepted at `listener` (its key). */
  adopt(socket: Socket, listener: string): void
}
