/**
 * The data path put together: listeners, sessions and the connections to the primary.
 * See `data-plane.ts` for what it promises.
 */
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../common/clock.ts'
import type { Listener, ProxyConfig } from '../common/contract/proxy-config.ts'
import type { PrimaryView } from '../common/contract/stream.ts'
import {
  defaultTiming,
  incompleteCommandMs,
  livenessTickMs,
  restoreRetryMs,
} from '../common/limits.ts'
import type { Log } from '../common/log.ts'
import { FileWatch } from '../common/secret-files.ts'
import { Backends } from './backends.ts'
import { type DataPlaneView, type LocalDataPlane, newCounters } from './data-plane.ts'
import { Maintenance } from './maintenance/maintenance.ts'
import { MessageLog } from './messages/message-log.ts'
import type { MessageLogOptions } from './messages/options.ts'
import { ListenerSet } from './net/listener-set.ts'
import { ClientListener, listenerKey } from './net/listener.ts'
import { Turn } from './net/turn.ts'
import { ClientGuard } from './overload/client-guard.ts'
import type { ProcessBounds } from './overload/process-bounds.ts'
import { ReadTimeLimit } from './overload/read-time-limit.ts'
import { UserSource } from './policy/authentication-source.ts'
import { AuthThrottle } from './policy/authentication.ts'
import { RoutePlanner } from './route/plan.ts'
import { RawPipes } from './raw/raw-pipes.ts'
import { CommandRules } from './route/command-rules.ts'
import type { SessionContext } from './session/context.ts'
import { firstContext } from './session/first-context.ts'
import { countHeld } from './session/held-commands.ts'
import { watchSilence } from './session/flow.ts'
import { HoldQueue } from './session/hold-queue.ts'
import { ServerQueue } from './session/server-queue.ts'
import { RestoreQueue } from './session/restore-queue.ts'
import { Session } from './session/session.ts'
import { firstClientId } from './session/client-ids.ts'
import { Watchdog } from './session/watchdog.ts'
import { Handover } from './switch/handover.ts'
import { Pause } from './switch/pause.ts'
import { PrimaryUse, owesPinned } from './switch/primary-use.ts'
import { switchOver } from './switch/switch-over.ts'
import type { TopologyView } from './topology/view.ts'
import { UpstreamAccess } from './upstream/access.ts'
import { ScriptMemory } from './upstream/script-memory.ts'
import { type PoolEvents, ServerPool } from './upstream/server-pool.ts'

export interface DataPlaneModules {
  readonly log: Log
  /** The process’s environment, for secrets that the configuration refers to. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
  readonly random?: () => number
  /** What the machine allows; absent: anything. */
  readonly bounds?: ProcessBounds
  /** Clients are handed to it (`adopt`): it binds no listener. */
  readonly isWorker?: boolean
}

export function createDataPlane(modules: DataPlaneModules): LocalDataPlane {
  return new Pipeline(modules)
}

/** A silent server is looked for this many times per reply timeout. */
const silenceTicks = 4

class Pipeline implements LocalDataPlane {
  private readonly modules: DataPlaneModules
  private readonly clock: Clock
  private readonly counters = newCounters()
  private readonly turn = new Turn()
  private readonly sessions = new Set<Session>()
  private readonly listeners: ListenerSet
  private readonly viewListeners: ((view: PrimaryView) => void)[] = []
  private readonly files: FileWatch
  private readonly users: UserSource
  private readonly pool: ServerPool
  private readonly backends: Backends
  private readonly scripts = new ScriptMemory()
  private readonly rules: CommandRules
  private readonly holds: HoldQueue
  private readonly restores: RestoreQueue
  private readonly watchdog: Watchdog
  private context: SessionContext | undefined
  private config: ProxyConfig | undefined
  private readonly queue: ServerQueue
  private silenceTimer: NodeJS.Timeout | undefined
  private readonly guard: ClientGuard
  private readonly timeLimit = new ReadTimeLimit()
  readonly pauses: Pause
  private readonly handover: Handover
  readonly authority: PrimaryUse
  private readonly messages: MessageLog
  private readonly raw: RawPipes
  private readonly maintenance: Maintenance
  private tickTimer: NodeJS.Timeout | undefined
  private nextClientId: number
  private lastView: PrimaryView = 'none'
  private isStopping = false

