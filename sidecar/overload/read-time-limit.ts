/**
 * The longest time that a command may take, blocking ones too: the client of a longer one is closed. Nothing is noted
 * per command: at intervals it is looked how many commands each client has sent and how many were answered, which tells
 * whether the oldest that is owed was sent before an earlier look. So a client is closed between the limit and one look
 * more.
 */
import { readTimeLooks } from '../../common/limits.ts'

/** A client as far as its commands are concerned. */
export interface Timed {
  /** Commands that were sent and not answered. */
  readonly inFlight: number
  /** Commands that ever were in flight and are no more. */
  readonly answeredCount: number
  /** A command of which a part is still to come from the client: its time has not begun. */
  readonly large: unknown
  cutFor(reason: 'clientsCutTimeLimit'): void
}

/** At `atMs` the client had sent `sentCount` commands. */
interface Look {
  readonly atMs: number
  readonly sentCount: number
}

export class ReadTimeLimit {
  private readonly looks = new Map<Timed, Look[]>()
  private lastLookMs = Number.NEGATIVE_INFINITY

  /** Called at intervals, at least `readTimeLooks` times per limit where the limit shall be kept exactly. 0: no limit. */
  tick(nowMs: number, limitMs: number, clients: Iterable<Timed>): void {
    if (limitMs === 0) {
      this.looks.clear()
      return
    }
    if (nowMs - this.lastLookMs < limitMs / readTimeLooks) return
    this.lastLookMs = nowMs
    const before = new Map(this.looks)
    this.looks.clear()
    for (const client of clients) {
      if (client.inFlight === 0 || client.large !== undefined) continue
      const { answeredCount, inFlight } = client
      // What was sent until then has been answered: the look says nothing of what is owed now.
      const owed = (before.get(client) ?? []).filter((look) => look.sentCount > answeredCount)
      const [oldest] = owed
      if (oldest !== undefined && nowMs - oldest.atMs >= limitMs) {
        client.cutFor('clientsCutTimeLimit')
        continue
      }
      const sentCount = answeredCount + inFlight
      if (owed.at(-1)?.sentCount !== sentCount) owed.push({ atMs: nowMs, sentCount })
      this.looks.set(client, owed)
    }
  }
}
