/**
 * Every connection to one server: shared lanes, which are kept connected, and pinned connections, which are opened
 * for clients that need one and kept for the next.
 *
 * A shared lane speaks one version of RESP, and a client uses the lane of its own version: replies never need to
 * be converted. The RESP3 lane is opened when the first client asks for RESP3.
 *
 * A change of server ends all of them in the same turn; what belongs to an older generation can never come to
 * life afterwards.
 */
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { ErrorCode } from '../../common/errors.ts'
import { pinnedIdleMax, retiredLanesMax } from '../../common/limits.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { Reply } from '../resp/decode.ts'
import { handOut } from './ahead.ts'
import { Attention } from './attention.ts'
import type { Connected, Heard, Target } from './connect.ts'
import type { ProtocolVersion, UpstreamConnection } from './connection.ts'
import { Connector, type Generation } from './connector.ts'
import { Demotion } from './demotion.ts'
import { Hearing } from './hearing.ts'
import { Liveness, type Supervised } from './liveness.ts'
import { OwnConnections } from './own-connections.ts'
import type { ServerEvents, ServerModules } from './server-modules.ts'
import { QueueBounds } from './queue-bounds.ts'
import { isReachable } from './reachable.ts'
import { Reserve } from './reserve.ts'
import { SharedLane } from './shared-lane.ts'
import { type ServerSettings, isSameTarget } from './target.ts'
import { WritePause } from './write-pause.ts'

const pingCommand = Buffer.from('*1\r\n$4\r\nPING\r\n')

export class ServerConnections implements Supervised {
  readonly writePause = new WritePause()
  private readonly events: ServerEvents
  private readonly modules: ServerModules
  private readonly heard: Heard = { bytes: 0 }
  readonly hearing = new Hearing()
  readonly attention: Attention
  readonly demotion: Demotion
  private readonly connector: Connector
  private readonly lanes: Readonly<Record<ProtocolVersion, SharedLane[]>> = { 2: [], 3: [] }
  /** Lanes that only finish what is owed over them. */
  private readonly retired = new Set<SharedLane>()
  private readonly pinned = new OwnConnections()
  /** Carries no client’s commands, so that none can hold up what ends them. */
  private readonly reserve = new Reserve((own) => {
    const { generation } = this
    return (
      generation &&
      this.connector.until(2, generation.abort.signal, (connection) => {
        own(connection)
        this.events.onReserve()
      })
    )
  })
  /** Whether it is sent nothing, and what ends is not opened again. */
  private isStandingBy = false
  private generation: Generation | undefined
  private lanesMax = 1
  readonly bounds = new QueueBounds()
  readonly load = { commandCount: 0 }
  private readonly liveness: Liveness
  private currentView: PrimaryView = 'none'

  constructor(events: ServerEvents, modules: ServerModules) {
    this.events = events
    this.modules = modules
    this.attention = new Attention({
      ...modules,
      bounds: this.bounds,
      hearing: this.hearing,
      probe: () => this.liveness.ask(),
      onHeard: () => this.liveness.reset(),
      release: () => this.goOn(),
      tell: () => events.onEvidence(),
    })
    this.liveness = new Liveness(this, this.attention)
    this.demotion = new Demotion({
      ...modules,
      bounds: this.bounds,
      generation: () => this.generation,
      askAside: (request) => this.askAside(request),
      open: (target, signal) => this.connector.open(target, 2, signal),
      isOwing: () => this.inFlightCommands > 0 || this.owesPinned,
      reconnect: (target) => this.reconnect(target),
      release: () => this.goOn(),
    })
    this.connector = new Connector({
      ...modules,
      heard: this.heard,
      hearing: this.hearing,
      generation: () => this.generation,
      isConnected: () => this.lanes[2][0]?.isReady === true,
      onReplica: this.noteReadOnly,
    })
  }

  /** What the server said to HELLO; undefined until one has answered. */
  get hello(): Reply | undefined {
    return this.connector.hello
  }

  /** Why the last attempt to connect failed; undefined while attempts succeed. */
  get failure(): ErrorCode | undefined {
    return this.connector.failure
  }

  get replicaSinceMs(): number | undefined {
    return this.connector.replicaSinceMs
  }

  get view(): PrimaryView {
    return this.currentView
  }

  get address(): string | undefined {
    return this.generation && formatHostPort(this.generation.target.server)
  }

  /** Whether it would take a command now. */
  get isReady(): boolean {
    return this.lanes[2][0]?.isReady === true && !this.isStalled
  }

  get connectionCount(): number {
    const ready = this.allLanes().filter((lane) => lane.isReady).length
    return ready + this.pinned.openCount + (this.reserve.isOpen ? 1 : 0)
  }

  get pinnedCount(): number {
    return this.pinned.takenCount
  }

