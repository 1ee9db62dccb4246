/** What one client is subscribed to over several connections, and over which of them. */
import { subscriptionBytesMax, subscriptionsMax } from '../../common/limits.ts'
import type { Link } from './link.ts'

export const channelKinds = ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'] as const
export type ChannelKind = (typeof channelKinds)[number]

export interface Channel {
  readonly kind: ChannelKind
  readonly name: string
  readonly links: Set<Link>
}

export class ChannelTable {
  private readonly channels: Readonly<Record<ChannelKind, Map<string, Channel>>> = {
    SUBSCRIBE: new Map(),
    PSUBSCRIBE: new Map(),
    SSUBSCRIBE: new Map(),
  }
  private byteCount = 0

  get size(): number {
    const { SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE } = this.channels
    return SUBSCRIBE.size + PSUBSCRIBE.size + SSUBSCRIBE.size
  }

  /** As a server counts: channels and patterns together, shard channels apart. */
  countOf(kind: ChannelKind): number {
    const { SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE } = this.channels
    return kind === 'SSUBSCRIBE' ? SSUBSCRIBE.size : SUBSCRIBE.size + PSUBSCRIBE.size
  }

  find(kind: ChannelKind, name: string): Channel | undefined {
    return this.channels[kind].get(name)
  }

  names(kind: ChannelKind): string[] {
    return [...this.channels[kind].keys()]
  }

  *all(): Iterable<Channel> {
    for (const channels of Object.values(this.channels)) yield* channels.values()
  }

  /** Undefined when there are as many as there may be. */
  add(kind: ChannelKind, name: string): Channel | undefined {
    const known = this.find(kind, name)
    if (known !== undefined) return known
    const isRoom = this.size < subscriptionsMax
    if (!isRoom || this.byteCount + name.length > subscriptionBytesMax) return undefined
    const channel = { kind, name, links: new Set<Link>() }
    this.channels[kind].set(name, channel)
    this.byteCount += name.length
    return channel
  }

  remove({ kind, name }: Channel): void {
    if (this.channels[kind].delete(name)) this.byteCount -= name.length
  }

  clear(): void {
    for (const channels of Object.values(this.channels)) channels.clear()
    this.byteCount = 0
  }
}
