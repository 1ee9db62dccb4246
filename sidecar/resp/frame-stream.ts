/**
 * Validates a frame that is too large to be gathered while it passes: the bytes up to `position` may go on to the
 * server although the frame has not ended. A server does not run a frame before its end, so that a frame that
 * turns out to be invalid is never run if the connection is then closed.
 */

export type StreamState = 'more' | 'done' | 'error'

const headerBytesMax = 16

export class FrameStream {
  /** Up to here the bytes of the last call are valid; what follows is to be given again with more behind it. */
  position = 0
  error = ''
  private argumentsLeft: number
  /** Bytes of the bulk at hand that are still to come, its CRLF not counted; negative between bulks. */
  private bulkLeft = -1
  private readonly argumentBytesMax: number

  constructor(argumentsLeft: number, argumentBytesMax: number) {
    this.argumentsLeft = argumentsLeft
    this.argumentBytesMax = argumentBytesMax
  }

  advance(bytes: Buffer, start: number, end: number): StreamState {
    this.position = start
    while (this.argumentsLeft > 0) {
      const state = this.bulkLeft < 0 ? this.passHeader(bytes, end) : this.passBulk(bytes, end)
      if (state !== undefined) return state
    }
    return 'done'
  }

  private passHeader(bytes: Buffer, end: number): StreamState | undefined {
    const start = this.position
    if (start >= end) return 'more'
    const lineEnd = bytes.subarray(start, Math.min(end, start + headerBytesMax)).indexOf('\r\n')
    if (lineEnd < 0) {
      if (end - start < headerBytesMax && /^\$\d*\r?$/.test(bytes.toString('latin1', start, end))) {
        return 'more'
      }
      return this.fail('invalid bulk length')
    }
    const match = /^\$(0|[1-9]\d*)$/.exec(bytes.toString('latin1', start, start + lineEnd))
    const length = match === null ? -1 : Number(match[1])
    if (length < 0 || length > this.argumentBytesMax) return this.fail('invalid bulk length')
    this.bulkLeft = length
    this.position = start + lineEnd + 2
    return undefined
  }

  private passBulk(bytes: Buffer, end: number): StreamState | undefined {
    const passed = Math.min(this.bulkLeft, end - this.position)
    this.bulkLeft -= passed
    this.position += passed
    if (this.bulkLeft > 0 || this.position >= end) return 'more'
    if (bytes[this.position] !== 13) return this.fail('a bulk is not followed by CRLF')
    if (this.position + 1 >= end) return 'more'
    if (bytes[this.position + 1] !== 10) return this.fail('a bulk is not followed by CRLF')
    this.position += 2
    this.bulkLeft = -1
    this.argumentsLeft -= 1
    return undefined
  }

  private fail(error: string): 'error' {
    this.error = error
    return 'error'
  }
}
