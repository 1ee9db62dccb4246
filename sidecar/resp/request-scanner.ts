/**
 * Finds where client frames end, without decoding them.
 *
 * A run of whole frames that need nothing special is passed over in one call; their framing is validated
 * completely (strict integers, CRLF after every header and after every bulk), so that what is forwarded means
 * the same to every server. Stricter than the server where the server is lenient: bulk terminators and the LF of
 * header lines are checked.
 *
 * Invariant: after `more` the next call starts at the same frame with more bytes behind it; no byte is then
 * looked at again except the header of one argument.
 */

/** Why a scan stopped. */
export const ScanStop = {
  /** The bytes ended within a frame or after the last one. */
  more: 0,
  /** The frame at `position` ends at `frameEnd` and its name is in the filter. */
  special: 1,
  /** The bytes at `position` are not an array: an inline command. */
  inline: 2,
  /** An array of no elements ends at `frameEnd`; servers ignore it. */
  skip: 3,
  /** `error` says what is wrong with the frame at `position`. */
  error: 4,
  /** As many frames as asked for were passed over. */
  limit: 5,
} as const

export type ScanStop = (typeof ScanStop)[keyof typeof ScanStop]

export interface RequestLimits {
  readonly argumentCountMax: number
  readonly argumentBytesMax: number
  /** What the message calls the length that is over the limit: `invalid` or `unauthenticated`. */
  readonly excess: 'invalid' | 'unauthenticated'
}

/** What a name is, by `nameHash`, as bits of `NameMark`; may say too much of a name, never too little. */
export type NameFilter = Uint8Array

export const NameMark = {
  /** It stops a scan. */
  stop: 1,
  /** Its commands may have more keys than one, or none. Only told where `CommandRules.tellApart` was called. */
  apart: 2,
  /** Its commands may change something. The same holds. */
  writes: 4,
} as const

export const nameFilterSize = 16_384

/** Of length, first and last byte, blind to the case of letters. Bytes outside the buffer do not matter. */
export function nameHash(length: number, first: number, last: number): number {
  return ((length & 15) << 10) | ((first & 31) << 5) | (last & 31)
}

const dollar = 36
const asterisk = 42
const carriageReturn = 13
const lineFeed = 10
const incomplete = -1
const invalid = -2
/** Digits of the largest length that is legal anywhere; more are an error before the line ends. */
const digitsMax = 10

export class RequestScanner {
  /** Start of the first frame that was not passed over. */
  position = 0
  /** Frames passed over. */
  count = 0
  /** Bits that the filter has for any of their names. */
  marks = 0
  frameEnd = 0
  /** Of the frame that a scan stopped in: where its name is and how many arguments it has, name included. */
  nameStart = 0
  nameEnd = 0
  argumentCount = 0
  error = ''
  limits: RequestLimits

  private readonly filter: NameFilter
  private value = 0
  private argumentsLeft = 0
  /** From the start of the unfinished frame to its next unseen argument, and to its name. */
  private resumeOffset = 0
  private resumeName = 0

  constructor(filter: NameFilter, limits: RequestLimits) {
    this.filter = filter
    this.limits = limits
  }

  /** Bytes of the unfinished frame that are known to be valid, and the arguments that it lacks. */
  get unfinished(): { readonly validBytes: number; readonly argumentsLeft: number } {
    return { validBytes: this.resumeOffset, argumentsLeft: this.argumentsLeft }
  }

  /** Forgets an unfinished frame. */
  reset(): void {
    this.argumentsLeft = 0
    this.resumeOffset = 0
  }

  /** Passes over at most `countMax` frames of `bytes` from `start` to `end`. */
  scan(bytes: Buffer, start: number, end: number, countMax: number): ScanStop {
    this.count = 0
    this.marks = 0
    let frame = start
    while (frame < end) {
      this.position = frame
      if (this.count >= countMax) return ScanStop.limit
      if (this.argumentsLeft === 0) {
        if (bytes[frame] !== asterisk) return ScanStop.inline
        const stop = this.openFrame(bytes, frame, end)
        if (stop !== undefined) return stop
      }
      const next = this.passArguments(bytes, frame, end)
      if (next === incomplete) return ScanStop.more
      if (next === invalid) return ScanStop.error
      this.frameEnd = next
      this.argumentsLeft = 0
      if (this.isInFilter(bytes)) return ScanStop.special
      this.count += 1
      frame = next
    }
    this.position = frame
    return ScanStop.more
  }

  private isInFilter(bytes: Buffer): boolean {
    const length = this.nameEnd - this.nameStart
    if (length === 0) {
      this.marks |= NameMark.apart
      return false
    }
    const first = bytes[this.nameStart] as number
    const last = bytes[this.nameEnd - 1] as number
    const marks = this.filter[nameHash(length, first, last)] as number
    if ((marks & NameMark.stop) !== 0) return true
    this.marks |= marks
    // A server may read a name only up to a NUL. No name is shorter than three, and no last letter hashes like a NUL.
    for (let at = this.nameStart + 3; at < this.nameEnd - 1; at += 1) {
      if (bytes[at] === 0) return true
    }
    return false
  }

