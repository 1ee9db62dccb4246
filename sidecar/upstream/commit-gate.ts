/**
 * Keeps the replies to writes of one connection from its owner until enough replicas have the writes: behind the last
 * write of what is sent together goes a WAIT, and from the first reply to a write on everything that comes is withheld,
 * in order, until the WAIT is answered. Then it is given on at once, or with an error in place of every reply that
 * says that a write was done.
 *
 * It stands between a connection and its owner, which sees the replies to its own commands and nothing else.
 *
 * Invariants: no reply to a write passes before a WAIT that was sent behind it on this connection was answered by enough
 * replicas; replies keep their order; what is withheld is dropped with the connection, so that all its commands count
 * as lost. What cannot be followed ends the connection.
 */
import { assertNever } from '../../common/errors.ts'
import { replyLineBytesMax, withheldBytesMax } from '../../common/limits.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { turnMemory } from '../net/turn-memory.ts'
import { encodeCommand, encodeError } from '../resp/encode.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'
import { CommandFrame } from '../route/command-frame.ts'
import type { ConnectionOwner, ProtocolVersion } from './connection.ts'
import { type WriteKind, writeKindOf } from './commit-kinds.ts'
import { InFlightRing } from './in-flight.ts'
import { waitMark } from './wait-mark.ts'

/** How many replicas have to have a write, and how long they are waited for; may change at any time. */
export interface CommitRule {
  waitReplicas: number
  waitTimeoutMs: number
}

export interface CommitModules {
  readonly rule: Readonly<CommitRule>
  readonly counters: Pick<
    DataPlaneCounters,
    'commits' | 'commitMicros' | 'writesUnconfirmed' | 'commitsTooLarge'
  >
  nowMs(): number
}

/** What becomes of a reply that is owed. */
const Due = {
  /** Passes, unless something before it is withheld. */
  plain: 0,
  write: 1,
  /** As `write`; null says that nothing was done. */
  attempt: 2,
  /** Of a command within a transaction: QUEUED or an error. */
  queued: 3,
  /** To MULTI. */
  begin: 4,
  /** To `waitMark`: nobody gets it. */
  mark: 5,
  commit: 6,
  /** A push, or a reply that is none of ours. */
  aside: 7,
} as const

interface Commit {
  readonly waitReplicas: number
  /** Whether the WAIT counts from the writes only if the mark was made. */
  readonly needsMark: boolean
  readonly sentMs: number
}

const plus = '+'.charCodeAt(0)
const minus = '-'.charCodeAt(0)
const push = '>'.charCodeAt(0)
const queuedBytes = 'QUEUED'.length
const nulls: ReadonlySet<string> = new Set(['$-1\r\n', '*-1\r\n', '_\r\n'])

export class CommitGate implements ConnectionOwner {
  /** Whether replies are being waited for that nothing more should be sent behind, as it would only wait at the server. */
  get isBusy(): boolean {
    return this.commits.length > 0
  }

  private readonly modules: CommitModules
  private readonly protocol: ProtocolVersion
  /** Ends the connection, with all that is owed over it. */
  private readonly end: () => void
  private readonly frame = new CommandFrame()
  private readonly due = new InFlightRing<number>()
  private readonly scanning = newScanning()
  private readonly scanner = new ReplyScanner(this.scanning)
  private readonly commits: Commit[] = []
  private owner: ConnectionOwner | undefined
  private isTransaction = false
  private hasQueuedWrite = false
  private hasQueuedSubscription = false
  /** Replies cannot be told apart any more. */
  private isBlind = false
  private isEnded = false
  /** Of what is being gathered for a commit: whether a write is in it, and one that may have blocked. */
  private hasWrite = false
  private hasBlocked = false
  /** Whether the reply at hand, to a command within a transaction, is a status. */
  private isQueueing = false
  private isMarked = false
  /** What came of a reply that has to be read, and has not ended. */
  private torn = ''
  private withheld: Buffer[] = []
  private withheldBytes = 0
  /** Which replies those are: kind, count, kind, count… */
  private withheldRuns: number[] = []

  constructor(modules: CommitModules, protocol: ProtocolVersion, end: () => void) {
    this.modules = modules
    this.protocol = protocol
    this.end = end
  }

  setOwner(owner: ConnectionOwner | undefined): void {
    this.owner = owner
  }

  // Requests

  /**
   * What is to be sent in place of whole commands: the same, and a WAIT if one of them may write. Undefined if they
   * must not be sent, because nobody could tell whether they were confirmed.
   */
  outgoing(bytes: Buffer): Buffer | undefined {
    const { frame } = this
    for (let at = 0; at < bytes.length; at = frame.end) {
      frame.read(bytes, at, bytes.length)
      if (!this.note()) return undefined
    }
    const request = this.commitRequest()
    if (request === undefined) return bytes
    return turnMemory.concat([bytes, request], bytes.length + request.length)
  }

