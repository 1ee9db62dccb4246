/**
 * Follows what a client sends, from the boundary between two commands on, and tells of each command when it has come
 * wholly. Of a large one only the beginning is kept. It checks nothing: what is no RESP ends it.
 */
import { messageKeysBytesMax } from '../../common/limits.ts'

export interface SeenCommand {
  /** The beginning of the command, the whole of it if it is small. */
  readonly head: Buffer
  readonly byteCount: number
  readonly argumentCount: number
  readonly isInline: boolean
}

const [star, dollar, lineFeed] = [42, 36, 10]
/** Longer than any line that announces a length; an inline command may be as long as it is kept. */
const lineBytesMax = 64 * 1024

export class RequestReader {
  /** Something came that it does not understand; it follows no further. */
  isLost = false
  private readonly onCommand: (command: SeenCommand) => void
  private kept: Buffer[] = []
  private keptBytes = 0
  private byteCount = 0
  private line = ''
  /** Arguments whose bytes have not come, and bytes left of the present one. */
  private argumentsLeft = -1
  private argumentCount = 0
  private skipBytes = 0
  private isInline = false

  constructor(onCommand: (command: SeenCommand) => void) {
    this.onCommand = onCommand
  }

  receive(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && !this.isLost) {
      const start = at
      at = this.skipBytes > 0 ? this.passBytes(chunk, at) : this.passLine(chunk, at)
      this.keep(chunk.subarray(start, at))
      if (this.argumentsLeft === 0 && this.skipBytes === 0 && this.line === '') this.end()
    }
  }

  private passBytes(chunk: Buffer, at: number): number {
    const count = Math.min(this.skipBytes, chunk.length - at)
    this.skipBytes -= count
    if (this.skipBytes === 0) this.argumentsLeft -= 1
    return at + count
  }

  private passLine(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(lineFeed, at)
    const next = end < 0 ? chunk.length : end + 1
    this.line += chunk.toString('latin1', at, next)
    if (this.line.length > lineBytesMax) this.isLost = true
    if (end >= 0) this.readLine()
    return next
  }

  private readLine(): void {
    const { line } = this
    this.line = ''
    const [type, count] = [line.charCodeAt(0), Number(line.slice(1, -2))]
    if (this.argumentsLeft > 0) {
      if (type === dollar && count >= 0) this.skipBytes = count + 2
      else this.isLost = true
    } else if (type === star) {
      this.isInline = false
      this.argumentsLeft = Math.max(0, count)
      this.argumentCount = this.argumentsLeft
      if (!Number.isInteger(count)) this.isLost = true
    } else {
      this.isInline = true
      this.argumentsLeft = 0
      this.argumentCount = line.trim() === '' ? 0 : line.trim().split(/\s+/).length
    }
  }

  private keep(bytes: Buffer): void {
    this.byteCount += bytes.length
    const room = messageKeysBytesMax - this.keptBytes
    if (room <= 0) return
    const part = Buffer.from(bytes.subarray(0, room))
    this.kept.push(part)
    this.keptBytes += part.length
  }

  private end(): void {
    const { byteCount, argumentCount, isInline } = this
    const head = Buffer.concat(this.kept)
    this.kept = []
    this.keptBytes = 0
    this.byteCount = 0
    this.argumentsLeft = -1
    if (argumentCount > 0) this.onCommand({ head, byteCount, argumentCount, isInline })
  }
}