  get inFlightCommands(): number {
    return this.allLanes().reduce((sum, lane) => sum + lane.inFlightCommands, 0)
  }

  /** Leads to `target` from now on, over what was `opened` ahead; what leads to another is closed when this returns. */
  use(
    target: Target | undefined,
    settings: ServerSettings,
    opened: readonly Connected[] = [],
  ): void {
    this.lanesMax = settings.lanesMax
    this.pinned.max = settings.pinnedMax
    this.bounds.use(settings.limits, this.lanesMax)
    const { isStandingBy } = this
    this.isStandingBy = false
    if (isSameTarget(this.generation?.target, target))
      return isStandingBy ? this.resume() : undefined
    this.disconnect()
    this.hearing.forget()
    this.connector.replicaSinceMs = undefined
    if (target === undefined) {
      this.setView('none')
      return
    }
    this.generation = { target, abort: new AbortController() }
    if (this.currentView === 'none') this.setView('failing')
    if (this.lanes[2].length === 0) this.addLane(2)
    if (opened.length > 0) this.adopt(opened)
    for (const lane of this.allLanes()) this.keepConnected(lane)
  }

  /** Until the next `use` its owner sends nothing more; what is open stays so, in case it goes on with the same server. */
  standBy(): void {
    this.isStandingBy = true
    this.setView('none')
  }

  /** What it needs connections for at present, by their versions of RESP. */
  get protocolsInUse(): readonly ProtocolVersion[] {
    const lanes = this.allLanes().map(({ protocol }) => protocol)
    const own = this.pinned.protocols().slice(0, pinnedIdleMax)
    return [2, ...(lanes.length === 0 ? [2 as const] : lanes), ...own]
  }

  private adopt(opened: readonly Connected[]): void {
    const { reserve, pinned: own } = this
    for (const one of opened) this.connector.adopt(one)
    handOut(opened, { lanes: this.allLanes(), reserve, own })
    this.resume()
    if (reserve.isOpen) this.events.onReserve()
  }

  /** Takes commands again, as far as it is connected. */
  private resume(): void {
    for (const lane of this.allLanes()) this.keepConnected(lane)
    if (this.generation !== undefined) {
      this.setView(this.lanes[2][0]?.isReady === true ? 'ok' : 'failing')
    }
    this.events.onReady()
  }

  /** Ends every connection and attempt. */
  disconnect(): void {
    const { generation } = this
    this.generation = undefined
    generation?.abort.abort()
    this.reserve.end()
    for (const lane of this.allLanes()) lane.discard()
    this.pinned.end()
    // Last, since those who wait for the server try again then, and must find nothing open.
    this.liveness.reset()
    this.attention.reset()
    this.demotion.reset()
  }

  /** The shared lane of a client; it may not be ready. Those who ask for much, or may, have others. */
  lane(protocol: ProtocolVersion, clientId: number, isNewcomer = false, isLarge = false) {
    const lane = this.laneAt(protocol, clientId % this.lanesMax)
    if ((!isNewcomer && !isLarge) || !lane.isReady) return lane
    const other = this.laneAt(protocol, this.lanesMax + (isLarge ? 2 : 0))
    return other.isReady ? other : lane
  }

  /** The lane of scripts: behind one that has no end nobody hears that the server is busy. */
  scriptLane(protocol: ProtocolVersion): SharedLane {
    return this.laneAt(protocol, this.lanesMax + 1)
  }

  /** The lane of writes where they wait for replicas, lest reads wait with them. */
  readonly writeLane = (protocol: ProtocolVersion) => this.laneAt(protocol, this.lanesMax + 3)
  private laneAt(protocol: ProtocolVersion, index: number): SharedLane {
    const lanes = this.lanes[protocol]
    while (lanes.length <= index) this.keepConnected(this.addLane(protocol))
    return lanes[index] as SharedLane
  }

  /** A pinned connection that is open and clean, if there is one. */
  takeIdle(protocol: ProtocolVersion): UpstreamConnection | undefined {
    return this.pinned.takeIdle(protocol)
  }

  /**
   * Opens a pinned connection; tries again while there is a server, until `signal` says otherwise.
   * @throws UpstreamError RM_OVERLOADED at the bound, RM_NO_PRIMARY when given up, `isBusy` for a busy server
   */
  openPinned(protocol: ProtocolVersion, signal: AbortSignal): Promise<UpstreamConnection> {
    return this.pinned.open((own) => this.connector.until(protocol, signal, own, true))
  }

  /** Whether clients do better with a connection of their own: a write that the server holds delays those behind it. */
  get prefersOwn(): boolean {
    return this.writePause.isOn && this.pinnedCount < this.pinned.max / 2
  }

  /** Takes back a pinned connection; only a clean one is kept. */
  release(connection: UpstreamConnection, isClean: boolean): void {
    this.pinned.release(connection, isClean)
  }

