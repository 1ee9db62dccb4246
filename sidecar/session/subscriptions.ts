/** What a client is subscribed to, as the server confirmed it. Bounded: beyond that it is counted only. */
import { subscriptionBytesMax, subscriptionsMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'

export const subscriptionKinds = ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'] as const
export type SubscriptionKind = (typeof subscriptionKinds)[number]

/** Names in one command when all are subscribed to again. */
const namesPerCommand = 512

export class Subscriptions {
  /** Whether all names are known, so that they can be subscribed to again. */
  isComplete = true
  private names = noNames()
  private counts = noCounts()
  private byteCount = 0

  get count(): number {
    return this.counts.SUBSCRIBE + this.counts.PSUBSCRIBE + this.counts.SSUBSCRIBE
  }

  countOf(kind: SubscriptionKind): number {
    return this.counts[kind]
  }

  /** The server confirmed: `total` is what it says to be left, of shard channels or of all others. */
  note(kind: SubscriptionKind, isAdded: boolean, name: string | undefined, total: number): void {
    const isSharded = kind === 'SSUBSCRIBE'
    const { counts } = this
    const before = isSharded ? counts.SSUBSCRIBE : counts.SUBSCRIBE + counts.PSUBSCRIBE
    counts[kind] = Math.max(0, counts[kind] + total - before)
    if (name === undefined) return
    if (isAdded) this.remember(kind, name)
    else if (this.names[kind].delete(name)) this.byteCount -= name.length
    if (this.count === 0) this.clear()
  }

  /** What subscribes to all of it again; as many confirmations come as `count` says. */
  commands(): Buffer[] {
    return subscriptionKinds.flatMap((kind) => {
      const names = [...this.names[kind]]
      const commands: Buffer[] = []
      for (let at = 0; at < names.length; at += namesPerCommand) {
        commands.push(encodeCommand([kind, ...names.slice(at, at + namesPerCommand)]))
      }
      return commands
    })
  }

  has(kind: SubscriptionKind, name: string): boolean {
    return this.names[kind].has(name)
  }

  clear(): void {
    this.names = noNames()
    this.counts = noCounts()
    this.byteCount = 0
    this.isComplete = true
  }

  private remember(kind: SubscriptionKind, name: string): void {
    const names = this.names[kind]
    if (names.has(name)) return
    const isRoom = this.count <= subscriptionsMax
    if (!isRoom || this.byteCount + name.length > subscriptionBytesMax) {
      this.isComplete = false
      return
    }
    names.add(name)
    this.byteCount += name.length
  }
}

function noNames(): Record<SubscriptionKind, Set<string>> {
  return { SUBSCRIBE: new Set(), PSUBSCRIBE: new Set(), SSUBSCRIBE: new Set() }
}

function noCounts(): Record<SubscriptionKind, number> {
  return { SUBSCRIBE: 0, PSUBSCRIBE: 0, SSUBSCRIBE: 0 }
}
