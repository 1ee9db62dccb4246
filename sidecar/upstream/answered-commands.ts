/**
 * Which commands are answered by the replies that come over one connection, once its server was found to refuse some of
 * them. Nothing is noted for it before: the commands are taken from those that were sent last.
 */
import type { SentCommands, SentLog } from './sent-log.ts'

export class AnsweredCommands {
  isOn = false
  /** Those that the last replies answered; undefined if they are not known. */
  bytes: Buffer | undefined
  private sent: SentCommands | undefined

  begin(): void {
    this.isOn = true
  }

  /** The next `count` of the `owedCount` that were sent last are answered. */
  note(log: SentLog, owedCount: number, count: number): void {
    this.sent ??= log.last(owedCount)
    this.bytes = this.sent.take(count)
    if (owedCount > count) return
    this.isOn = false
    this.sent = undefined
  }

  /** More is sent behind them. */
  renew(): void {
    this.sent = undefined
  }

  clear(): void {
    this.isOn = false
    this.bytes = undefined
    this.sent = undefined
  }
}
