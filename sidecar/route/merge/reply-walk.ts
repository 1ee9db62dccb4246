/** Whole replies as places in their bytes, RESP2 and RESP3; nothing is decoded but lengths. */

export interface ReplyHead {
  /** The byte that it begins with. */
  readonly type: number
  readonly isError: boolean
  /** Bytes of a bulk, elements of an aggregate (of a map two per pair), -1 of a null, 0 of a line. */
  readonly count: number
  readonly isNull: boolean
  /** Behind the first line. */
  readonly end: number
}

const byte = (character: string): number => character.charCodeAt(0)

export const replyType = {
  number: byte(':'),
  bulk: byte('$'),
  list: byte('*'),
  set: byte('~'),
  map: byte('%'),
  attribute: byte('|'),
  null: byte('_'),
  error: byte('-'),
  bulkError: byte('!'),
} as const

/** What follows the first line. A push is no value: it belongs to no reply. */
const Shape = { none: 0, line: 1, bulk: 2, list: 3, map: 4, attribute: 5 } as const

const shapes = new Uint8Array(256)
for (const type of '+-:_,#(') shapes[byte(type)] = Shape.line
for (const type of '$!=') shapes[byte(type)] = Shape.bulk
for (const type of '*~') shapes[byte(type)] = Shape.list
shapes[replyType.map] = Shape.map
shapes[replyType.attribute] = Shape.attribute

const lineFeed = 10

/** The first line of the value at `at`, whatever attributes precede it. Undefined when there is none. */
export function readHeader(bytes: Buffer, at: number): ReplyHead | undefined {
  let start = at
  while (bytes[start] === replyType.attribute) {
    start = passValues(bytes, start, 0)
    if (start < 0) return undefined
  }
  const type = bytes[start]
  const end = start < bytes.length ? lineEnd(bytes, start) : -1
  if (type === undefined || end < 0) return undefined
  const isLine = shapes[type] === Shape.line
  const number = isLine ? 0 : countOf(bytes, start + 1, end - 2)
  if (number < -1) return undefined
  return {
    type,
    isError: type === replyType.error || type === replyType.bulkError,
    count: type === replyType.map ? number * 2 : number,
    isNull: type === replyType.null || number < 0,
    end,
  }
}

/** Behind the value at `at`, attributes included; -1 when it is not whole or no value. */
export function valueEnd(bytes: Buffer, at: number): number {
  return passValues(bytes, at, 1)
}

/** Passes over `values` values, or over one attribute when there is to be none. */
function passValues(bytes: Buffer, start: number, values: number): number {
  let at = start
  let owed = values
  do {
    const shape = at < bytes.length ? shapes[bytes[at] as number] : Shape.none
    if (shape === Shape.none) return -1
    const next = lineEnd(bytes, at)
    if (next < 0) return -1
    if (shape === Shape.line) {
      at = next
      owed -= 1
      continue
    }
    const count = countOf(bytes, at + 1, next - 2)
    if (count < -1) return -1
    at = next
    if (shape === Shape.bulk) {
      if (count >= 0) at += count + 2
      owed -= 1
    } else if (shape === Shape.list) owed += Math.max(0, count) - 1
    else if (shape === Shape.map) owed += 2 * count - 1
    else owed += 2 * count
    if (at > bytes.length) return -1
  } while (owed > 0)
  return at
}

/** Behind the line that begins at `at`; -1 when it has no end. */
function lineEnd(bytes: Buffer, at: number): number {
  let end = at
  const { length } = bytes
  while (end < length && bytes[end] !== lineFeed) end += 1
  return end < length ? end + 1 : -1
}

/** A length or number of elements; -1 of a null; -2 of anything else. */
function countOf(bytes: Buffer, start: number, end: number): number {
  if (end - start === 2 && bytes[start] === minus && bytes[start + 1] === one) return -1
  if (end <= start || end - start > digitsMax) return -2
  let count = 0
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - zero
    if (digit < 0 || digit > 9) return -2
    count = count * 10 + digit
  }
  return count
}

const minus = 45
const zero = 48
const one = 49
/** Of the longest length that a reply can have. */
const digitsMax = 12
