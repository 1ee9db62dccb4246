/** What a client asked and is owed for it, and whether what came is that. Pure. */
import { ReplyScanner } from '../../../sidecar/resp/reply-scanner.ts'

export interface Verdicts {
  /** Replies that were what they should be. */
  right: number
  /** Errors: the sidecar or the server said that it could not. */
  errors: number
  /** Nulls in place of values, after a server lost its data. */
  missing: number
  /** Replies that belong to somebody else, or nobody. */
  foreign: number
  /** The first of those, a line each: when, whose, what was asked, what came and what was owed. */
  example: string
}

export const noVerdicts = (): Verdicts => ({
  right: 0,
  errors: 0,
  missing: 0,
  foreign: 0,
  example: '',
})

const examplesMax = 5
const forgetAll = Buffer.from('>2\r\n$10\r\ninvalidate\r\n_\r\n')

/** Requests are added with the reply that they should have; then bytes are taken until all have come. */
export class Batch {
  private requests = ''
  private replies = ''
  private readonly ends: number[] = []
  private readonly others = new Map<number, RegExp>()
  private expected = Buffer.alloc(0)
  private position = 0
  private index = 0
  /** Set when bytes differ: then each reply is looked at, `rest` being what has not been. */
  private rest: Buffer | undefined

  private readonly isTracking: boolean
  /** By reply, what asked for it. */
  private readonly asked: string[] = []
  private previous = 'none'
  /** Whose it is and over which connection: for those who look into a foreign reply. */
  label = ''

  /** `isTracking`: its client may at any time be told to forget all that it knows. */
  constructor(isTracking = false) {
    this.isTracking = isTracking
  }

  get count(): number {
    return this.ends.length
  }

  get isDone(): boolean {
    return this.index >= this.ends.length
  }

  /**
   * `reply` is empty for a command that is not answered. Both are latin1. `other`: what is right as well, where a
   * connection to the server was lost before.
   */
  add(request: string, reply: string, other?: RegExp): void {
    this.requests += request
    if (reply === '') return
    if (other !== undefined) this.others.set(this.ends.length, other)
    this.replies += reply
    this.asked.push(request)
    this.ends.push(this.replies.length)
  }

  /** To be sent; nothing can be added after it. */
  seal(): Buffer {
    this.expected = Buffer.from(this.replies, 'latin1')
    return Buffer.from(this.requests, 'latin1')
  }

  /** Takes what came; what comes after the last reply is foreign. */
  take(chunk: Buffer, verdicts: Verdicts): void {
    if (this.rest === undefined) {
      const right = this.expected.subarray(this.position, this.position + chunk.length)
      if (right.equals(chunk)) {
        this.position += chunk.length
        this.advance(verdicts)
        return
      }
      const boundary = this.index === 0 ? 0 : (this.ends[this.index - 1] as number)
      this.rest = this.expected.subarray(boundary, this.position)
    }
    this.takeApart(Buffer.concat([this.rest, chunk]), verdicts)
  }

  private advance(verdicts: Verdicts): void {
    while (this.index < this.ends.length && (this.ends[this.index] as number) <= this.position) {
      this.index += 1
      verdicts.right += 1
    }
  }

  private takeApart(bytes: Buffer, verdicts: Verdicts): void {
    let at = 0
    while (at < bytes.length) {
      const scanner = new ReplyScanner({
        allowsPushes: true,
        countsPushes: true,
        lineBytesMax: 1 << 20,
      })
      const isFine = scanner.scan(bytes, at, bytes.length, 1)
      if (isFine && scanner.count === 0) break
      const end = isFine ? scanner.position : bytes.length
      this.judge(bytes.subarray(at, end), verdicts)
      at = end
    }
    this.rest = bytes.subarray(at)
  }

  private judge(reply: Buffer, verdicts: Verdicts): void {
    if (this.isTracking && reply.equals(forgetAll)) return
    const from = this.index === 0 ? 0 : (this.ends[this.index - 1] as number)
    const right = this.expected.subarray(from, this.ends[this.index] ?? from)
    const other = this.others.get(this.index)
    const at = this.index
    this.index += 1
    const text = reply.toString('latin1', 0, 200)
    if (reply.equals(right) || other?.test(text) === true) verdicts.right += 1
    else if (/^-[A-Z]+ /.test(text)) verdicts.errors += 1
    else if (text === '$-1\r\n' && right[0] === 36) verdicts.missing += 1
    else {
      verdicts.foreign += 1
      if (verdicts.foreign <= examplesMax) verdicts.example += `${this.describe(text, right, at)}\n`
    }
    this.previous = text
  }

  private describe(came: string, right: Buffer, at: number): string {
    const { label, previous, count } = this
    const owed = right.toString('latin1', 0, 200)
    const asked = (this.asked[at] ?? 'nothing').slice(0, 200)
    const when = new Date().toISOString()
    const where = JSON.stringify({ when, label, at, of: count, asked, previous })
    return `${JSON.stringify(came)} in place of ${JSON.stringify(owed)}; ${where}`
  }
}
