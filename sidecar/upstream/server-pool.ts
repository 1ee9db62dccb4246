/**
 * The connections to every server of the backend: one `ServerConnections` for each address and role, made when it is
 * first asked for and ended when the topology has it no more. Servers share nothing, so that one that is slow, stopped
 * or gone delays nobody who asks another.
 *
 * `primary` is there from the start: the one server of a standalone backend, and the primary of a replicated one.
 */
import { type ProxyConfig, handoverOf } from '../../common/contract/proxy-config.ts'
import { serverLeaveMs, serversMax } from '../../common/limits.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { ServerAddress } from '../route/backend.ts'
import { Ahead } from './ahead.ts'
import { Commits } from './commits.ts'
import type { Target } from './connect.ts'
import { ServerConnections } from './server-connections.ts'
import type { ServerEvents, ServerModules } from './server-modules.ts'
import { settingsOf, targetOf } from './target.ts'

/** Which server it is about, and what `ServerEvents` say. */
export interface PoolEvents {
  /** A lane of `server` can take commands again. */
  onReady(server: ServerConnections): void
  onReserve(server: ServerConnections): void
  onViewChange(server: ServerConnections): void
  /** `server` refused a write because it is a replica. */
  onReadOnly(server: ServerConnections): void
  onEvidence?(server: ServerConnections): unknown
  owesPinned?(server: ServerConnections): boolean
}

interface Entry {
  readonly address: ServerAddress
  readonly role: Target['role']
  readonly server: ServerConnections
  /** Set when the topology has it no more: it finishes what it owes until then. */
  leaveAtMs: number | undefined
}

export class ServerPool {
  readonly primary: ServerConnections
  private readonly events: PoolEvents
  private readonly modules: ServerModules
  private readonly entries = new Map<string, Entry>()
  private readonly ahead: Ahead
  private readonly commits: Commits
  private config: ProxyConfig | undefined

  constructor(events: PoolEvents, modules: ServerModules) {
    this.events = events
    this.commits = new Commits(modules)
    this.modules = { ...modules, commits: this.commits }
    this.primary = this.create()
    this.ahead = new Ahead(this.modules)
  }

  /** How servers are reached and how much of them is used from now on; `primary` is told by its owner where it leads. */
  use(config: ProxyConfig): void {
    this.config = config
    this.commits.use(config.upstream.writes)
    for (const { server, address, role } of this.entries.values()) {
      server.use(targetOf(config, address, role), settingsOf(config))
    }
  }

  /** Opens connections to the one that is next in a handover that will begin. */
  prepare(config: ProxyConfig): Promise<void> {
    const next = targetOf(config, handoverOf(config)?.next, 'member')
    if (next === undefined) return Promise.resolve()
    return this.ahead.begin(next, this.primary.protocolsInUse)
  }

  /** Has `primary` lead where `config` says, or stand by while it is handed over. */
  lead(config: ProxyConfig): void {
    const { primary, ahead } = this
    const { mode } = config.upstream
    const handover = handoverOf(config)
    if (handover === undefined) {
      const isSharded = mode === 'cluster' || mode === 'ring'
      const target = isSharded ? undefined : targetOf(config, config.upstream.primary)
      // Without a primary nobody knows yet who is next.
      return primary.use(target, settingsOf(config), target && ahead.take(target))
    }
    primary.standBy()
    // Whatever its role is by then, it is asked for again before it is believed.
    const next = targetOf(config, handover.next, 'member')
    if (next === undefined) ahead.end()
    else void ahead.begin(next, primary.protocolsInUse)
  }

  /**
   * The connections to a server in a role, which it begins to open. Undefined before a configuration was given, and
   * when there are as many servers as there may be.
   */
  get(address: ServerAddress, role: Target['role']): ServerConnections | undefined {
    const key = `${role} ${formatHostPort(address)}`
    const known = this.entries.get(key)
    if (known !== undefined) {
      known.leaveAtMs = undefined
      return known.server
    }
    const { config } = this
    if (config === undefined || this.entries.size >= serversMax) return undefined
    const server = this.create()
    this.entries.set(key, { address, role, server, leaveAtMs: undefined })
    server.use(targetOf(config, address, role), settingsOf(config))
    return server
  }

  /**
   * Ends the connections to all servers but those of `kept` and `primary`. They finish what is in flight, for
   * `serverLeaveMs` at most; with `isAtOnce` they do not.
   */
  retain(kept: ReadonlySet<ServerConnections>, isAtOnce = false): void {
    const now = this.modules.clock.monotonicMs()
    for (const [key, entry] of this.entries) {
      if (kept.has(entry.server)) entry.leaveAtMs = undefined
      else if (isAtOnce) this.end(key, entry)
      else entry.leaveAtMs ??= now + serverLeaveMs
    }
  }

  /** Every server that there are connections to, or attempts at them. */
  *all(): Iterable<ServerConnections> {
    yield this.primary
    for (const { server } of this.entries.values()) yield server
  }

  get inFlightCommands(): number {
    return this.sum((server) => server.inFlightCommands)
  }

  get connectionCount(): number {
    return this.sum((server) => server.connectionCount)
  }

  get pinnedCount(): number {
    return this.sum((server) => server.pinnedCount)
  }

  /** Called every `livenessTickMs`. */
  watchLiveness(nowMs: number): void {
    this.primary.watchLiveness(nowMs)
    for (const [key, entry] of this.entries) {
      const { server, leaveAtMs } = entry
      server.watchLiveness(nowMs)
      if (leaveAtMs === undefined) continue
      const isDone = server.inFlightCommands === 0 && server.pinnedCount === 0
      if (isDone || nowMs >= leaveAtMs) this.end(key, entry)
    }
  }

  /** Called at equal intervals: see `ServerConnections.watchSilence`. */
  watchSilence(ticksMax: number): void {
    for (const server of this.all()) server.watchSilence(ticksMax)
  }

  /** Ends every connection and attempt. */
  disconnect(): void {
    this.ahead.end()
    for (const server of this.all()) server.disconnect()
    this.entries.clear()
  }

  private end(key: string, { server }: Entry): void {
    this.entries.delete(key)
    server.disconnect()
  }

  private create(): ServerConnections {
    const { events } = this
    const own: ServerEvents = {
      onReady: () => events.onReady(server),
      onReserve: () => events.onReserve(server),
      onViewChange: () => events.onViewChange(server),
      onReadOnly: () => events.onReadOnly(server),
      onEvidence: () => events.onEvidence?.(server),
      owesPinned: () => events.owesPinned?.(server) ?? false,
    }
    const server: ServerConnections = new ServerConnections(own, this.modules)
    return server
  }

  private sum(count: (server: ServerConnections) => number): number {
    let sum = 0
    for (const server of this.all()) sum += count(server)
    return sum
  }
}
