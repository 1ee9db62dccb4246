/**
 * Makes one reply of those of several servers, as `CommandMerge` says, from their bytes. Elements are passed on as they
 * came; only numbers that are reckoned with are read. Pure; the caller bounds how much it gathers.
 *
 * `replies` are whole, one or several to a buffer, in the order of the parts. The first error among them is the reply,
 * whatever the others say; where one success is enough, the first success is. Attributes of a reply are dropped.
 */
import type { CommandMerge } from '../../../common/redis/command-routes.ts'
import { ByteWriter } from '../byte-writer.ts'
import { readHeader, type ReplyHead, replyType, valueEnd } from './reply-walk.ts'

export interface MergeOptions {
  /** For `positional`: for each element, in the order of the replies, its place in the whole (`keyOrder`). */
  readonly keyOrder?: readonly number[]
  /** For `pickOne`: any number, of which the remainder chooses. */
  readonly pick?: number
}

/** One reply in its buffer. */
interface Part {
  readonly bytes: Buffer
  readonly head: ReplyHead
  readonly start: number
  readonly end: number
}

/** Undefined: they are not what servers reply to the command, and cannot be made one. */
export function mergeReplies(
  merge: CommandMerge,
  replies: readonly Buffer[],
  options: MergeOptions = {},
): Buffer | undefined {
  const parts = partsOf(replies)
  const [first] = parts ?? []
  if (parts === undefined || first === undefined) return undefined
  if (merge === 'oneSucceeded') return bytesOf(successOf(parts) ?? tellingError(parts))
  const error = parts.find(({ head }) => head.isError)
  if (error !== undefined) return bytesOf(error)
  return merges[merge](parts, first, options)
}

type Merge = (parts: readonly Part[], first: Part, options: MergeOptions) => Buffer | undefined

/** Of replies none of which is an error. */
const merges: Readonly<Record<Exclude<CommandMerge, 'oneSucceeded'>, Merge>> = {
  none: (parts, first) => (parts.length === 1 ? bytesOf(first) : undefined),
  allSucceeded: (_parts, first) => bytesOf(first),
  positional: (parts, _first, { keyOrder }) => positional(parts, keyOrder ?? []),
  concat: (parts) => joined(parts, (elements) => elements),
  distinct: (parts) => joined(parts, distinct),
  pickOne: (parts, first, { pick }) => bytesOf(picked(parts, pick ?? 0) ?? first),
  running: (parts, first) => bytesOf(parts.find(isRunning) ?? first),
  sum: (parts) => combined(parts, (left, right) => left + right),
  min: (parts) => combined(parts, Math.min),
  max: (parts) => combined(parts, Math.max),
  and: (parts) => combined(parts, (left, right) => (left !== 0 && right !== 0 ? 1 : 0)),
  or: (parts) => combined(parts, (left, right) => (left !== 0 || right !== 0 ? 1 : 0)),
}

type Combine = (left: number, right: number) => number

function partsOf(replies: readonly Buffer[]): readonly Part[] | undefined {
  const parts: Part[] = []
  for (const bytes of replies) {
    let start = 0
    while (start < bytes.length) {
      const head = readHeader(bytes, start)
      const end = valueEnd(bytes, start)
      if (head === undefined || end < 0) return undefined
      parts.push({ bytes, head, start, end })
      start = end
    }
  }
  return parts
}

function bytesOf({ bytes, start, end }: Part): Buffer {
  return bytes.subarray(start, end)
}

function successOf(parts: readonly Part[]): Part | undefined {
  return parts.find(({ head }) => !head.isError)
}

/** Where nothing runs there is nothing to kill; why what runs was not killed is worth more. */
function tellingError(parts: readonly Part[]): Part {
  const telling = parts.find((part) => !bytesOf(part).includes('NOTBUSY'))
  return telling ?? (parts[0] as Part)
}

function isList({ type }: ReplyHead): boolean {
  return type === replyType.list || type === replyType.set
}

function elementsOf({ bytes, head }: Part): readonly Buffer[] | undefined {
  if (!isList(head)) return undefined
  const elements: Buffer[] = []
  let at = head.end
  for (let left = head.count; left > 0; left -= 1) {
    const end = valueEnd(bytes, at)
    elements.push(bytes.subarray(at, end))
    at = end
  }
  return elements
}

