/**
 * A connection to one node that asks what it knows of its cluster, and does nothing else. Kept between questions as
 * long as its owner likes; opened again when it failed.
 */
import { clusterAnswerBytesMax, replyLineBytesMax } from '../../../common/limits.ts'
import { newCounters } from '../../data-plane.ts'
import { decodeReply } from '../../resp/decode.ts'
import { encodeCommand } from '../../resp/encode.ts'
import { ReplyScanner } from '../../resp/reply-scanner.ts'
import type { UpstreamAccess } from '../../upstream/access.ts'
import { type Target, connectServer } from '../../upstream/connect.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import { type Answer, readAnswer } from './answer.ts'

const questions = Buffer.concat([
  encodeCommand(['CLUSTER', 'NODES']),
  encodeCommand(['CLUSTER', 'SHARDS']),
])
const questionCount = 2

export class NodeLink {
  readonly target: Target
  isBusy = false
  private readonly access: UpstreamAccess
  private readonly closing = new AbortController()
  private connection: UpstreamConnection | undefined

  constructor(target: Target, access: UpstreamAccess) {
    this.target = target
    this.access = access
  }

  /** `isSeed`: whether the configuration names the place. Undefined if it cannot be asked, or does not answer within the time for a connection. Never rejects. */
  async ask(isSeed: boolean): Promise<Answer | undefined> {
    this.isBusy = true
    const patience = AbortSignal.timeout(this.target.connectTimeoutMs)
    const signal = AbortSignal.any([patience, this.closing.signal])
    try {
      this.connection ??= await this.connect(signal)
      const { server, tls } = this.target
      const bytes = await gather(this.connection, signal)
      const [list, shards] = bytes.map(decodeReply)
      return readAnswer({ asked: server, isSeed, hasTls: tls !== undefined }, list, shards)
    } catch {
      // Why does not matter: who is not heard has no say. What clients need is told by their own connections.
      this.drop()
      return undefined
    } finally {
      this.isBusy = false
    }
  }

  close(): void {
    this.closing.abort()
    this.drop()
  }

  private drop(): void {
    this.connection?.destroy()
    this.connection = undefined
  }

  private async connect(signal: AbortSignal): Promise<UpstreamConnection> {
    const modules = { access: this.access, counters: newCounters(), heard: { bytes: 0 } }
    const { connection } = await connectServer(this.target, 2, modules, signal)
    connection.socket.once('close', () => {
      if (this.connection === connection) this.connection = undefined
    })
    return connection
  }
}

/** Sends the questions and waits for all replies, whole. Rejects when they do not come or are too large. */
async function gather(connection: UpstreamConnection, signal: AbortSignal): Promise<Buffer[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer[]>()
  const scanner = new ReplyScanner({ allowsPushes: false, lineBytesMax: replyLineBytesMax })
  const replies: Buffer[] = []
  let pieces: Buffer[] = []
  let byteCount = 0
  const fail = () => reject(new Error('a node did not answer as it should'))
  const take = (bytes: Buffer) => {
    byteCount += bytes.length
    let start = 0
    while (start < bytes.length) {
      const isFine = scanner.scan(bytes, start, bytes.length, 1)
      if (!isFine || byteCount > clusterAnswerBytesMax || replies.length === questionCount) {
        return fail()
      }
      pieces.push(Buffer.from(bytes.subarray(start, scanner.position)))
      start = scanner.position
      if (scanner.count === 0) return
      replies.push(Buffer.concat(pieces))
      pieces = []
    }
    if (replies.length === questionCount) resolve(replies)
  }
  connection.setOwner({ onData: take, onDrain: () => {}, onClosed: fail })
  signal.addEventListener('abort', fail)
  try {
    if (signal.aborted) fail()
    connection.writer.write(questions)
    return await promise
  } finally {
    signal.removeEventListener('abort', fail)
    connection.setOwner(undefined)
  }
}
