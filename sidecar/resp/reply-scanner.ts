/**
 * Finds where a server's replies end, without decoding them and without keeping any of their bytes: it may be
 * stopped at any byte and go on with the next chunk.
 *
 * Nesting needs no stack: an aggregate of n elements adds n to the number of values that are owed before the
 * reply is whole, so that any depth costs one counter. Attributes belong to the reply that they precede.
 *
 * Servers up to Redis 7.0 put the message that a transaction causes for its own client into the reply to EXEC: it is
 * not one of the values that are owed. What EXEC answers to a subscription is one, or several; these cannot be told
 * apart and are malformed.
 */

const State = {
  type: 0,
  line: 1,
  lineEnd: 2,
  length: 3,
  lengthEnd: 4,
  bulk: 5,
  bulkReturn: 6,
  bulkEnd: 7,
} as const

/** What follows a type byte: a line, a length and bytes, or a count and values. */
const Shape = { none: 0, line: 1, bulk: 2, array: 3, map: 4, attribute: 5, push: 6 } as const

const shapes = new Uint8Array(256)
for (const type of '+-:_,#(') shapes[type.charCodeAt(0)] = Shape.line
for (const type of '$!=') shapes[type.charCodeAt(0)] = Shape.bulk
for (const type of '*~') shapes[type.charCodeAt(0)] = Shape.array
shapes['%'.charCodeAt(0)] = Shape.map
shapes['|'.charCodeAt(0)] = Shape.attribute
shapes['>'.charCodeAt(0)] = Shape.push

const carriageReturn = 13
const lineFeed = 10
const minus = 45
const plus = 43
const valuesOwedMax = 2 ** 50
/** `message`, `pmessage` and `smessage`, but none of the confirmations of subscriptions. */
const messageWordBytes: readonly number[] = [7, 8]

export interface ReplyScannerOptions {
  /** Whether out-of-band pushes may come; they pass but are not counted as replies, unless told. */
  readonly allowsPushes: boolean
  readonly countsPushes?: boolean
  /** Longest line of a simple string, error or number; a longer one is malformed. */
  readonly lineBytesMax: number
}

export class ReplyScanner {
  /** End of what the last call passed over. */
  position = 0
  /** Replies that ended in the last call. */
  count = 0
  /** Where each of them ended, counted from where the call began; only the first `count` are meant. */
  readonly ends: number[] = []
  /** Replies that began in the last call and are errors. */
  errorCount = 0
  /** Whether a reply has begun and not ended. */
  isMidReply = false
  /** Whether the bytes of the last call began within a reply. */
  beganMidReply = false
  /** Whether a reply began with `-READONLY`; stays set until the owner clears it. */
  sawReadOnly = false

  /** Length of the last reply if it was a simple string and has ended, otherwise -1. */
  get statusBytes(): number {
    return this.topType === plus && !this.isMidReply ? this.length : -1
  }

  private readonly options: ReplyScannerOptions
  /** Where the last error began. */
  private errorStart = 0
  private topType = 0
  private state: number = State.type
  private shape: number = Shape.none
  private owed = 1
  private isPush = false
  /** Whether the next value must be the word that a message within a reply begins with. */
  private awaitsMessageWord = false
  private length = 0
  private digitCount = 0
  private isNegative = false

  constructor(options: ReplyScannerOptions) {
    this.options = options
  }

  /**
   * Passes over `bytes` from `start` until `countMax` replies have ended or the bytes have.
   * False when they are malformed: nothing more can be believed of that connection.
   */
  scan(bytes: Buffer, start: number, end: number, countMax: number): boolean {
    let at = start
    const { ends } = this
    this.count = 0
    this.errorCount = 0
    this.beganMidReply = this.isMidReply
    while (at < end) {
      at = this.step(bytes, at, end)
      if (at < 0) return false
      if (this.owed === 0 && this.state === State.type) {
        this.owed = 1
        this.isMidReply = false
        if (!this.isPush || this.options.countsPushes === true) {
          ends[this.count] = at - start
          this.count += 1
        }
        this.isPush = false
        if (this.count >= countMax) break
      }
    }
    this.position = at
    return true
  }

