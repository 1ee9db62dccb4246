/**
 * One connection to a server, after or during its handshake. Questions of the sidecar itself (`ask`) and the
 * traffic of an owner share it in order; a reply that nobody is owed ends it.
 */
import type { Socket } from 'node:net'
import { UpstreamError } from '../../common/errors.ts'
import { replyLineBytesMax, upstreamAnswerBytesMax } from '../../common/limits.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import type { CommitGate } from './commit-gate.ts'
import type { Heard } from './connect.ts'
import type { Hearing } from './hearing.ts'
import { readBytes } from '../net/reader.ts'
import { ownBytes } from '../net/turn-memory.ts'
import { SocketWriter } from '../net/writer.ts'
import { type Reply, decodeReply } from '../resp/decode.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'

export type ProtocolVersion = 2 | 3

export interface ConnectionOwner {
  /** Bytes of replies, the owner’s to keep unless it reads in place. */
  onData(bytes: Buffer): void
  onDrain(): void
  /** The connection has ended; called once, never from within a call of the owner. */
  onClosed(): void
}

export interface ReadMeters {
  readonly counters: DataPlaneCounters
  readonly heard: Heard
}

interface Question {
  replyCount: number
  readonly replies: Reply[]
  readonly resolve: (replies: readonly Reply[]) => void
  readonly reject: (error: Error) => void
  /** Whether the first reply lets the connection go on. */
  readonly isFit?: (reply: Reply) => boolean
}

export class UpstreamConnection {
  readonly protocol: ProtocolVersion
  readonly socket: Socket
  readonly writer: SocketWriter
  isClosed = false
  /** What the server calls it; 0 until it has said so. */
  serverId = 0
  /** What its replies are counted in. */
  heard: Heard
  /** Set once the other end is known to be the recorded process. */
  hearing: Hearing | undefined
  /** Set before its first owner, if replies to writes are withheld until replicas have them. */
  gate: CommitGate | undefined
  private owner: ConnectionOwner | undefined
  private isReadInPlace = false
  private readonly counters: DataPlaneCounters
  private readonly questions: Question[] = []
  private answer: Buffer = Buffer.alloc(0)

  constructor(socket: Socket, protocol: ProtocolVersion, { counters, heard }: ReadMeters) {
    this.socket = socket
    this.writer = new SocketWriter(socket)
    this.protocol = protocol
    this.counters = counters
    this.heard = heard
    socket.on('data', this.receive)
    this.writer.onDrain = () => this.owner?.onDrain()
    // The cause of an end is of no use here: what matters is that replies will not come.
    socket.on('error', () => {})
    socket.on('close', () => this.close())
    socket.on('end', () => socket.destroy())
  }

  /** Hands all later replies to `owner`, or to nobody. */
  setOwner(owner: ConnectionOwner | undefined): void {
    this.gate?.setOwner(owner)
    this.owner = owner && (this.gate ?? owner)
    if (owner !== undefined && this.isClosed) process.nextTick(() => owner.onClosed())
  }

  /**
   * Sends a request of the sidecar’s own and gives its replies, errors among them.
   * Only while no reply is owed to the owner. @throws UpstreamError RM_UPSTREAM_LOST
   */
  ask(request: Buffer, replyCount: number): Promise<readonly Reply[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Reply[]>()
    if (this.isClosed) reject(lost())
    else this.send(request, { replyCount, replies: [], resolve, reject })
    return promise
  }

  /**
   * Asks for one reply and ends the connection unless it `isFit`, before anything that came behind it is passed on: so
   * commands may follow at once. Under the same condition as `ask`.
   */
  demand(request: Buffer, isFit: (reply: Reply) => boolean): void {
    if (this.isClosed) return
    this.send(request, { replyCount: 1, replies: [], resolve() {}, reject() {}, isFit })
  }

  private send(request: Buffer, question: Question): void {
    this.questions.push(question)
    this.countWritten(request.length)
    this.writer.write(request)
  }

  /** False: nothing may be sent to the server any more, and this connection has been ended. */
  mayWrite(): boolean {
    return this.hearing?.gate === undefined || this.hearing.gate()
  }

  countWritten(byteCount: number): void {
    this.counters.upstreamBytesWritten += byteCount
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** From now on all owners are given bytes that are valid during the call only. */
  readInPlace(): void {
    if (this.isClosed || this.isReadInPlace) return
    this.isReadInPlace = true
    this.socket.off('data', this.receive)
    readBytes(this.socket, this.receive)
  }

  private readonly receive = (chunk: Buffer): void => {
    this.counters.upstreamBytesRead += chunk.length
    this.heard.bytes += chunk.length
    if (this.hearing !== undefined && !this.hearing.take(chunk.length)) return
    if (this.questions.length > 0) this.receiveAnswer(chunk)
    else if (this.owner !== undefined) this.owner.onData(chunk)
    else this.destroy()
  }

  private receiveAnswer(chunk: Buffer): void {
    const bytes = this.answer.length === 0 ? chunk : Buffer.concat([this.answer, chunk])
    let start = 0
    for (;;) {
      const question = this.questions[0]
      if (question === undefined) break
      const scanner = new ReplyScanner(answerScanner)
      if (!scanner.scan(bytes, start, bytes.length, 1)) return this.destroy()
      if (scanner.count === 0) break
      if (bytes[start] === push) {
        this.receiveRest(bytes.subarray(start, scanner.position))
        if (this.isClosed || this.questions[0] !== question) return
        start = scanner.position
        continue
      }
      const reply = decodeReply(bytes.subarray(start, scanner.position))
      if (reply === undefined) return this.destroy()
      start = scanner.position
      if (question.isFit?.(reply) === false) return this.destroy()
      question.replies.push(reply)
      if (question.replies.length < question.replyCount) continue
      this.questions.shift()
      question.resolve(question.replies)
    }
    const rest = bytes.subarray(start)
    this.answer = this.questions.length > 0 ? ownBytes(rest) : Buffer.alloc(0)
    if (rest.length === 0) return
    if (this.questions.length > 0 && rest.length > upstreamAnswerBytesMax) this.destroy()
    else if (this.questions.length === 0) this.receiveRest(rest)
  }

  private receiveRest(rest: Buffer): void {
    if (this.owner === undefined) this.destroy()
    else this.owner.onData(rest)
  }

  private close(): void {
    if (this.isClosed) return
    this.isClosed = true
    for (const question of this.questions.splice(0)) question.reject(lost())
    this.owner?.onClosed()
  }
}

const push = '>'.charCodeAt(0)
/** A push to the owner may come before the answer. */
const answerScanner = {
  allowsPushes: true,
  countsPushes: true,
  lineBytesMax: replyLineBytesMax,
}

function lost(): UpstreamError {
  return new UpstreamError('RM_UPSTREAM_LOST', 'the connection to the server ended', {
    retryable: true,
  })
}
