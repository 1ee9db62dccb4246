/**
 * The subscriptions of one client where there are several servers: a connection to each server that has something of
 * it. Channels of a cluster are heard at any server, shard channels where their slot is, and what a server tells of its
 * own keys at all of them; in a ring a channel is at the server of its name, and patterns at all. The client is told of
 * its subscriptions once, and not that they were made again somewhere else.
 *
 * Each client has connections of its own, as with one server: how many heard a message is for the servers to count.
 */
import { restoreRetryMs } from '../../../common/limits.ts'
import { codeOf } from '../../../common/errors.ts'
import {
  type Channel,
  type ChannelKind,
  ChannelTable,
  channelKinds,
} from '../../pubsub/channel-table.ts'
import { Link, type LinkOwner, type LinkOutcome } from '../../pubsub/link.ts'
import { encodeConfirmation } from '../../pubsub/confirmation.ts'
import { Splicer } from '../../pubsub/splicer.ts'
import { frameArguments } from '../../resp/arguments.ts'
import { encodeError } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { ownReplies } from '../own-replies.ts'
import type { Session } from '../session.ts'
import { type SpecialCommand, answerCommand, refuseCommand } from '../special.ts'
import { everywhere, findMissing, placeOf, serversOf } from './channel-places.ts'
import { confinedReply } from './confined-reply.ts'
import { openLink } from './open-link.ts'
import { readRefusal, serverToldOf } from './redirects.ts'
import { shardedBackend } from './sharded.ts'

interface Change {
  readonly kind: ChannelKind
  readonly isAdding: boolean
  readonly deadlineMs: number
}

export class ShardSubscriber implements LinkOwner {
  private readonly session: Session
  private readonly table = new ChannelTable()
  readonly links = new Map<ServerConnections, Link>()
  private readonly opening = new Map<ServerConnections, Promise<Link | undefined>>()
  private splicer: Splicer | undefined
  private timer: NodeJS.Timeout | undefined
  private isRestoring = false
  private version = -1
  /** Rises when all of it is forgotten: what was being done then is done no more. */
  private life = 0

  constructor(session: Session) {
    this.session = session
    session.socket.once('close', () => this.clear())
  }

  get count(): number {
    return this.table.size
  }

  send(command: SpecialCommand): void {
    const { session } = this
    const { name, argumentCount, end } = command
    const isAdding = !name.includes('UNSUB')
    const kind = kindOf(name)
    if (session.pinning.transaction !== undefined) {
      return refuseCommand(session, command, ownReplies.notInTransaction)
    }
    if (isAdding && argumentCount === 1) {
      const text = `ERR wrong number of arguments for '${name.toLowerCase()}' command`
      return answerCommand(session, command, encodeError(text))
    }
    if (session.holdError !== undefined) return void session.forwardRun(end, 1)
    if (session.pinning.isHeld) return void session.hold()
    const { input, context } = session
    const words = frameArguments(input.bytes, input.start, Number.POSITIVE_INFINITY)
    const given = words.slice(1).map((word) => word.toString('latin1'))
    input.start = end
    context.counters.commands += 1
    session.wait = 'outside'
    const deadlineMs = context.clock.monotonicMs() + context.timing.holdTimeoutMs
    const names = given.length > 0 ? given : this.table.names(kind)
    const { life } = this
    void this.change({ kind, isAdding, deadlineMs }, names).then((error) => {
      if (session.isClosed || life !== this.life) return
      if (error !== undefined) session.answer(error)
      session.resume()
    })
  }

  /** Sends what a subscriber in RESP2 may not ask, or PING: the server says so. False when it has to wait. */
  sendConfined(end: number): boolean {
    const { session } = this
    const [link] = this.links.values()
    if (!session.waitForReplies()) return false
    if (link === undefined) {
      session.wait = 'outside'
      setTimeout(() => session.resume(), restoreRetryMs / 10).unref()
      return false
    }
    const { input } = session
    const frame = Buffer.from(input.bytes.subarray(input.start, end))
    input.start = end
    session.context.counters.commands += 1
    session.inFlight += 1
    session.wait = 'replies'
    session.replies.noteSent()
    const onReply = (bytes: Buffer, isEnd: boolean) =>
      session.deliver(isEnd ? confinedReply(bytes, frame) : bytes, isEnd ? 1 : 0)
    link.ask(frame, onReply, () => session.lose(1, false))
    return true
  }

  setReading(isReading: boolean): void {
    for (const { lane } of this.links.values()) lane.setReading(isReading)
  }

  /** Ends all subscriptions, unheard. */
  clear(): void {
    const { session, splicer } = this
    // What it was told a part of it will not be told the rest of.
    if (!session.isClosed && splicer?.isMidFrame === true) session.destroy()
    this.life += 1
    this.table.clear()
    clearInterval(this.timer)
    this.timer = undefined
    for (const link of this.links.values()) link.end()
    this.links.clear()
    this.noteCount()
  }