  /** Sends a command where no client’s holds it up; undefined while it cannot. @throws UpstreamError RM_UPSTREAM_LOST */
  askAside(request: Buffer): Promise<readonly Reply[]> | undefined {
    return this.reserve.ask(request)
  }

  readonly noteReadOnly = (): void => this.events.onReadOnly()

  /** Ends every connection and opens new ones to the same server. */
  private reconnect(target: Target): void {
    this.disconnect()
    if (this.isStandingBy) return
    this.generation = { target, abort: new AbortController() }
    this.setView('failing')
    for (const lane of this.allLanes()) this.keepConnected(lane)
  }

  /** Looks whether the server still lives; called every `livenessTickMs`. */
  watchLiveness(nowMs: number): void {
    this.hearing.heardAtMs(nowMs)
    if (this.generation !== undefined) this.liveness.tick(nowMs)
  }

  get isStalled(): boolean {
    return this.bounds.isStalled
  }

  get owesPinned(): boolean {
    return this.pinnedCount > 0 && this.events.owesPinned()
  }

  get bytesRead(): number {
    return this.heard.bytes
  }

  ping(): Promise<unknown> | undefined {
    return this.askAside(pingCommand)
  }

  async isReachable(): Promise<boolean> {
    return this.generation === undefined || isReachable(this.generation.target)
  }

  onStall(isStalled: boolean): void {
    const { log, counters } = this.modules
    this.bounds.isStalled = isStalled
    if (isStalled) {
      counters.upstreamStalls += 1
      log.warn({}, 'a server owes replies and says nothing; it is sent nothing more until it does')
      this.setView('failing')
      return
    }
    if (this.lanes[2][0]?.isReady === true) this.setView('ok')
    this.goOn()
  }

  /** Those who wait for the server try again. */
  private goOn(): void {
    for (const lane of this.allLanes()) lane.wakeWaiting()
    this.events.onReady()
  }

  onHung(silentMs: number, isAccepting: boolean): void {
    const { generation } = this
    if (generation === undefined) return
    this.modules.log.error({ silentMs, isAccepting }, 'a server hangs; its connections are ended')
    this.reconnect(generation.target)
  }

  /** Called at equal intervals: discards lanes that owed replies and gave none for `ticksMax` of them. */
  watchSilence(ticksMax: number): void {
    for (const lane of this.allLanes()) if (lane.silentTicks() >= ticksMax) lane.discard()
  }

  private allLanes(): SharedLane[] {
    return [...this.lanes[2], ...this.lanes[3], ...this.retired]
  }

  private addLane(protocol: ProtocolVersion, at = this.lanes[protocol].length): SharedLane {
    const lane = new SharedLane(
      {
        protocol,
        bounds: this.bounds,
        load: this.load,
        isWary: at === this.lanesMax,
        onLost: (lost) => {
          const wasRetired = this.retired.delete(lost)
          const isFailing = this.lanes[2][0]?.isReady === false && !this.isStandingBy
          if (isFailing && this.generation) this.setView('failing')
          if (!wasRetired) this.keepConnected(lost)
        },
        onReadOnly: this.noteReadOnly,
        onRetire: (lane) => this.replaceLane(lane),
      },
      this.modules.turn,
    )
    this.lanes[protocol].push(lane)
    return lane
  }

  /** Puts a new lane in the place of one that retires, over a connection that is open if there is one. */
  private replaceLane(lane: SharedLane): boolean {
    const lanes = this.lanes[lane.protocol]
    const index = lanes.indexOf(lane)
    if (index < 0 || this.retired.size >= retiredLanesMax) return false
    this.retired.add(lane)
    const added = this.addLane(lane.protocol, index)
    lanes.pop()
    lanes[index] = added
    const spare = this.takeIdle(lane.protocol)
    if (spare === undefined) this.keepConnected(added)
    else {
      this.pinned.giveAway(spare)
      added.attach(spare)
    }
    return true
  }

  private keepConnected(lane: SharedLane): void {
    const { generation } = this
    if (generation === undefined || this.isStandingBy) return
    if (lane.isReady || lane.isConnecting || lane.isRetired) return
    lane.isConnecting = true
    const { signal } = generation.abort
    this.connector
      .until(lane.protocol, signal, (connection) => lane.attach(connection))
      .then(() => {
        lane.isConnecting = false
        if (!lane.isReady) return this.keepConnected(lane)
        if (lane === this.lanes[2][0]) this.setView('ok')
        this.reserve.keep()
        this.events.onReady()
      })
      .catch((error: unknown) => {
        lane.isConnecting = false
        if (!signal.aborted) this.modules.log.error({ err: error }, 'connecting was given up')
        this.keepConnected(lane)
      })
  }

  private setView(view: PrimaryView): void {
    if (view === this.currentView) return
    this.currentView = view
    this.events.onViewChange(view)
  }
}