  constructor(modules: DataPlaneModules) {
    this.modules = modules
    this.clock = modules.clock ?? systemClock
    this.restores = new RestoreQueue(restoreRetryMs, modules.random ?? Math.random)
    this.nextClientId = firstClientId(modules.random ?? Math.random)
    this.files = new FileWatch(modules.log, this.counters)
    this.listeners = new ListenerSet({
      log: modules.log,
      create: (listener) => this.newListener(listener),
      ...(modules.isWorker === true && { isUnbound: true }),
    })
    this.users = new UserSource({
      files: this.files,
      env: modules.env,
      onChange: (authenticator) => {
        if (this.context !== undefined) this.context.authenticator = authenticator
      },
    })
    this.rules = new CommandRules(this.clock, (request) => this.backends.primary.askAside(request))
    this.holds = new HoldQueue(this.clock, () => this.config?.timing.holdTimeoutMs ?? 0)
    const queueTimeoutMs = () => this.config?.timing.queueTimeoutMs ?? defaultTiming.queueTimeoutMs
    this.queue = new ServerQueue(this.clock, queueTimeoutMs)
    this.watchdog = new Watchdog(this.clock, incompleteCommandMs / 4)
    const { counters, sessions } = this
    const bounds = modules.bounds ?? {}
    this.pauses = new Pause({
      clock: this.clock,
      turn: this.turn,
      sessions,
      context: () => this.context,
      release: () => this.releaseHeld(),
      onChange: () => this.maintenance.look(),
      isConnected: () => this.backends.primary.view !== 'failing',
    })
    this.maintenance = new Maintenance({ clock: this.clock, context: () => this.context })
    this.guard = new ClientGuard({ counters, sessions, bounds, log: modules.log })
    const { log } = modules
    const access = new UpstreamAccess(this.files, modules.env)
    const mayPass = () => this.pool.primary.hearing.gate?.() ?? true
    this.raw = new RawPipes({ access, counters, log, mayPass })
    this.messages = new MessageLog(log, () => this.context)
    const { clock, turn, scripts } = this
    const random = modules.random ?? Math.random
    const modulesOfPool = { log, access, counters, turn, random, scripts, clock }
    this.pool = new ServerPool(this.poolEvents(), modulesOfPool)
    const { pool, pauses } = this
    this.handover = new Handover({ pauses, primary: pool.primary, log })
    const obey = (config: ProxyConfig) => this.obey(config)
    this.authority = new PrimaryUse({ clock, log, counters, primary: pool.primary, obey })
    const onChange = () => this.onServers()
    this.backends = new Backends({ pool, access, clock, log, random, onChange })
  }

  private poolEvents(): PoolEvents {
    return {
      onReady: () => this.onServers(),
      onReserve: (server) => {
        if (server === this.backends.primary) void this.rules.live.refresh()
        this.backends.present?.noteReserve?.(server)
      },
      onViewChange: (server) => {
        this.backends.present?.noteView(server)
        if (this.context !== undefined) this.context.primary = this.backends.primary
        const { view } = this.backends.primary
        if (view === this.lastView) return
        this.lastView = view
        this.viewListeners.forEach((listener) => listener(view))
      },
      onReadOnly: (server) => {
        if (server === this.pool.primary) server.demotion.note()
        this.backends.present?.lookAgain()
      },
      onEvidence: (server) => server === this.pool.primary && this.authority.tell(),
      owesPinned: (server) => owesPinned(this.sessions, server),
    }
  }

  /** Some server can be used that could not, or for other commands. */
  private onServers(): void {
    if (this.context !== undefined) this.context.primary = this.backends.primary
    this.restores.releaseAll()
    this.releaseHeld()
    this.maintenance.look()
  }

  async start(config: ProxyConfig): Promise<void> {
    this.obey(config)
    this.tickTimer ??= setInterval(() => this.tick(), livenessTickMs).unref()
    await this.listeners.start(config.listeners)
  }

  addresses(): readonly string[] {
    return this.listeners.addresses()
  }

  prepare(config: ProxyConfig): Promise<void> {
    return this.pool.prepare(config)
  }

  apply(config: ProxyConfig): void | Promise<void> {
    return this.handover.obey(config, () => {
      this.obey(config)
      this.listeners.apply(config.listeners)
    })
  }

  async pause(): Promise<void> {
    await this.pauses.begin()
  }

  resume(): void {
    this.pauses.end()
  }

  switchTo(config: ProxyConfig): Promise<void> {
    return switchOver(this.pauses, () => this.apply(config))
  }

  logMessages(options: MessageLogOptions): void {
    this.messages.start(options)
  }

  terminateRaw(): void {
    this.raw.terminate()
  }

  view(): DataPlaneView {
    const { address } = this.backends.primary
    const memoryBytesMax = this.config?.limits.memoryBytesMax ?? this.modules.bounds?.memoryBytesMax
    return {
      counters: this.counters,
      clients: this.sessions.size,
      rawConnections: this.raw.count,
      inFlightCommands: this.pauses.inFlightCommands,
      heldCommands: countHeld(this.sessions),
      upstreamConnections: this.pool.connectionCount,
      pinnedConnections: this.pool.pinnedCount,
      primary: this.backends.primary.view,
      ...this.authority.view,
      ...(address !== undefined && { primaryAddress: address }),
      ...(memoryBytesMax !== undefined && { memoryBytesMax }),
      isPaused: this.pauses.isAsked,
      staleFiles: this.files.staleCount,
    }
  }

