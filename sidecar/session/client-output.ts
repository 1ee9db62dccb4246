/**
 * The writing side of a client: what it is owed goes out once per turn; when it does not read, the session is
 * blocked at a soft bound and the client is cut at a hard one.
 */
import type { Socket } from 'node:net'
import { clientOutputCutBytes } from '../../common/limits.ts'
import { Outbox } from '../net/outbox.ts'
import type { Flushable, Turn } from '../net/turn.ts'
import { SocketWriter } from '../net/writer.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import type { Splicer } from '../pubsub/splicer.ts'

export interface ClientOutputOwner {
  /** The client left more unread than it may, or has read all of it again. */
  onOutputBlocked(isBlocked: boolean): void
  /** The client left so much unread that it is not worth keeping. */
  onOutputOverflow(): void
}

export class ClientOutput implements Flushable {
  isBlocked = false
  /** Set while messages come over several connections. */
  splicer: Splicer | undefined
  /** Is told of all that the client gets, while messages are logged. */
  tap: ((bytes: Buffer) => void) | undefined
  private readonly socket: Socket
  private readonly writer: SocketWriter
  private readonly outbox: Outbox
  private readonly owner: ClientOutputOwner
  private readonly counters: DataPlaneCounters
  private readonly bytesMax: () => number

  constructor(
    socket: Socket,
    owner: ClientOutputOwner,
    modules: { readonly turn: Turn; readonly counters: DataPlaneCounters },
    bytesMax: () => number,
  ) {
    this.socket = socket
    this.owner = owner
    this.counters = modules.counters
    this.bytesMax = bytesMax
    this.writer = new SocketWriter(socket)
    this.writer.onDrain = () => this.unblock()
    this.outbox = new Outbox(this.writer, () => modules.turn.addClient(this))
  }

  /** Bytes that the client has not taken. */
  get backlogBytes(): number {
    return this.outbox.backlogBytes
  }

  /** Bytes of replies and of what else is the client’s. */
  push(bytes: Buffer): void {
    if (this.splicer === undefined) this.write(bytes)
    else this.splicer.passReplies(bytes)
  }

  /** What the client gets next. */
  write(bytes: Buffer): void {
    this.counters.clientBytesWritten += bytes.length
    this.tap?.(bytes)
    this.outbox.push(bytes)
    if (this.outbox.backlogBytes > this.bytesMax()) this.flush()
  }

  /** Writes what was gathered in this turn and looks how much of it the client left. */
  flush(): void {
    this.outbox.flush()
    const { backlogBytes, isFull } = this.writer
    if (backlogBytes === 0) return
    if (backlogBytes > clientOutputCutBytes) this.owner.onOutputOverflow()
    else if (!this.isBlocked && isFull && backlogBytes > this.bytesMax()) {
      this.isBlocked = true
      this.owner.onOutputBlocked(true)
    }
  }

  /** Writes all that was pushed and ends the connection when it is out; the client’s own end is read after that. */
  end(): void {
    this.outbox.flush()
    this.socket.end(() => this.socket.resume())
  }

  private unblock(): void {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.owner.onOutputBlocked(false)
  }
}
