/** Reads the few kinds of replies that ROLE, INFO and AUTH give (RESP2), whole, from small buffers. */

export type Reply = string | number | null | ReplyError | readonly Reply[]

/** An error that the server answered; its text. */
export class ReplyError {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

export interface Parsed {
  readonly reply: Reply
  /** Where the next reply begins. */
  readonly end: number
}

const nestingMax = 8

/**
 * The reply that begins at `start`, or undefined while it is not complete.
 * @throws Error if it is not RESP
 */
export function parseReply(buffer: Buffer, start = 0, depth = 0): Parsed | undefined {
  const lineEnd = buffer.indexOf('\r\n', start, 'latin1')
  if (lineEnd === -1) return undefined
  const line = buffer.toString('utf8', start + 1, lineEnd)
  const end = lineEnd + 2
  switch (buffer.toString('latin1', start, start + 1)) {
    case '+':
      return { reply: line, end }
    case '-':
      return { reply: new ReplyError(line), end }
    case ':':
      return { reply: integer(line), end }
    case '$':
      return parseBulk(buffer, integer(line), end)
    case '*':
      if (depth >= nestingMax) throw new Error('the server’s reply is nested too deeply')
      return parseArray(buffer, { count: integer(line), start: end, depth })
    default:
      throw new Error('the server’s reply is not RESP')
  }
}

function parseBulk(buffer: Buffer, length: number, start: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: start }
  const end = start + length
  if (buffer.length < end + 2) return undefined
  return { reply: buffer.toString('utf8', start, end), end: end + 2 }
}

function parseArray(
  buffer: Buffer,
  array: { readonly count: number; readonly start: number; readonly depth: number },
): Parsed | undefined {
  if (array.count < 0) return { reply: null, end: array.start }
  const items: Reply[] = []
  let { start } = array
  while (items.length < array.count) {
    const item = parseReply(buffer, start, array.depth + 1)
    if (item === undefined) return undefined
    items.push(item.reply)
    start = item.end
  }
  return { reply: items, end: start }
}

function integer(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isSafeInteger(value)) {
    throw new Error('the server’s reply has a length or number that is none')
  }
  return value
}