  onLinkMessage(link: Link, bytes: Buffer, isEnd: boolean): void {
    const { session } = this
    if (session.isClosed || session.isClosing) return
    this.splicer?.pass(link, bytes, isEnd)
  }

  /** The slot of a shard channel went elsewhere. */
  onLinkEnded(link: Link, name: string): void {
    const channel = this.table.find('SSUBSCRIBE', name)
    if (channel === undefined || !channel.links.delete(link)) return
    shardedBackend(this.session.context)?.lookAgain()
    void this.restore()
  }

  onLinkClosed(link: Link, isMidFrame: boolean): void {
    const { session } = this
    if (this.links.get(link.server) !== link) return
    this.links.delete(link.server)
    for (const { links } of this.table.all()) links.delete(link)
    if (session.isClosed) return
    if (isMidFrame) return session.destroy()
    // It does not read what it listens to: a server ends such clients.
    if (session.isOutputBlocked && this.count > 0) return session.cutFor('clientsCutSlow')
    void this.restore()
  }

  /** The error that ends the command, if there is one. */
  private async change(change: Change, names: readonly string[]): Promise<Buffer | undefined> {
    const { kind, isAdding } = change
    if (names.length === 0) {
      this.confirm(change, undefined)
      return undefined
    }
    for (let at = 0; at < names.length; ) {
      const group = isAdding ? this.groupAt(kind, names, at) : names.slice(at, at + 1)
      const error = isAdding ? await this.add(change, group) : await this.drop(change, group)
      if (error !== undefined) return error
      at += group.length
    }
    return undefined
  }

  /** Names from `at` on that one command can name at one server; one that comes twice is confirmed twice. */
  private groupAt(kind: ChannelKind, names: readonly string[], at: number): string[] {
    const group = new Set<string>()
    const first = this.placeOf(kind, names[at] ?? '')
    for (const name of names.slice(at)) {
      if (group.has(name) || this.placeOf(kind, name) !== first) break
      group.add(name)
    }
    return [...group]
  }

  private placeOf(kind: ChannelKind, name: string): number {
    return placeOf(this.session, kind, name)
  }

  private serversOf(place: number): readonly (ServerConnections | undefined)[] {
    return serversOf(this.session, place, this.links.keys())
  }

  private async add(change: Change, names: readonly string[]): Promise<Buffer | undefined> {
    const { kind, deadlineMs } = change
    const { session, life } = this
    const { clock } = session.context
    const place = this.placeOf(kind, names[0] ?? '')
    const confirmed = new Set<string>()
    for (;;) {
      const left = names.filter((name) => !confirmed.has(name))
      if (left.length === 0) return undefined
      const outcome = await this.addAt(change, left, place, (name) => confirmed.add(name))
      if (outcome === undefined && left.every((name) => confirmed.has(name))) return undefined
      if (session.isClosed || life !== this.life) return undefined
      if (outcome !== undefined) return outcome
      if (clock.monotonicMs() > deadlineMs) return ownReplies.heldTooLong
      await pause(session)
    }
  }

  /** Subscribes once wherever the names belong. An error that is worth telling, or undefined. */
  private async addAt(
    change: Change,
    names: readonly string[],
    place: number,
    onConfirmed: (name: string) => void,
  ): Promise<Buffer | undefined> {
    const { kind } = change
    const servers = this.serversOf(place)
    const missing = new Map(names.map((name) => [name, servers.length]))
    if (servers.length === 0) return undefined
    for (const server of servers) {
      const link = server && (await this.reach(server))
      if (link === undefined) return undefined
      if (!(link instanceof Link)) return link
      const outcome = await link.change(kind, names, (name) => {
        const channel = this.table.add(kind, name)
        channel?.links.add(link)
        const left = (missing.get(name) ?? 1) - 1
        missing.set(name, left)
        if (left > 0) return
        onConfirmed(name)
        this.noteCount()
        this.confirm(change, name)
      })
      const error = this.errorOf(outcome)
      if (outcome !== 'done') return error
    }
    return undefined
  }

  /** What the client is told of an outcome; nothing where it is worth while to try again. */
  private errorOf(outcome: LinkOutcome): Buffer | undefined {
    if (typeof outcome === 'string') return undefined
    const refusal = readRefusal(outcome.error)
    if (refusal === undefined) return outcome.error
    serverToldOf(this.session, refusal)
    return undefined
  }

  private async drop(change: Change, names: readonly string[]): Promise<Buffer | undefined> {
    const [name = ''] = names
    const channel = this.table.find(change.kind, name)
    if (channel !== undefined) {
      this.table.remove(channel)
      await this.dropAt(channel, [...channel.links])
    }
    if (this.session.isClosed) return undefined
    this.confirm(change, name)
    this.noteCount()
    return undefined
  }

