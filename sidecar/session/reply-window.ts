/**
 * How many commands of a client may be in flight, and whether its replies are large.
 *
 * The size of a reply is known only when it comes, and by then it comes to us whether its client reads or not. So
 * the number of commands sent ahead starts at one and doubles while the replies turn out to be small: what can be
 * owed stays near what may be left unread, whoever asks for a thousand large values at once.
 */
import {
  clientWindowMax,
  largeReplyBytesMin,
  repliesOfNewcomers,
  smallRepliesToReturn,
} from '../../common/limits.ts'

export class ReplyWindow {
  /** Commands that may be in flight. */
  size = 1
  /** Whether this client’s replies belong on a connection of its own. */
  isLarge = false
  /** Replies that have yet to come until it is known what this client asks for. */
  private unknownCount = repliesOfNewcomers
  private bytesSinceReply = 0
  private estimateBytes = 0
  private smallCount = 0

  /** Whether any reply may turn out to be large. */
  get isNewcomer(): boolean {
    return this.unknownCount > 0
  }

  /** Notes reply bytes in which `replyCount` replies ended. `wasFull`: more would have been sent. */
  measure(byteCount: number, replyCount: number, wasFull: boolean, outputBytesMax: number): void {
    this.bytesSinceReply += byteCount
    if (replyCount === 0) {
      if (this.bytesSinceReply >= largeReplyBytesMin) this.noteLarge()
      return
    }
    if (this.unknownCount > 0) this.unknownCount -= replyCount
    const average = this.bytesSinceReply / replyCount
    this.bytesSinceReply = 0
    if (average >= largeReplyBytesMin) this.noteLarge()
    else if (this.isLarge) this.noteSmall(replyCount)
    this.estimateBytes =
      average > this.estimateBytes ? average : (this.estimateBytes * 7 + average) / 8
    const fitting = Math.max(1, Math.floor(outputBytesMax / (this.estimateBytes + 1)))
    const sizeMax = Math.min(clientWindowMax, fitting)
    if (wasFull || this.size > sizeMax) this.size = Math.min(2 * this.size, sizeMax)
  }

  private noteLarge(): void {
    this.isLarge = true
    this.smallCount = 0
  }

  private noteSmall(replyCount: number): void {
    this.smallCount += replyCount
    if (this.smallCount >= smallRepliesToReturn) this.isLarge = false
  }
}
