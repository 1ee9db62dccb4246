/** A replica as one process of the sidecar knows it: the way to it, what was learnt of it, and what that is worth. */
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { type LagBounds, type Learnt, type PrimaryState, type Verdict, judge } from './fitness.ts'
import type { PrimaryHistory } from './primary-history.ts'

/** Weight of the newest of the round trips in their smoothed time. */
const newestShare = 0.25

const nothingKnown: Verdict = { untilMs: Number.NEGATIVE_INFINITY, reason: 'unknown' }

export interface Question {
  readonly askedAtMs: number
  readonly generation: number
}

export class Replica {
  readonly address: ServerAddress
  readonly server: ServerConnections
  zone: string | undefined
  learnt: Learnt | undefined
  freshAsOfMs = Number.NEGATIVE_INFINITY
  latencyMs: number | undefined
  verdict = nothingKnown
  private question: Question | undefined
  /** Rises when the connections end: what was learnt before is of a process that may be gone. */
  private generation = 0

  constructor(address: ServerAddress, server: ServerConnections) {
    this.address = address
    this.server = server
  }

  /** Since when it owes an answer. */
  get askedAtMs(): number | undefined {
    return this.question?.askedAtMs
  }

  get isOwing(): boolean {
    return this.question !== undefined || this.server.inFlightCommands > 0
  }

  /** Whether a client that was answered a write at `sinceMs`, or later in the same moment, may read from it. */
  serves(nowMs: number, sinceMs: number): boolean {
    const { verdict, server } = this
    return (
      nowMs < verdict.untilMs &&
      this.freshAsOfMs > sinceMs &&
      server.view === 'ok' &&
      !server.isStalled
    )
  }

  asked(nowMs: number): Question {
    const question = { askedAtMs: nowMs, generation: this.generation }
    this.question = question
    return question
  }

  /** The answer to a question, undefined if there was none; nothing is learnt if the connections ended meanwhile. */
  answered(
    question: Question,
    answer: { readonly learnt: Learnt; readonly atMs: number } | undefined,
    history: PrimaryHistory,
  ): void {
    if (this.question === question) this.question = undefined
    if (question.generation !== this.generation || answer === undefined) return
    const { learnt, atMs } = answer
    const isContinued =
      this.learnt?.lineage === learnt.lineage && learnt.offset >= this.learnt.offset
    const before = isContinued ? this.freshAsOfMs : Number.NEGATIVE_INFINITY
    this.freshAsOfMs = Math.max(before, history.freshAsOfMs(learnt.lineage, learnt.offset))
    this.learnt = learnt
    const tookMs = atMs - question.askedAtMs
    this.latencyMs =
      this.latencyMs === undefined
        ? tookMs
        : this.latencyMs + newestShare * (tookMs - this.latencyMs)
  }

  /** The connections ended. */
  forget(): void {
    this.generation += 1
    this.question = undefined
    this.learnt = undefined
    this.latencyMs = undefined
    this.freshAsOfMs = Number.NEGATIVE_INFINITY
    this.verdict = nothingKnown
  }

  judge(primary: PrimaryState, bounds: LagBounds): void {
    this.verdict = judge(this, primary, bounds)
  }
}
