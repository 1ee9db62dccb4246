/**
 * Tells apart what comes over the connection of a client that is owed more than replies: its replies, messages
 * that no request asked for, and the confirmations of its subscriptions. RESP3 marks the last two as pushes; in
 * RESP2 they are arrays, known by their first word, and only a subscriber's connection may be read that way.
 *
 * Replies and messages are passed on as they come, in parts if need be; a confirmation is gathered, so that it can
 * be read whole.
 */
import { confirmationBytesMax, replyLineBytesMax } from '../../common/limits.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'

/** `pushes`: RESP3, `arrays`: a subscriber in RESP2, `none`: nothing has to be told apart. */
export type Sorting = 'none' | 'pushes' | 'arrays'

export interface FrameTaker {
  /** Bytes of replies, of which `replyCount`, 0 or 1, ended in them. */
  onReplyFrame(bytes: Buffer, replyCount: number): void
  /** Bytes of a message, which ends with them or goes on. */
  onMessageFrame(bytes: Buffer, isEnd: boolean): void
  /** A whole confirmation. */
  onConfirmationFrame(frame: Buffer): void
}

type FrameKind = 'reply' | 'message' | 'confirmation'

export class FrameSorter {
  private readonly taker: FrameTaker
  private readonly scanner = new ReplyScanner({
    allowsPushes: true,
    countsPushes: true,
    lineBytesMax: replyLineBytesMax,
  })
  private kind: FrameKind | undefined
  private gathered: Buffer = none

  constructor(taker: FrameTaker) {
    this.taker = taker
  }

  /** Whether a frame has begun and not ended. */
  get isMidFrame(): boolean {
    return this.scanner.isMidReply
  }

  /**
   * False when the bytes are malformed, or a confirmation is larger than any that is asked for. How to tell frames apart
   * may change between two of them.
   */
  receive(bytes: Buffer, lane: { readonly sorting: Sorting }): boolean {
    for (let at = 0; at < bytes.length; at = this.scanner.position) {
      if (!this.scanner.scan(bytes, at, bytes.length, 1)) return false
      const slice = bytes.subarray(at, this.scanner.position)
      if (!this.take(slice, this.scanner.count === 1, lane.sorting)) return false
    }
    return true
  }

  private take(slice: Buffer, isEnd: boolean, sorting: Sorting): boolean {
    let bytes = slice
    if (this.kind === undefined || this.kind === 'confirmation') {
      bytes = this.gathered.length === 0 ? slice : Buffer.concat([this.gathered, slice])
      this.kind ??= kindOf(bytes, isEnd, sorting)
      const isHeld = this.kind === undefined || (this.kind === 'confirmation' && !isEnd)
      // What was read may be gone after this turn.
      this.gathered = isHeld ? Buffer.from(bytes) : none
      if (isHeld) return bytes.length <= confirmationBytesMax
    }
    const { kind } = this
    if (isEnd) this.kind = undefined
    if (kind === 'confirmation') this.taker.onConfirmationFrame(bytes)
    else if (kind === 'message') this.taker.onMessageFrame(bytes, isEnd)
    else this.taker.onReplyFrame(bytes, isEnd ? 1 : 0)
    return true
  }
}

const none = Buffer.alloc(0)
const push = '>'.charCodeAt(0)
const array = '*'.charCodeAt(0)
const confirmations = ['subscribe', 'psubscribe', 'ssubscribe'].flatMap((word) => [
  word,
  word.replace('sub', 'unsub'),
])
const messages = ['message', 'pmessage', 'smessage']
/** Of a frame up to the end of its first word: what every word that matters fits into. */
const headBytesMax = '>3\r\n$12\r\npunsubscribe\r\n'.length

/** Undefined while too little of the frame has come. */
function kindOf(bytes: Buffer, isEnd: boolean, sorting: Sorting): FrameKind | undefined {
  const type = bytes[0]
  const isRead = type === push || (type === array && sorting === 'arrays')
  if (!isRead) return 'reply'
  const head = bytes.toString('latin1', 0, headBytesMax)
  const word = /^.[34]\r\n\$\d+\r\n([a-z]+)\r\n/.exec(head)?.[1] ?? ''
  if (confirmations.includes(word)) return 'confirmation'
  if (messages.includes(word)) return 'message'
  if (!isEnd && bytes.length < headBytesMax) return undefined
  return type === push ? 'message' : 'reply'
}
