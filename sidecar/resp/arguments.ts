/** The arguments of one validated frame, for the few commands that the sidecar reads itself. */

/** Copies, so that they can be kept; at most `countMax` of them. */
export function frameArguments(bytes: Buffer, start: number, countMax: number): Buffer[] {
  let at = bytes.indexOf('\r\n', start)
  const count = Math.min(countMax, Number(bytes.toString('latin1', start + 1, at)))
  const found: Buffer[] = []
  at += 2
  for (let index = 0; index < count; index += 1) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const length = Number(bytes.toString('latin1', at + 1, lineEnd))
    found.push(Buffer.from(bytes.subarray(lineEnd + 2, lineEnd + 2 + length)))
    at = lineEnd + 2 + length + 2
  }
  return found
}