  private async dropAt({ kind, name, links }: Channel, from: readonly Link[]): Promise<void> {
    for (const link of from) {
      links.delete(link)
      await link.change(kind.replace('SUB', 'UNSUB'), [name], () => {})
    }
    this.endUnused()
  }

  private endUnused(): void {
    const used = new Set<Link>()
    for (const { links } of this.table.all()) for (const link of links) used.add(link)
    for (const [server, link] of this.links) {
      if (used.has(link) || !link.isIdle || this.splicer?.isMidFrameOf(link) === true) continue
      this.links.delete(server)
      link.end()
    }
  }

  /** Tells the client in the server’s words. */
  private confirm({ kind, isAdding }: Change, name: string | undefined): void {
    const { session, table } = this
    if (session.isClosed || session.isClosing) return
    const word = isAdding ? kind : kind.replace('SUB', 'UNSUB')
    session.onMessage(encodeConfirmation(session.protocol, word, name, table.countOf(kind)))
  }

  /** A connection to `server`; an error that the client is told; undefined: there is none at present. */
  private async reach(server: ServerConnections): Promise<Link | Buffer | undefined> {
    const known = this.links.get(server)
    if (known !== undefined) return known
    try {
      const opening = this.opening.get(server) ?? this.open(server)
      this.opening.set(server, opening)
      return await opening
    } catch (error) {
      return codeOf(error) === 'RM_OVERLOADED' ? ownReplies.overloaded : undefined
    } finally {
      this.opening.delete(server)
    }
  }

  private async open(server: ServerConnections): Promise<Link | undefined> {
    const { session, life } = this
    const { turn } = session.context
    const connection = await openLink(session, server)
    if (connection === undefined) return undefined
    if (session.isClosed || life !== this.life) {
      server.release(connection, false)
      return undefined
    }
    const link = new Link({ server, connection }, this, turn)
    this.links.set(server, link)
    link.lane.setReading(!session.isOutputBlocked)
    this.watch()
    return link
  }

  /** Subscribes again what lost its place, until all of it has one. */
  private async restore(): Promise<void> {
    const { session, life } = this
    if (this.isRestoring) return
    this.isRestoring = true
    while (!session.isClosed && life === this.life) {
      const isDone = await this.restoreOnce()
      if (isDone) break
      await pause(session)
    }
    this.isRestoring = false
  }

  /** False when something is left without a place. */
  private async restoreOnce(): Promise<boolean> {
    const { session, table, life } = this
    const { missing, isComplete } = findMissing(session, table.all(), this.links.keys())
    let isDone = isComplete
    for (const { server, kind, names } of missing) {
      const link = await this.reach(server)
      if (session.isClosed || life !== this.life) return true
      const left = names.filter((name) => table.find(kind, name) !== undefined)
      if (left.length === 0) continue
      const isThere = link instanceof Link
      const note = (name: string) => isThere && table.find(kind, name)?.links.add(link)
      const outcome = isThere ? await link.change(kind, left, note) : 'lost'
      this.errorOf(outcome)
      isDone &&= outcome === 'done'
    }
    this.endUnused()
    return isDone
  }

  /** What is at all servers follows who they are. */
  private watch(): void {
    this.timer ??= setInterval(() => {
      const version = shardedBackend(this.session.context)?.version ?? -1
      if (version === this.version) return
      this.version = version
      this.leaveOthers()
      void this.restore()
    }, restoreRetryMs).unref()
  }

  /** What is at all servers is at no others: a replica tells of the same keys. */
  private leaveOthers(): void {
    const servers = new Set(this.serversOf(everywhere))
    for (const channel of this.table.all()) {
      if (this.placeOf(channel.kind, channel.name) !== everywhere) continue
      const others = [...channel.links].filter(({ server }) => !servers.has(server))
      if (others.length > 0) void this.dropAt(channel, others)
    }
  }

  private noteCount(): void {
    const { session } = this
    session.state.linkedCount = this.count
    const { output } = session
    if (this.count > 0) {
      this.splicer ??= new Splicer({
        write: (bytes) => output.write(bytes),
        overflow: () => session.onOutputOverflow(),
      })
      output.splicer = this.splicer
    } else if (this.splicer?.isIdle === true || session.isClosed) {
      output.splicer = undefined
      this.splicer = undefined
    }
  }
}

/** Of the name of any command about them, in upper case. */
function kindOf(name: string): ChannelKind {
  const kind = name.replace('UNSUB', 'SUB')
  return channelKinds.find((known) => known === kind) ?? 'SUBSCRIBE'
}

function pause({ context }: Session): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, (restoreRetryMs / 10) * (0.5 + 0.5 * context.random())).unref()
  })
}
