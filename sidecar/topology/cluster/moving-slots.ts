/**
 * Slots whose keys are on their way from one primary to another. The primary that still owns such a slot sends clients
 * on for keys that it has no more; its replicas do not know and say that there are none. So they are not read from: from
 * when a primary says that it is moving a slot, which it is asked at intervals, or sends a command on.
 */
import { movingSlotsLookMs, movingSlotsLookPerNodeMs } from '../../../common/limits.ts'
import { slotCount } from '../../../common/redis/slots.ts'
import { type Reply, textOf } from '../../resp/decode.ts'
import { encodeCommand } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'

const question = encodeCommand(['CLUSTER', 'NODES'])

type Primary = Pick<ServerConnections, 'askAside'>

export class MovingSlots {
  private readonly primaries: () => readonly Primary[]
  private readonly bySlot = new Map<number, { readonly primary: Primary; readonly look: number }>()
  private readonly owing = new Set<Primary>()
  private timer: NodeJS.Timeout | undefined
  private look = 0
  private nodeCount = 0

  constructor(primaries: () => readonly Primary[]) {
    this.primaries = primaries
  }

  has(slot: number): boolean {
    return this.bySlot.size > 0 && this.bySlot.has(slot)
  }

  /** `primary` sent a command on that is about the slot. */
  note(slot: number, primary: Primary | undefined): void {
    if (this.timer === undefined || primary === undefined) return
    if (Number.isInteger(slot) && slot >= 0 && slot < slotCount) {
      this.bySlot.set(slot, { primary, look: this.look })
    }
  }

  start(): void {
    if (this.timer === undefined) this.ask()
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.bySlot.clear()
  }

  private readonly ask = (): void => {
    this.look += 1
    const present = new Set(this.primaries())
    for (const [slot, { primary }] of this.bySlot) {
      if (!present.has(primary)) this.bySlot.delete(slot)
    }
    for (const primary of present) void this.askOne(primary, this.look)
    const waitMs = Math.max(movingSlotsLookMs, this.nodeCount * movingSlotsLookPerNodeMs)
    this.timer = setTimeout(this.ask, waitMs).unref()
  }

  private async askOne(primary: Primary, look: number): Promise<void> {
    if (this.owing.has(primary)) return
    this.owing.add(primary)
    try {
      const replies = await primary.askAside(question)
      if (replies !== undefined && this.timer !== undefined) this.learn(primary, look, replies)
    } catch {
      // What it said before holds until it says something else.
    } finally {
      this.owing.delete(primary)
    }
  }

  private learn(primary: Primary, look: number, [reply]: readonly Reply[]): void {
    const text = textOf(reply)
    const moving = readMoving(text)
    if (moving === undefined) return
    this.nodeCount = text.split('\n').length
    for (const [slot, known] of this.bySlot) {
      if (known.primary === primary && known.look < look) this.bySlot.delete(slot)
    }
    for (const slot of moving) this.bySlot.set(slot, { primary, look })
  }
}

/** Of `CLUSTER NODES`: what the node that answered is giving away; undefined: it is no such answer. */
export function readMoving(text: string): readonly number[] | undefined {
  const own = text.split('\n').find((line) => /^\S+ \S+ (?:\S+,)?myself\b/.test(line))
  if (own === undefined) return undefined
  return [...own.matchAll(/\[(\d{1,5})->-/g)].map(([, slot]) => Number(slot))
}
