/** Puts together bytes whose number is known; few at a time without leaving JavaScript, which costs more than they do. */

const fewBytes = 48

export class ByteWriter {
  /** All of it, right only once as many bytes were put as were announced. */
  readonly bytes: Buffer
  length = 0

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  /** Whether every byte was put. */
  get isFull(): boolean {
    return this.length === this.bytes.length
  }

  /** Latin1: a byte per character. */
  text(text: string): void {
    for (let at = 0; at < text.length; at += 1) {
      this.bytes[this.length] = text.charCodeAt(at)
      this.length += 1
    }
  }

  /** The bytes of `source` from `start` to before `end`. */
  copy(source: Buffer, start: number, end: number): void {
    const { bytes } = this
    let to = this.length
    this.length += end - start
    if (end - start > fewBytes) {
      source.copy(bytes, to, start, end)
      return
    }
    for (let from = start; from < end; from += 1) {
      bytes[to] = source[from] as number
      to += 1
    }
  }
}
