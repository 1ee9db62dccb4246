/** Whole replies as places in their bytes, RESP2 and RESP3; nothing is decoded but lengths. */

export interface ReplyHead {
  readonly type: string
  readonly isError: boolean
  /** Bytes of a bulk, elements of an aggregate (of a map two per pair), -1 of a null, 0 of a line. */
  readonly count: number
  readonly isNull: boolean
  /** Behind the first line. */
  readonly end: number
}

const lineFeed = 10
const lineTypes = '+-:_,#('
const bulkTypes = '$!='

/** The first line of the value at `at`, whatever attributes precede it. Undefined when there is none. */
export function readHeader(bytes: Buffer, at: number): ReplyHead | undefined {
  const start = skipAttributes(bytes, at)
  if (start < 0 || start >= bytes.length) return undefined
  const lineEnd = bytes.indexOf(lineFeed, start)
  if (lineEnd < 0) return undefined
  const type = String.fromCharCode(bytes[start] as number)
  const isLine = lineTypes.includes(type)
  const number = isLine ? 0 : countOf(bytes, start + 1, lineEnd - 1)
  if (Number.isNaN(number)) return undefined
  return {
    type,
    isError: type === '-' || type === '!',
    count: type === '%' ? number * 2 : number,
    isNull: type === '_' || number < 0,
    end: lineEnd + 1,
  }
}

/** Where the value at `at` begins once its attributes are passed over; -1 when they are not whole. */
export function skipAttributes(bytes: Buffer, at: number): number {
  let start = at
  while (bytes[start] === attribute) {
    start = passValues(bytes, start, 0)
    if (start < 0) return -1
  }
  return start
}

/** Behind the value at `at`, attributes included; -1 when it is not whole or no value. */
export function valueEnd(bytes: Buffer, at: number): number {
  return passValues(bytes, at, 1)
}

const attribute = 124

/** Passes over `owed` values, or over one attribute when none is owed. */
function passValues(bytes: Buffer, start: number, values: number): number {
  let at = start
  let owed = values
  do {
    const lineEnd = bytes.indexOf(lineFeed, at)
    if (lineEnd < 0) return -1
    const type = String.fromCharCode(bytes[at] as number)
    const next = lineEnd + 1
    if (lineTypes.includes(type)) {
      at = next
      owed -= 1
      continue
    }
    const count = countOf(bytes, at + 1, lineEnd - 1)
    if (Number.isNaN(count)) return -1
    at = next
    if (bulkTypes.includes(type)) {
      if (count >= 0) at += count + 2
      owed -= 1
    } else if (type === '*' || type === '~') owed += Math.max(0, count) - 1
    else if (type === '%') owed += 2 * count - 1
    else if (type === '|') owed += 2 * count
    else return -1
    if (at > bytes.length) return -1
  } while (owed > 0)
  return at
}

/** A length or number of elements; -1 of a null; NaN of anything else. */
function countOf(bytes: Buffer, start: number, end: number): number {
  if (end - start === 2 && bytes[start] === minus && bytes[start + 1] === one) return -1
  let count = end > start ? 0 : Number.NaN
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - zero
    count = digit >= 0 && digit <= 9 ? count * 10 + digit : Number.NaN
  }
  return count
}

const minus = 45
const zero = 48
const one = 49
