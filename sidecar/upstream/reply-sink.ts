import type { ReplyScanner } from '../resp/reply-scanner.ts'

/** What a connection needs of the client whose commands it carries. */
export interface ReplySink {
  /** Whether it left more of its replies unread than it may. */
  readonly isOutputBlocked: boolean
  /**
   * Bytes of its replies, of which `replyCount` have ended in them. They may end within a reply. `scanner` has just
   * passed over them.
   */
  deliver(bytes: Buffer, replyCount: number, scanner: ReplyScanner): void
  /**
   * `count` commands that were sent will not be answered; `isMidReply`: a part of the first reply was delivered;
   * `sent`: the commands, if they are still known.
   */
  lose(count: number, isMidReply: boolean, sent?: Buffer): void
  /** Commands that were accepted and not sent: they are the client’s to place again, before all later ones. */
  giveBack(bytes: Buffer, count: number): void
  /** It does not read and others wait for replies behind its own: it is to be closed. */
  cut(): void
}

/** Stands for a client that is gone: what it was owed is read and dropped. */
export const nobody: ReplySink = {
  isOutputBlocked: false,
  deliver() {},
  lose() {},
  giveBack() {},
  cut() {},
}
