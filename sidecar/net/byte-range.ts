/** Parts of buffers that are passed on without an object for each: most are a few bytes long. */

export interface ByteRange {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** Longer ranges are copied by a call, which costs more than a short copy does. */
const loopBytesMax = 64

export function copyRange({ bytes, start, end }: ByteRange, target: Buffer, at: number): void {
  if (end - start > loopBytesMax) {
    target.set(viewOf({ bytes, start, end }), at)
    return
  }
  for (let from = start, to = at; from < end; from += 1, to += 1) target[to] = bytes[from] as number
}

export function viewOf({ bytes, start, end }: ByteRange): Buffer {
  return start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
}
