/**
 * What lies between replies and their client: CLIENT REPLY, which the sidecar sees to itself so that every command
 * is answered for, and replies that are to be changed on their way. Most sessions have neither (`isPlain`).
 */
import { rewrittenReplyBytesMax } from '../../common/limits.ts'

/** `skipNext`: the next command is not answered; `skipping`: that command has been sent. */
type Mode = 'on' | 'off' | 'skipNext' | 'skipping'

const nothing = Buffer.alloc(0)
const minus = '-'.charCodeAt(0)

/** What becomes of a reply that is looked at. Replies that are no errors pass as they come. */
export interface Expected {
  /** Whether the client is to have it. */
  readonly isWanted: boolean
  /** Given each whole error line; what the client gets for it, nothing if it is empty. */
  onError?(line: Buffer): Buffer
  /** It has ended, and was no error. */
  onDone?(): void
}

export class ReplyPath {
  /** Whether replies pass as they are. */
  isPlain = true
  private mode: Mode = 'on'
  private rewrite: ((reply: string) => string) | undefined
  private gathered: Buffer[] = []
  private gatheredBytes = 0
  private expected: Expected[] = []
  /** Of the reply at hand that is looked at; undefined between replies. */
  private verdict: 'pass' | 'drop' | 'read' | undefined

  /** CLIENT REPLY ON. */
  turnOn(): void {
    this.set('on')
  }

  /** CLIENT REPLY OFF: messages still pass. */
  turnOff(): void {
    this.set('off')
  }

  /** CLIENT REPLY SKIP. */
  skipNext(): void {
    if (this.mode !== 'off') this.set('skipNext')
  }

  /** Commands that may be sent now, of `room`, `inFlight` being unanswered. */
  limit(room: number, inFlight: number): number {
    if (this.mode === 'skipping') {
      if (inFlight > 0) return 0
      this.set('on')
    }
    return this.mode === 'skipNext' ? Math.min(1, room) : room
  }

  noteSent(): void {
    if (this.mode === 'skipNext') this.set('skipping')
  }

  /** What was sent is going to be sent again: it is not answered then either. */
  noteUnsent(): void {
    if (this.mode === 'skipping') this.set('skipNext')
  }

  /** Whether an answer of the sidecar’s own reaches the client. */
  passesOwn(): boolean {
    const isSilent = this.mode !== 'on'
    if (this.mode === 'skipNext') this.set('on')
    return !isSilent
  }

  /** Has the next reply changed when it is whole; one that is too large passes as it is. Latin1. */
  rewriteNext(rewrite: (reply: string) => string): void {
    this.rewrite = rewrite
    this.isPlain = false
  }

  /** Has the reply looked at to a command that is sent now. Every reply owed before it is looked at too. */
  expect(expected: Expected): void {
    this.expected.push(expected)
    this.isPlain = false
  }

  /** What the client gets for these bytes of replies, of which `replyCount` ended in them. */
  pass(bytes: Buffer, replyCount: number): Buffer {
    const isLookedAt = this.expected.length > 0
    const passed = isLookedAt ? this.look(bytes, replyCount) : bytes
    // What was not for the client is not what is to be changed.
    if (this.rewrite === undefined || (isLookedAt && passed.length === 0)) return this.shown(passed)
    return this.shown(this.gather(passed, replyCount, this.rewrite))
  }

  private shown(passed: Buffer): Buffer {
    return this.mode === 'on' ? passed : nothing
  }

  /** The reply that is to be changed, when all of it is there. */
  private gather(bytes: Buffer, replyCount: number, rewrite: (reply: string) => string): Buffer {
    this.gathered.push(Buffer.from(bytes))
    this.gatheredBytes += bytes.length
    const isTooLarge = this.gatheredBytes > rewrittenReplyBytesMax
    if (replyCount === 0 && !isTooLarge) return nothing
    const whole = Buffer.concat(this.gathered)
    this.endRewriting()
    return isTooLarge ? whole : Buffer.from(rewrite(whole.toString('latin1')), 'latin1')
  }

  /** Bytes of one reply. */
  private look(bytes: Buffer, replyCount: number): Buffer {
    const [expected] = this.expected
    if (expected === undefined) return bytes
    const other = expected.isWanted ? 'pass' : 'drop'
    this.verdict ??= bytes[0] === minus ? 'read' : other
    const { verdict } = this
    if (verdict === 'read') this.gathered.push(Buffer.from(bytes))
    if (replyCount === 0) return verdict === 'pass' ? bytes : nothing
    this.expected.shift()
    this.verdict = undefined
    if (verdict !== 'read') {
      expected.onDone?.()
      this.set(this.mode)
      return verdict === 'pass' ? bytes : nothing
    }
    const line = Buffer.concat(this.gathered)
    this.gathered = []
    const passed = expected.onError?.(line) ?? line
    this.set(this.mode)
    return expected.isWanted ? passed : nothing
  }

  /** What was expected will not come: how many replies these are, and how many of them the client is owed. */
  expectNothing(): { readonly count: number; readonly wantedCount: number } {
    const { expected } = this
    this.expected = []
    this.verdict = undefined
    this.gathered = []
    this.set(this.mode)
    const wantedCount = expected.filter(({ isWanted }) => isWanted).length
    return { count: expected.length, wantedCount }
  }

  clear(): void {
    this.expectNothing()
    this.endRewriting()
    this.set('on')
  }

  endRewriting(): void {
    this.rewrite = undefined
    this.gathered = []
    this.gatheredBytes = 0
    this.set(this.mode)
  }

  private set(mode: Mode): void {
    this.mode = mode
    this.isPlain = mode === 'on' && this.rewrite === undefined && this.expected.length === 0
  }
}