  /** A command is sent in pieces, of which this is the first. False if it must not be sent. */
  beginLarge(bytes: Buffer): boolean {
    this.frame.read(bytes, 0, bytes.length)
    return this.note()
  }

  /** What is to be sent behind the last piece, if anything. */
  endLarge(): Buffer | undefined {
    return this.commitRequest()
  }

  /** Notes the command in the frame. False if it must not be sent. */
  private note(): boolean {
    const { frame, due } = this
    const kind = writeKindOf(frame)
    if (kind === 'raw') this.isBlind = true
    if (kind === 'raw' || this.isBlind) return ['raw', 'none', 'subscription'].includes(kind)
    if (this.isTransaction) return this.noteQueued(kind)
    switch (kind) {
      case 'none':
      case 'discard':
        due.push(Due.plain, 1)
        break
      case 'write':
        due.push(Due.write, 1)
        this.hasWrite = true
        break
      case 'multi':
        this.isTransaction = frame.argumentCount === 1
        due.push(this.isTransaction ? Due.begin : Due.plain, 1)
        break
      case 'subscription':
        // Without a name it is refused; otherwise its owner sends nothing before it was confirmed or refused.
        if (frame.argumentCount === 1 && !isLeaving(frame)) due.push(Due.plain, 1)
        break
      case 'blocking':
      case 'exec':
        due.push(Due.attempt, 1)
        this.hasWrite = true
        this.hasBlocked ||= kind === 'blocking'
        break
      default:
        assertNever(kind)
    }
    return true
  }

  private noteQueued(kind: WriteKind): boolean {
    const { frame, due } = this
    if (kind === 'exec') {
      const { hasQueuedWrite } = this
      this.isTransaction = false
      this.hasWrite ||= hasQueuedWrite
      due.push(hasQueuedWrite ? Due.attempt : Due.plain, 1)
      this.hasQueuedWrite = false
      if (this.hasQueuedSubscription) return this.blind(hasQueuedWrite)
    } else if (kind === 'discard' && frame.argumentCount === 1) {
      this.isTransaction = false
      this.hasQueuedWrite = false
      this.hasQueuedSubscription = false
      due.push(Due.plain, 1)
    } else {
      this.hasQueuedSubscription ||= kind === 'subscription' && this.protocol === 2
      this.hasQueuedWrite ||= kind === 'write' || kind === 'blocking'
      due.push(Due.queued, 1)
    }
    return true
  }

  /** What EXEC answers to a subscription cannot be told from messages, nor a WAIT be sent behind it. */
  private blind(hasWrite: boolean): boolean {
    this.isBlind = true
    return !hasWrite
  }

  private commitRequest(): Buffer | undefined {
    if (!this.hasWrite || this.isTransaction) return undefined
    const { due, hasBlocked, modules } = this
    const { waitReplicas, waitTimeoutMs } = modules.rule
    this.hasWrite = false
    this.hasBlocked = false
    due.push(Due.mark, 1)
    due.push(Due.commit, 1)
    this.commits.push({ waitReplicas, needsMark: hasBlocked, sentMs: modules.nowMs() })
    const request = encodeCommand(['WAIT', String(waitReplicas), String(waitTimeoutMs)])
    return Buffer.concat([waitMark, request])
  }

  // Replies

  onData(bytes: Buffer): void {
    const end = bytes.length
    for (let start = 0; start < end && this.owner !== undefined && !this.isEnded; ) {
      if (this.isFree) return this.owner.onData(start === 0 ? bytes : bytes.subarray(start))
      start = this.take(bytes, start)
    }
  }

  onDrain(): void {
    this.owner?.onDrain()
  }

  onClosed(): void {
    this.isEnded = true
    this.owner?.onClosed()
  }

  /** Whether what comes is none of its business. */
  private get isFree(): boolean {
    if (this.due.commandCount > 0 || this.scanner.isMidReply) return false
    return this.isBlind || this.protocol === 2
  }

  /** Deals with replies of one kind, or with a push, from `start` on; gives where it stopped. */
  private take(bytes: Buffer, start: number): number {
    const { due, scanner, scanning } = this
    const isBegin = !scanner.isMidReply
    if (isBegin) scanning.countsPushes = bytes[start] === push
    const kind = scanning.countsPushes ? Due.aside : (due.owner ?? Due.aside)
    const isMany = kind === Due.plain || kind === Due.write
    if (!scanner.scan(bytes, start, bytes.length, isMany ? due.count : 1)) {
      this.fail()
      return bytes.length
    }
    const { position, count } = scanner
    const whole = start === 0 && position === bytes.length
    const slice = whole ? bytes : bytes.subarray(start, position)
    if (kind !== Due.aside && count > 0) due.answer(count)
    this.takeSlice(kind, slice, isBegin)
    return position
  }