/** One copy of each element, straight to its place. */
function positional(parts: readonly Part[], order: readonly number[]): Buffer | undefined {
  const { length } = order
  const sources: (Part | undefined)[] = Array.from({ length })
  const starts = new Int32Array(length)
  const ends = new Int32Array(length)
  let seen = 0
  let size = 0
  for (const part of parts) {
    if (!isList(part.head) || seen + part.head.count > length) return undefined
    let at = part.head.end
    for (let left = part.head.count; left > 0; left -= 1) {
      const place = order[seen] as number
      sources[place] = part
      starts[place] = at
      at = valueEnd(part.bytes, at)
      ends[place] = at
      seen += 1
    }
    size += part.end - part.head.end
  }
  if (seen !== length) return undefined
  const head = `*${length}\r\n`
  const whole = new ByteWriter(head.length + size)
  whole.text(head)
  for (let place = 0; place < length; place += 1) {
    const source = sources[place]
    if (source === undefined) return undefined
    whole.copy(source.bytes, starts[place] as number, ends[place] as number)
  }
  return whole.isFull ? whole.bytes : undefined
}

/** Lists, sets or maps, all of one type; a null is none of them and adds nothing. */
function joined(
  parts: readonly Part[],
  choose: (elements: readonly Buffer[]) => readonly Buffer[],
): Buffer | undefined {
  const lists = parts.filter(({ head }) => !head.isNull)
  const [first] = lists
  if (first === undefined) return bytesOf(parts[0] as Part)
  const { type } = first.head
  const isMap = type === replyType.map
  if (!(isMap || isList(first.head)) || lists.some(({ head }) => head.type !== type))
    return undefined
  if (isMap) {
    const pairs = lists.reduce((sum, { head }) => sum + head.count / 2, 0)
    const bodies = lists.map(({ bytes, head, end }) => bytes.subarray(head.end, end))
    return Buffer.concat([Buffer.from(`%${pairs}\r\n`), ...bodies])
  }
  const elements = choose(lists.flatMap((part) => elementsOf(part) ?? []))
  return Buffer.concat([headOf(type, elements.length), ...elements])
}

function headOf(type: number, count: number): Buffer {
  return Buffer.from(`${String.fromCharCode(type)}${count}\r\n`, 'latin1')
}

function distinct(elements: readonly Buffer[]): readonly Buffer[] {
  return [...new Map(elements.map((bytes) => [bytes.toString('latin1'), bytes])).values()]
}

function picked(parts: readonly Part[], pick: number): Part | undefined {
  const found = parts.filter(({ head }) => !head.isNull)
  return found[Math.abs(pick) % found.length]
}

/** The first value of FUNCTION STATS is null where nothing runs. */
function isRunning({ bytes, head }: Part): boolean {
  if (head.count < 2) return false
  const value = readHeader(bytes, valueEnd(bytes, head.end))
  return value?.isNull === false
}

/** Numbers, or lists of the same length in which all that is no number is the same everywhere. */
function combined(parts: readonly Part[], combine: Combine): Buffer | undefined {
  const [first, ...others] = parts as readonly [Part, ...Part[]]
  if (first.head.type === replyType.number) {
    const numbers = parts.map((part) => numberAt(part.bytes, part.head.end))
    return encoded(numbers, combine)
  }
  const rows = [first, ...others].map(elementsOf)
  const pieces: Buffer[] = [headOf(first.head.type, first.head.count)]
  for (let index = 0; index < first.head.count; index += 1) {
    const column = rows.map((row) => row?.[index])
    const piece = column[0] && combinedElement(column, combine)
    if (piece === undefined) return undefined
    pieces.push(piece)
  }
  return rows.every((row) => row?.length === first.head.count) ? Buffer.concat(pieces) : undefined
}

function combinedElement(
  column: readonly (Buffer | undefined)[],
  combine: Combine,
): Buffer | undefined {
  const [first] = column
  if (first === undefined) return undefined
  if (first[0] === replyType.number) {
    return encoded(
      column.map((bytes) => (bytes === undefined ? undefined : numberAt(bytes, bytes.length))),
      combine,
    )
  }
  return column.every((bytes) => bytes?.equals(first)) ? first : undefined
}

/** Of the line that ends at `end`; undefined when it is no number that can be reckoned with exactly. */
function numberAt(bytes: Buffer, end: number): number | undefined {
  const start = bytes.lastIndexOf(replyType.number, end - 1)
  const text = bytes.toString('latin1', start + 1, end - 2)
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  return start >= 0 && Number.isSafeInteger(value) ? value : undefined
}

function encoded(numbers: readonly (number | undefined)[], combine: Combine): Buffer | undefined {
  let value = numbers[0]
  for (const number of numbers.slice(1)) {
    if (value === undefined || number === undefined) return undefined
    value = combine(value, number)
  }
  if (value === undefined || !Number.isSafeInteger(value)) return undefined
  return Buffer.from(`:${value}\r\n`)
}
