/**
 * What lies between replies and their client: CLIENT REPLY, which the sidecar sees to itself so that every command
 * is answered for, and replies that are to be changed on their way. Most sessions have neither (`isPlain`).
 */
import { rewrittenReplyBytesMax } from '../../common/limits.ts'

/** `skipNext`: the next command is not answered; `skipping`: that command has been sent. */
type Mode = 'on' | 'off' | 'skipNext' | 'skipping'

const nothing = Buffer.alloc(0)

export class ReplyPath {
  /** Whether replies pass as they are. */
  isPlain = true
  private mode: Mode = 'on'
  private rewrite: ((reply: string) => string) | undefined
  private gathered: Buffer[] = []
  private gatheredBytes = 0

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

  /** What the client gets for these bytes of replies, of which `replyCount` ended in them. */
  pass(bytes: Buffer, replyCount: number): Buffer {
    const { rewrite } = this
    let passed = bytes
    if (rewrite !== undefined) {
      this.gathered.push(Buffer.from(bytes))
      this.gatheredBytes += bytes.length
      const isTooLarge = this.gatheredBytes > rewrittenReplyBytesMax
      if (replyCount === 0 && !isTooLarge) return nothing
      passed = Buffer.concat(this.gathered)
      if (!isTooLarge) passed = Buffer.from(rewrite(passed.toString('latin1')), 'latin1')
      this.endRewriting()
    }
    return this.mode === 'on' ? passed : nothing
  }

  clear(): void {
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
    this.isPlain = mode === 'on' && this.rewrite === undefined
  }
}