  private takeSlice(kind: number, slice: Buffer, isBegin: boolean): void {
    const { scanner } = this
    const { count } = scanner
    switch (kind) {
      case Due.write:
      case Due.attempt:
        return this.withhold(kind, count, slice)
      case Due.queued:
        if (isBegin) this.isQueueing = slice[0] === plus
        if (isBegin && !this.isQueueing && slice[0] !== minus) return this.fail()
        // It was not queued but run: nobody waits for its replicas.
        if (count > 0 && this.isQueueing && scanner.statusBytes !== queuedBytes) return this.fail()
        return this.give(Due.plain, count, slice)
      case Due.begin:
        if (isBegin && slice[0] === minus) this.isTransaction = false
        return this.give(Due.plain, count, slice)
      case Due.mark:
        if (isBegin) this.isMarked = slice[0] !== minus
        return
      case Due.commit:
        this.torn += slice.toString('latin1')
        if (count > 0) this.settle()
        return
      default:
        return this.give(kind, count, slice)
    }
  }

  private give(kind: number, count: number, slice: Buffer): void {
    if (this.withheld.length > 0) this.withhold(kind, count, slice)
    else this.owner?.onData(slice)
  }

  private withhold(kind: number, count: number, slice: Buffer): void {
    this.withheldBytes += slice.length
    if (this.withheldBytes > withheldBytesMax) {
      this.modules.counters.commitsTooLarge += 1
      return this.fail()
    }
    this.withheld.push(Buffer.from(slice))
    if (kind !== Due.aside && count > 0) this.withheldRuns.push(kind, count)
  }

  private fail(): void {
    this.isEnded = true
    this.withheld = []
    this.end()
  }

  /** The oldest WAIT was answered. */
  private settle(): void {
    const { withheld, withheldRuns, commits, modules, torn } = this
    const commit = commits.shift()
    if (commit === undefined) return this.fail()
    const counted = Number(/^:(\d+)\r\n$/.exec(torn)?.[1] ?? 0)
    const confirmed = this.isMarked || !commit.needsMark ? counted : 0
    this.torn = ''
    this.withheld = []
    this.withheldRuns = []
    this.withheldBytes = 0
    modules.counters.commits += 1
    modules.counters.commitMicros += Math.round((modules.nowMs() - commit.sentMs) * 1000)
    if (confirmed >= commit.waitReplicas) {
      for (const bytes of withheld) this.owner?.onData(bytes)
    } else {
      const refused = refuse(Buffer.concat(withheld), withheldRuns, { confirmed, ...commit })
      modules.counters.writesUnconfirmed += refused.count
      this.owner?.onData(refused.bytes)
    }
    if (!this.isBusy) this.owner?.onDrain()
  }
}

/** `bytes` with an error in place of each reply that says that a write was done. */
function refuse(
  bytes: Buffer,
  runs: readonly number[],
  { confirmed, waitReplicas }: { readonly confirmed: number; readonly waitReplicas: number },
): { readonly bytes: Buffer; readonly count: number } {
  const error = encodeError(
    `RM_UNCONFIRMED ${confirmed} of ${waitReplicas} replicas confirmed the write in time; it was run and may be lost in a failover`,
  )
  const scanner = new ReplyScanner({ ...newScanning(), countsPushes: true })
  const parts: Buffer[] = []
  let count = 0
  let run = 0
  let left = runs[1] ?? 0
  for (let at = 0; at < bytes.length; at = scanner.position) {
    scanner.scan(bytes, at, bytes.length, 1)
    const reply = bytes.subarray(at, scanner.position)
    const isRefused = reply[0] !== push && isDone(runs[run] ?? Due.plain, reply)
    parts.push(isRefused ? error : reply)
    if (isRefused) count += 1
    if (reply[0] === push) continue
    left -= 1
    if (left > 0) continue
    run += 2
    left = runs[run + 1] ?? 0
  }
  return { bytes: Buffer.concat(parts), count }
}

/** Whether a reply says that something was, or may have been, written. */
function isDone(kind: number, reply: Buffer): boolean {
  if (kind === Due.write) return reply[0] !== minus
  return kind === Due.attempt && reply[0] !== minus && !nulls.has(reply.toString('latin1', 0, 6))
}

function isLeaving(frame: CommandFrame): boolean {
  return /^.?unsub/i.test(frame.argument(0).toString('latin1', 0, 'punsub'.length))
}

function newScanning() {
  return { allowsPushes: true, countsPushes: false, lineBytesMax: replyLineBytesMax }
}