  topology(): TopologyView | undefined {
    return this.config && this.backends.topology(this.config)
  }

  onPrimaryChange(listener: (view: PrimaryView) => void): void {
    this.viewListeners.push(listener)
  }

  async stop(): Promise<void> {
    this.isStopping = true
    this.listeners.close()
    const drainTimeoutMs = this.config?.timing.drainTimeoutMs ?? 0
    const movedMs = await this.maintenance.move(drainTimeoutMs / 2)
    await this.pauses.isDrained(Math.max(0, drainTimeoutMs - movedMs))
    clearInterval(this.silenceTimer)
    clearInterval(this.tickTimer)
    this.files.stop()
    this.holds.stop()
    this.restores.stop()
    this.queue.stop()
    this.watchdog.stop()
    for (const session of this.sessions) session.destroy()
    this.messages.stop()
    this.raw.close()
    this.backends.close()
    this.authority.stop()
    this.pool.disconnect()
  }

  /** @throws ConfigError RM_SECRET_UNREADABLE; the primary is obeyed even then, logins stay as they were */
  private obey(given: ProxyConfig): void {
    const config = this.authority.allowed(given)
    this.config = given
    const context = (this.context ??= this.newContext(config))
    context.limits = config.limits
    context.timing = config.timing
    context.upstream = config.upstream
    context.isPerClient = config.upstream.isolation === 'perClient'
    context.hasPrimary = config.upstream.primary !== undefined
    this.rules.use(config.commands)
    this.backends.use(config)
    this.raw.use(config)
    context.backend = this.backends.present
    context.primary = this.backends.primary
    this.maintenance.look()
    this.watchSilence(config.timing.replyTimeoutMs)
    this.modules.log.setLevel(config.logLevel)
    context.authenticator = this.users.use(config.clientAuth?.users)
    for (const session of this.sessions) {
      if (context.authenticator === undefined) session.isAuthenticated = true
      session.refreshLimits()
    }
  }

  private newContext(config: ProxyConfig): SessionContext {
    return {
      turn: this.turn,
      clock: this.clock,
      random: this.modules.random ?? Math.random,
      log: this.modules.log,
      counters: this.counters,
      rules: this.rules,
      scripts: this.scripts,
      primary: this.backends.primary,
      ...firstContext,
      planner: new RoutePlanner((name) => this.rules.live.traits(name)),
      holds: this.holds,
      restores: this.restores,
      sessions: this.sessions,
      queue: this.queue,
      watchdog: this.watchdog,
      throttle: new AuthThrottle(),
      maintenance: this.maintenance,
      limits: config.limits,
      timing: config.timing,
      upstream: config.upstream,
    }
  }

  /** @throws ConfigError RM_TLS_FILES */
  private newListener(listener: Listener): ClientListener {
    const { files, clock, counters } = this
    const { log } = this.modules
    const key = listenerKey(listener)
    const accept = (socket: Socket) => {
      if (this.raw.owns(key)) this.raw.accept(socket)
      else this.accept(socket)
    }
    return new ClientListener(listener, { accept, files, clock, log, counters })
  }

  private tick(): void {
    const now = this.clock.monotonicMs()
    this.pool.watchLiveness(now)
    this.maintenance.look()
    const { config, sessions } = this
    if (config === undefined) return
    this.guard.tick(now, config.limits, config.timing)
    this.timeLimit.tick(now, config.timing.readTimeLimitMs ?? 0, sessions)
  }

  adopt(socket: Socket, listener: string): void {
    const taker = this.listeners.get(listener)
    if (taker === undefined) socket.destroy()
    else taker.take(socket)
  }

  private accept(socket: Socket): void {
    const { context, counters } = this
    if (context === undefined || this.isStopping) {
      socket.destroy()
      return
    }
    const refusal = this.guard.refusal(context.limits)
    if (refusal !== undefined) {
      counters.clientsRefused += 1
      socket.on('error', () => {})
      socket.end(refusal)
      socket.destroySoon()
      return
    }
    counters.clientsAccepted += 1
    const id = this.nextClientId
    this.nextClientId += 1
    const session = new Session(socket, id, context, (ended) => {
      this.sessions.delete(ended)
      this.maintenance.forget(ended)
    })
    this.sessions.add(session)
  }

  private releaseHeld(): void {
    if (this.context?.isPaused === false) this.holds.releaseAll()
  }

  private watchSilence(replyTimeoutMs: number): void {
    clearInterval(this.silenceTimer)
    this.silenceTimer = undefined
    if (replyTimeoutMs === 0) return
    const tick = () => {
      this.pool.watchSilence(silenceTicks)
      for (const session of this.sessions) watchSilence(session, silenceTicks)
    }
    this.silenceTimer = setInterval(tick, Math.ceil(replyTimeoutMs / silenceTicks)).unref()
  }
}
