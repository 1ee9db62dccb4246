/**
 * Puts messages from several connections between the replies of one client, whole frame by whole frame: what comes in
 * the middle of another's frame waits for its end.
 */
import { clientOutputCutBytes, replyLineBytesMax } from '../../common/limits.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'

export interface SplicerOutput {
  /** Goes to the client. */
  write(bytes: Buffer): void
  /** More waits than is worth to be kept. */
  overflow(): void
}

interface Waiting {
  readonly source: object
  readonly bytes: Buffer
  readonly isEnd: boolean
}

export class Splicer {
  private readonly output: SplicerOutput
  private readonly replies = new ReplyScanner({
    allowsPushes: true,
    countsPushes: true,
    lineBytesMax: replyLineBytesMax,
  })
  /** In the middle of whose frame the client is. */
  private current: object | undefined
  private waiting: Waiting[] = []
  private waitingBytes = 0

  constructor(output: SplicerOutput) {
    this.output = output
  }

  /** Whether nothing is held back. */
  get isIdle(): boolean {
    return this.current === undefined && this.waiting.length === 0
  }

  /** Whether the client is in the middle of somebody’s frame that is no reply. */
  get isMidFrame(): boolean {
    return this.current !== undefined && this.current !== this
  }

  /** Whether the client is in the middle of a frame of `source`. */
  isMidFrameOf(source: object): boolean {
    return (
      this.current === source || this.waiting.some((one) => one.source === source && !one.isEnd)
    )
  }

  /** Bytes of replies, which may end anywhere. */
  passReplies(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (!this.replies.scan(bytes, 0, bytes.length, Number.POSITIVE_INFINITY)) {
      throw new Error('the sidecar gave a client what is no reply')
    }
    this.pass(this, bytes, !this.replies.isMidReply)
  }

  /** Bytes of one frame of `source`. */
  pass(source: object, bytes: Buffer, isEnd: boolean): void {
    const isFree = this.current === undefined && this.waiting.length === 0
    if (!isFree && this.current !== source) {
      // What was read may be gone after this turn.
      this.waiting.push({ source, bytes: Buffer.from(bytes), isEnd })
      this.waitingBytes += bytes.length
      if (this.waitingBytes > clientOutputCutBytes) this.output.overflow()
      return
    }
    this.write({ source, bytes, isEnd })
    if (isEnd) this.goOn()
  }

  private write({ source, bytes, isEnd }: Waiting): void {
    this.current = isEnd ? undefined : source
    this.output.write(bytes)
  }

  /** Writes what waited, as far as frames are whole or nobody else is in the middle of one. */
  private goOn(): void {
    while (this.current === undefined && this.waiting.length > 0) {
      const source = this.waiting[0]?.source
      const rest: Waiting[] = []
      let isOver = false
      for (const one of this.waiting) {
        if (one.source !== source || isOver) rest.push(one)
        else {
          this.waitingBytes -= one.bytes.length
          this.write(one)
          isOver = one.isEnd
        }
      }
      this.waiting = rest
    }
  }
}
