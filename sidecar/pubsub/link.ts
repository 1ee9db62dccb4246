/**
 * A connection over which one client is subscribed at one server, beside others at other servers. What it says is told
 * apart and given on: messages in parts, confirmations whole, and replies to what was asked.
 */
import type { Turn } from '../net/turn.ts'
import { encodeCommand } from '../resp/encode.ts'
import { type Reply, decodeReply } from '../resp/decode.ts'
import type { ProtocolVersion, UpstreamConnection } from '../upstream/connection.ts'
import type { Sorting } from '../upstream/frame-sorter.ts'
import { PinnedLane, type PinnedOwner } from '../upstream/pinned-lane.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'

export interface LinkOwner {
  onLinkMessage(link: Link, bytes: Buffer, isEnd: boolean): void
  /** The server ended a subscription by itself: another has the slot. */
  onLinkEnded(link: Link, name: string): void
  onLinkClosed(link: Link, isMidFrame: boolean): void
}

/** Something that was sent and is not over. */
interface Asked {
  /** Names of which no confirmation has come; absent: it has one reply. */
  readonly names?: string[]
  readonly onConfirmed?: (name: string) => void
  /** Bytes of its reply, or of the error that there is instead of confirmations. */
  onReply(bytes: Buffer, isEnd: boolean): void
  onLost(): void
}

/** A server answered with an error, or its connection ended. */
export type LinkOutcome = 'done' | 'lost' | { readonly error: Buffer }

export class Link implements PinnedOwner {
  readonly server: ServerConnections
  readonly lane: PinnedLane
  private readonly owner: LinkOwner
  private asked: Asked[] = []
  private isMidMessage = false
  private isEnded = false

  constructor(
    {
      server,
      connection,
    }: { readonly server: ServerConnections; readonly connection: UpstreamConnection },
    owner: LinkOwner,
    turn: Turn,
  ) {
    this.server = server
    this.owner = owner
    this.lane = new PinnedLane(connection, this, turn)
    this.lane.sorting = sortingOf(connection.protocol)
  }

  /** Whether it owes nothing. */
  get isIdle(): boolean {
    return this.asked.length === 0 && !this.isMidMessage
  }

  /** Subscribes to names, or ends that; `onConfirmed` is told of each as it is confirmed. */
  change(
    command: string,
    names: readonly string[],
    onConfirmed: (name: string) => void,
  ): Promise<LinkOutcome> {
    if (this.isEnded) return Promise.resolve('lost')
    const { promise, resolve } = Promise.withResolvers<LinkOutcome>()
    const left = [...names]
    const parts: Buffer[] = []
    this.asked.push({
      names: left,
      onConfirmed: (name) => {
        onConfirmed(name)
        if (left.length === 0) resolve('done')
      },
      onReply: (bytes, isEnd) => {
        parts.push(Buffer.from(bytes))
        if (isEnd) resolve({ error: Buffer.concat(parts) })
      },
      onLost: () => resolve('lost'),
    })
    this.lane.enqueue(encodeCommand([command, ...names]))
    return promise
  }

  /** Sends a command that has one reply. */
  ask(frame: Buffer, onReply: Asked['onReply'], onLost: () => void): void {
    this.asked.push({ onReply, onLost })
    this.lane.enqueue(frame)
  }

  /** Speaks another version of the protocol from then on that `onDone` is called, at the latest when this ends. */
  speak(protocol: ProtocolVersion, onDone: () => void): void {
    if (this.isEnded) return onDone()
    let isError: boolean | undefined
    const onReply = (bytes: Buffer, isEnd: boolean) => {
      isError ??= bytes[0] === minus
      if (!isEnd) return
      if (isError) this.lane.connection.destroy()
      this.lane.sorting = sortingOf(protocol)
      onDone()
    }
    this.ask(encodeCommand(['HELLO', String(protocol)]), onReply, onDone)
  }

  end(): void {
    if (this.isEnded) return
    this.lane.end()
    this.server.release(this.lane.connection, false)
    this.lose()
  }

  deliver(bytes: Buffer, replyCount: number): void {
    const [asked] = this.asked
    // Nobody asked for it: the connection is out of step.
    if (asked === undefined) return this.lane.connection.destroy()
    if (replyCount > 0) this.asked.shift()
    asked.onReply(bytes, replyCount > 0)
  }

  onMessage(bytes: Buffer, isEnd: boolean): void {
    this.isMidMessage = !isEnd
    this.owner.onLinkMessage(this, bytes, isEnd)
  }

  onConfirmation(frame: Buffer): void {
    const name = nameIn(decodeReply(frame))
    const [asked] = this.asked
    const index = asked?.names?.indexOf(name) ?? -1
    if (asked?.names === undefined || index < 0) return this.owner.onLinkEnded(this, name)
    asked.names.splice(index, 1)
    if (asked.names.length === 0) this.asked.shift()
    asked.onConfirmed?.(name)
  }

  onPinnedReadOnly(): void {}

  onPinnedClosed(): void {
    this.server.release(this.lane.connection, false)
    this.lose()
    this.owner.onLinkClosed(this, this.isMidMessage)
  }

  onPinnedDrain(): void {}

  private lose(): void {
    this.isEnded = true
    for (const asked of this.asked.splice(0)) asked.onLost()
  }
}

const minus = '-'.charCodeAt(0)

function sortingOf(protocol: ProtocolVersion): Sorting {
  return protocol === 3 ? 'pushes' : 'arrays'
}

/** Of the channel that a confirmation is about. */
function nameIn(reply: Reply | undefined): string {
  const name = reply?.kind === 'list' ? reply.items[1] : undefined
  return name?.kind === 'text' ? name.text : ''
}
