/**
 * Sends commands again that no server ran: in their order, after everything else of the client that was in flight has
 * been answered. See `ReplyOrder`.
 */
import type { Wakeable } from '../../net/turn.ts'
import { encodeCommand } from '../../resp/encode.ts'
import type { Holdable } from '../hold-queue.ts'
import { ownReplies } from '../own-replies.ts'
import { Leg, nobodysLeg, plainKind } from './leg.ts'
import { overtaken } from './overtaken.ts'
import { delayMs, errorOf, finalError, serverFor } from './resend.ts'
import type { ReplyOrder } from './reply-order.ts'

const asking = encodeCommand(['ASKING'])

export class Recovery implements Wakeable, Holdable {
  /** Whether commands are to be sent again, or were and have not been answered. */
  isOn = false
  private readonly order: ReplyOrder
  /** Commands that are to be sent again. */
  private count = 0
  private isScheduled = false
  private timer: NodeJS.Timeout | undefined

  constructor(order: ReplyOrder) {
    this.order = order
  }

  /** Another command is to be sent again. */
  add(): void {
    this.count += 1
    this.isOn = true
  }

  /** Goes on, if nothing is in flight any more. */
  look(): void {
    const { order } = this
    if (!this.isOn || order.awaited > 0 || order.isClosed) return
    if (this.count === 0) this.isOn = false
    else if (!this.isScheduled) {
      this.isScheduled = true
      order.session.context.turn.addWake(this)
    }
  }

  wake(): void {
    const { order, timer } = this
    this.isScheduled = false
    const isReady = order.awaited === 0 && this.count > 0 && timer === undefined
    if (order.isClosed || !isReady) return
    this.giveUp()
    const { context } = order.session
    let waitMs = 0
    for (const { refusal } of this.refused()) {
      if (refusal !== undefined) waitMs = Math.max(waitMs, delayMs(refusal, context))
    }
    if (waitMs === 0) return this.send()
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.send()
    }, waitMs)
  }

  /** Those that were refused too often, for too long, or are too late. */
  private giveUp(): void {
    const { order } = this
    const { context } = order.session
    const { backend, planner } = context
    const late = backend === undefined ? undefined : overtaken(order.legs(), planner, backend)
    const now = context.clock.monotonicMs()
    for (const leg of this.refused()) {
      if (leg.refusal === undefined) continue
      const refusal = { ...leg.refusal, sinceMs: leg.refusal.sinceMs ?? now }
      leg.refusal = refusal
      const isLate = late?.has(leg) === true
      const lateError =
        refusal.kind === 'moved' || refusal.kind === 'ask' ? ownReplies.moved : errorOf(refusal)
      const error = isLate ? lateError : finalError(refusal, context)
      if (error !== undefined) this.fail(leg, error)
    }
  }

  private fail(leg: Leg, error: Buffer): void {
    const { counters } = this.order.session.context
    if (error === ownReplies.lost) counters.commandsLost += 1
    else if (error === ownReplies.heldTooLong) counters.commandsHeldTooLong += 1
    this.count -= 1
    this.order.answer(leg, error)
  }

  private refused(): Leg[] {
    return this.order.legs().filter(({ state }) => state === 'refused')
  }

  private send(): void {
    const { order } = this
    if (order.isClosed) return
    for (const leg of this.refused()) {
      if (!this.sendOne(leg)) return
      this.count -= 1
    }
  }

  /** False when it has to wait, for what is in flight or to be called again. */
  private sendOne(leg: Leg): boolean {
    const { order } = this
    const { session } = order
    const { context } = session
    const server = serverFor(context, leg)
    const { protocol, id, window } = session
    const lane = server?.lane(protocol, id, window.isNewcomer, window.isLarge)
    if (server === undefined || lane === undefined || !lane.isReady) {
      // A server that was named may be gone; who has the keys is looked up again.
      if (leg.refusal?.server !== undefined) leg.refusal = { ...leg.refusal, server: undefined }
      if (order.awaited === 0) context.holds.add(this)
      return false
    }
    const way = order.way(server, lane)
    if (way === undefined) return false
    if (!lane.isWritable) {
      if (order.awaited === 0) lane.waitWritable(this)
      return false
    }
    context.counters.commandsSentAgain += 1
    const isAsk = leg.refusal?.kind === 'ask' && leg.refusal.server === server
    if (isAsk) way.sendBehind(askingLeg(), leg)
    else way.send(leg)
    return true
  }

  // Waiting for a server

  onRelease(): void {
    this.look()
  }

  onHoldTimeout(): void {
    for (const leg of this.refused()) {
      if (leg.refusal !== undefined) this.fail(leg, errorOf(leg.refusal))
    }
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.order.session.context.holds.remove(this)
  }
}

function askingLeg(): Leg {
  return new Leg(nobodysLeg, { bytes: asking, start: 0, end: asking.length }, 1, plainKind)
}
