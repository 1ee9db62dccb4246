/**
 * Holds the commands of all clients between those that were sent and those that come: for as long as somebody asked
 * for it, or while the sidecar goes over to another configuration. Nothing of a client is lost by it.
 *
 * A drain waits for the replies that are owed, asks servers for blocking commands back, and lets clients finish, for a
 * short while, what spans several commands: an open transaction, a change of their own connection.
 */
import { setImmediate as turnEnd, setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../common/clock.ts'
import { UpstreamError } from '../../common/errors.ts'
import {
  drainPollMs,
  offendersToldMax,
  switchFinishMaxMs,
  switchFinishMs,
  switchSettleMs,
} from '../../common/limits.ts'
import type { Turn } from '../net/turn.ts'
import { callBack } from '../session/blocked-command.ts'
import type { SessionContext } from '../session/context.ts'
import { PinReason } from '../session/pinning.ts'
import type { Session } from '../session/session.ts'

export interface PauseModules {
  readonly clock: Clock
  readonly turn: Turn
  readonly sessions: ReadonlySet<Session>
  /** Undefined until there is a configuration. */
  readonly context: () => SessionContext | undefined
  /** Commands may go on. */
  readonly release: () => void
  /** Commands are held from now on, or are not any more. */
  readonly onChange: () => void
  /** Whether the servers can be used, as far as there are any. */
  readonly isConnected: () => boolean
}

export class Pause {
  private readonly modules: PauseModules
  private isByHand = false
  private isSwitching = false
  private isHandedOver = false
  /** Whether nobody may finish anything any more: another primary may be on its way. */
  private isSealed = false

  constructor(modules: PauseModules) {
    this.modules = modules
  }

  /** Whether somebody asked for it. */
  get isAsked(): boolean {
    return this.isByHand
  }

  /** @throws UpstreamError RM_UPSTREAM_TIMEOUT after the drain timeout; commands are held all the same */
  async begin(): Promise<void> {
    this.isByHand = true
    const { drainTimeoutMs } = this
    if (await this.isDrained(drainTimeoutMs)) return
    const { inFlightCommands } = this
    throw new UpstreamError(
      'RM_UPSTREAM_TIMEOUT',
      `${inFlightCommands} commands are still in flight after ${drainTimeoutMs} ms; the sidecar stays paused`,
      { data: { inFlightCommands }, retryable: true },
    )
  }

  end(): void {
    this.isByHand = false
    this.update()
  }

  /**
   * The same for the time of a switch, beside what somebody asked for; but clients whose commands do not end in time are
   * closed, since all others wait for them.
   */
  async hold(): Promise<void> {
    this.isSwitching = true
    // What a server that hangs owes will not come: its commands are lost with it.
    const isStalled = () => this.modules.context()?.primary.isStalled === true
    if (!(await this.isDrained(this.drainTimeoutMs, isStalled))) this.cutOffenders()
    if (!isStalled()) await this.deliverMessages()
  }

  /**
   * Holds while the primary is handed over. False when some commands did not end within `timeoutMs`; nothing more is
   * sent in any case when it has resolved.
   */
  async beginHandover(timeoutMs: number): Promise<boolean> {
    this.isHandedOver = true
    const isStalled = () => this.modules.context()?.primary.isStalled === true
    await this.isDrained(timeoutMs, isStalled)
    if (!this.isHandedOver) return true
    this.isSealed = true
    // A command in pieces would go on; of what else is sent nothing is left.
    for (const session of this.modules.sessions) {
      if (session.large !== undefined) session.pinning.lane?.connection.destroy()
    }
    return this.inFlightCommands === 0
  }

  /** Whether clients wait for a connection of their own that the handover ended. */
  get isAwaited(): boolean {
    return some(this.modules.sessions, isMissing)
  }

  endHandover(): void {
    if (!this.isHandedOver) return
    this.isHandedOver = false
    this.isSealed = false
    this.update()
  }

  /** Waits for a bounded time until those are back whose own connection a switch ended. */
  async settle(timeoutMs = switchSettleMs): Promise<void> {
    const { clock, sessions } = this.modules
    const start = clock.monotonicMs()
    for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs = clock.monotonicMs() - start) {
      if (this.isConnected && !some(sessions, isMissing)) return
      await this.modules.turn.next(drainPollMs)
    }
  }

  endHold(): void {
    this.isSwitching = false
    this.update()
  }

  /** Whether no reply is owed, at the latest after `timeoutMs`. New commands are held from now on. */
  async isDrained(timeoutMs: number, isHopeless = () => false): Promise<boolean> {
    const { clock, sessions } = this.modules
    const context = this.modules.context()
    if (context === undefined) return true
    // Who is held already, is held in the midst of what it began too.
    const mayFinish = !context.isPaused
    context.isPaused = true
    context.isHandedOver = this.isOnlyHandedOver
    this.modules.onChange()
    const start = clock.monotonicMs()
    let wasQuiet = false
    for (;;) {
      const waitedMs = clock.monotonicMs() - start
      const graceMs = some(sessions, isInMidst) ? switchFinishMaxMs : switchFinishMs
      const isGrace = mayFinish && !this.isSealed && waitedMs < graceMs
      context.isFinishing = isGrace && some(sessions, hasMore)
      const isQuiet = !context.isFinishing && (this.inFlightCommands === 0 || isHopeless())
      // Who was answered a moment ago goes on in the same turn, and finds that commands are held.
      if (isQuiet && (wasQuiet || waitedMs >= timeoutMs)) return true
      wasQuiet = isQuiet
      if (waitedMs >= timeoutMs) {
        context.isFinishing = false
        return false
      }
      for (const session of sessions) callBack(session)
      // Mostly a reply is what is missing; a server that is waited for needs the processor itself.
      await (isQuiet ? turnEnd() : this.modules.turn.next(drainPollMs))
    }
  }

  /** Commands that were sent and whose clients are still there. */
  get inFlightCommands(): number {
    let count = 0
    for (const session of this.modules.sessions) count += session.inFlight
    return count
  }

  private get isOnlyHandedOver(): boolean {
    return this.isHandedOver && !this.isByHand && !this.isSwitching
  }

  private get drainTimeoutMs(): number {
    return this.modules.context()?.timing.drainTimeoutMs ?? 0
  }

  private cutOffenders(): void {
    const offenders = [...this.modules.sessions].filter(({ inFlight }) => inFlight > 0)
    const clients = offenders.map(({ address }) => address).slice(0, offendersToldMax)
    this.modules
      .context()
      ?.log.warn(
        { count: offenders.length, clients },
        'commands did not end in time for a switch; their clients were closed',
      )
    for (const offender of offenders) offender.cutFor('clientsCutTimeLimit')
  }

  /** What the server said to subscribers before it answered the last command is on its way: it is waited for. */
  private async deliverMessages(): Promise<void> {
    const context = this.modules.context()
    if (!some(this.modules.sessions, ({ state }) => state.isStanding)) return
    const answered = context?.primary.ping()?.catch(() => undefined)
    if (answered !== undefined) await Promise.race([answered, delay(switchFinishMs)])
    await delay(drainPollMs)
  }

  private get isConnected(): boolean {
    const context = this.modules.context()
    if (context?.hasPrimary !== true) return true
    return this.modules.isConnected() && context.primary.lane(2, 0).isReady
  }

  private update(): void {
    const context = this.modules.context()
    if (context === undefined) return
    context.isPaused = this.isByHand || this.isSwitching || this.isHandedOver
    context.isHandedOver = this.isOnlyHandedOver
    context.isFinishing = false
    this.modules.onChange()
    if (!context.isPaused) this.modules.release()
  }
}

/** Whether its own connection has to be made again, or has ended and it has not been told yet. */
function isMissing({ pinning: { isMissed, lane } }: Session): boolean {
  return isMissed || lane?.connection.socket.destroyed === true
}

/** Whether a client is between commands that belong together, or waits for an answer about its own connection. */
function hasMore({ pinning, wait }: Session): boolean {
  const isInTransaction = pinning.has(PinReason.transaction) && !pinning.isRaw
  return isInTransaction || wait === 'outside'
}

/** Whether it is not the client who keeps its transaction open: more of it is here, or at the server. */
function isInMidst(session: Session): boolean {
  const isGoingOn = session.inFlight > 0 || session.input.length > 0
  return isGoingOn && session.pinning.has(PinReason.transaction) && !session.pinning.isRaw
}

function some(sessions: ReadonlySet<Session>, isTrue: (session: Session) => boolean): boolean {
  for (const session of sessions) if (isTrue(session)) return true
  return false
}