  /**
   * Has an error that began in the last call and did not end passed over once more, with what follows: `position` is
   * where it begins. False if there is none.
   */
  takeBackError(): boolean {
    if (!this.isMidReply || this.topType !== minus || this.errorCount === 0) return false
    this.position = this.errorStart
    this.errorCount -= 1
    this.isMidReply = false
    this.state = State.type
    return true
  }

  private step(bytes: Buffer, at: number, end: number): number {
    switch (this.state) {
      case State.type:
        return this.readType(bytes, at, end)
      case State.line:
        return this.passLine(bytes, at, end)
      case State.length:
        return this.readLength(bytes, at, end)
      case State.bulk:
        return this.passBulk(at, end)
      case State.bulkReturn:
        return this.expect(bytes, at, carriageReturn, State.bulkEnd)
      case State.bulkEnd:
        return this.endValue(bytes, at)
      case State.lineEnd:
        return this.endValue(bytes, at)
      default:
        return this.endLength(bytes, at)
    }
  }

  private readType(bytes: Buffer, at: number, end: number): number {
    const type = bytes[at] as number
    const shape = shapes[type] as number
    if (shape === Shape.none) return -1
    if (!this.isMidReply) {
      this.isMidReply = true
      this.topType = type
      if (shape === Shape.push) {
        if (!this.options.allowsPushes) return -1
        this.isPush = true
      } else if (type === minus) {
        this.errorCount += 1
        this.errorStart = at
        const isLikely = at + 9 <= end && bytes[at + 1] === 82
        if (isLikely && bytes.toString('latin1', at, at + 9) === '-READONLY') {
          this.sawReadOnly = true
        }
      }
    } else if (shape === Shape.push && !this.options.allowsPushes) return -1
    if (this.awaitsMessageWord && shape !== Shape.bulk) return -1
    this.shape = shape
    this.length = 0
    this.digitCount = 0
    this.isNegative = false
    this.state = shape === Shape.line ? State.line : State.length
    return at + 1
  }

  private passLine(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && bytes[at] !== carriageReturn) {
      if (bytes[at] === lineFeed) return -1
      at += 1
    }
    this.length += at - start
    if (this.length > this.options.lineBytesMax) return -1
    if (at < end) {
      this.state = State.lineEnd
      at += 1
    }
    return at
  }

  private readLength(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end) {
      const byte = bytes[at] as number
      at += 1
      if (byte === carriageReturn) {
        this.state = State.lengthEnd
        return at
      }
      if (byte === minus && this.digitCount === 0 && !this.isNegative) {
        this.isNegative = true
        continue
      }
      if (byte < 48 || byte > 57 || this.digitCount >= 12) return -1
      this.length = this.length * 10 + byte - 48
      this.digitCount += 1
    }
    return at
  }

  private endLength(bytes: Buffer, at: number): number {
    if (bytes[at] !== lineFeed || this.digitCount === 0) return -1
    if (this.isNegative) {
      const mayBeNull = this.shape === Shape.bulk || this.shape === Shape.array
      if (!mayBeNull || this.length !== 1 || this.awaitsMessageWord) return -1
      return this.finishValue(at + 1)
    }
    if (this.shape === Shape.bulk) {
      if (this.awaitsMessageWord && !messageWordBytes.includes(this.length)) return -1
      this.awaitsMessageWord = false
      this.state = this.length === 0 ? State.bulkReturn : State.bulk
      return at + 1
    }
    if (this.shape === Shape.map) this.owed += 2 * this.length
    else if (this.shape === Shape.attribute) this.owed += 2 * this.length + 1
    else if (this.shape === Shape.push && !this.isPush) {
      this.owed += this.length + 1
      this.awaitsMessageWord = true
    } else this.owed += this.length
    return this.owed > valuesOwedMax ? -1 : this.finishValue(at + 1)
  }

  private passBulk(at: number, end: number): number {
    const passed = Math.min(this.length, end - at)
    this.length -= passed
    if (this.length === 0) this.state = State.bulkReturn
    return at + passed
  }

  private expect(bytes: Buffer, at: number, byte: number, next: number): number {
    if (bytes[at] !== byte) return -1
    this.state = next
    return at + 1
  }

  private endValue(bytes: Buffer, at: number): number {
    return bytes[at] === lineFeed ? this.finishValue(at + 1) : -1
  }

  private finishValue(at: number): number {
    this.owed -= 1
    this.state = State.type
    return at
  }
}