  private openFrame(bytes: Buffer, frame: number, end: number): ScanStop | undefined {
    const next = this.readInteger(bytes, frame + 1, end)
    if (next === incomplete) return ScanStop.more
    if (next === invalid || this.value > 2_147_483_647) {
      return this.fail('invalid multibulk length')
    }
    if (this.value <= 0) {
      this.frameEnd = next
      return ScanStop.skip
    }
    if (this.value > this.limits.argumentCountMax) {
      return this.fail(`${this.limits.excess} multibulk length`)
    }
    this.argumentCount = this.value
    this.argumentsLeft = this.value
    this.resumeOffset = next - frame
    this.resumeName = 0
    return undefined
  }

  /** The end of the frame, or `incomplete` or `invalid`. */
  private passArguments(bytes: Buffer, frame: number, end: number): number {
    let at = frame + this.resumeOffset
    let left = this.argumentsLeft
    const bulkMax = this.limits.argumentBytesMax
    if (this.resumeName !== 0) {
      this.nameEnd = frame + this.resumeName + (this.nameEnd - this.nameStart)
      this.nameStart = frame + this.resumeName
    }
    while (left > 0) {
      if (at >= end) return this.suspend(frame, at, left)
      if (bytes[at] !== dollar) return this.refuse(expectedDollar(bytes[at] as number))
      let cursor = at + 1
      let length = (cursor < end ? (bytes[cursor] as number) : 58) - 48
      // One to nine digits without a leading zero are read here, anything else by the careful reader.
      if (length > 0 && length <= 9) {
        cursor += 1
        while (cursor < end && cursor - at < digitsMax) {
          const digit = (bytes[cursor] as number) - 48
          if (digit < 0 || digit > 9) break
          length = length * 10 + digit
          cursor += 1
        }
        if (
          cursor + 1 < end &&
          bytes[cursor] === carriageReturn &&
          bytes[cursor + 1] === lineFeed
        ) {
          cursor += 2
        } else {
          cursor = this.readInteger(bytes, at + 1, end)
          length = this.value
        }
      } else {
        cursor = this.readInteger(bytes, at + 1, end)
        length = this.value
      }
      if (cursor === incomplete) return this.suspend(frame, at, left)
      if (cursor === invalid || length < 0) return this.refuse('invalid bulk length')
      if (length > bulkMax) return this.refuse(`${this.limits.excess} bulk length`)
      if (left === this.argumentCount) {
        this.nameStart = cursor
        this.nameEnd = cursor + length
        this.resumeName = cursor - frame
      }
      const tail = cursor + length
      if (tail + 2 > end) {
        if (tail < end && bytes[tail] !== carriageReturn) return this.refuse(badTerminator)
        return this.suspend(frame, at, left)
      }
      if (bytes[tail] !== carriageReturn || bytes[tail + 1] !== lineFeed) {
        return this.refuse(badTerminator)
      }
      at = tail + 2
      left -= 1
    }
    return at
  }

  private suspend(frame: number, at: number, left: number): number {
    this.resumeOffset = at - frame
    this.argumentsLeft = left
    return incomplete
  }

  private refuse(error: string): number {
    this.error = error
    return invalid
  }

  private fail(error: string): ScanStop {
    this.error = error
    return ScanStop.error
  }

  /** Reads a canonical integer and CRLF into `value`; the position after them, or `incomplete` or `invalid`. */
  private readInteger(bytes: Buffer, start: number, end: number): number {
    let cursor = start
    const isNegative = cursor < end && bytes[cursor] === 45
    if (isNegative) cursor += 1
    const firstDigit = cursor
    let value = 0
    while (cursor < end) {
      const byte = bytes[cursor] as number
      if (byte === carriageReturn) break
      if (byte < 48 || byte > 57 || cursor - firstDigit >= digitsMax) return invalid
      value = value * 10 + byte - 48
      cursor += 1
    }
    const digitCount = cursor - firstDigit
    const hasLeadingZero = digitCount > 0 && bytes[firstDigit] === 48
    if (hasLeadingZero && (digitCount > 1 || isNegative)) return invalid
    if (cursor >= end) return incomplete
    if (digitCount === 0) return invalid
    if (cursor + 1 >= end) return incomplete
    if (bytes[cursor + 1] !== lineFeed) return invalid
    this.value = isNegative ? -value : value
    return cursor + 2
  }
}

const badTerminator = 'a bulk is not followed by CRLF'

function expectedDollar(byte: number): string {
  const shown = byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ' '
  return `expected '$', got '${shown}'`
}
