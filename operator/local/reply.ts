/** Replies of RESP2 as values, out of text of which each character is a byte. */

export type Reply = string | number | null | ErrorReply | readonly Reply[]

/** What a server answered with `-`. */
export class ErrorReply {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

interface Parsed {
  readonly reply: Reply
  readonly next: number
}

/** @returns undefined while the reply is incomplete */
export function parseReply(text: string, start: number): Parsed | undefined {
  const end = text.indexOf('\r\n', start)
  if (end < 0) return undefined
  const line = text.slice(start + 1, end)
  const next = end + 2
  switch (text.charAt(start)) {
    case '+':
      return { reply: line, next }
    case '-':
      return { reply: new ErrorReply(line), next }
    case ':':
      return { reply: Number(line), next }
    case '$':
      return parseBulk(text, Number(line), next)
    case '*':
      return parseArray(text, Number(line), next)
    default:
      throw new Error(`not a reply: ${JSON.stringify(text.slice(start, start + 20))}`)
  }
}

function parseBulk(text: string, length: number, start: number): Parsed | undefined {
  if (length < 0) return { reply: null, next: start }
  const next = start + length + 2
  return text.length < next ? undefined : { reply: text.slice(start, start + length), next }
}

function parseArray(text: string, count: number, start: number): Parsed | undefined {
  const items: Reply[] = []
  let next = start
  for (let index = 0; index < count; index += 1) {
    const item = parseReply(text, next)
    if (item === undefined) return undefined
    items.push(item.reply)
    next = item.next
  }
  return { reply: count < 0 ? null : items, next }
}
