/** Commands and replies of our own as bytes. Strings are latin1: a character per byte. */

export function encodeCommand(words: readonly (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word, 'latin1') : word
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, crlf)
  }
  return Buffer.concat(parts)
}

/** An error line; characters that would end it are replaced and it is cut to a bounded length. */
export function encodeError(text: string): Buffer {
  const line = text.replace(/[\r\n\0]/g, ' ').slice(0, errorLengthMax)
  return Buffer.from(`-${line}\r\n`, 'latin1')
}

export function encodeStatus(text: string): Buffer {
  return Buffer.from(`+${text}\r\n`, 'latin1')
}

export function encodeNumber(value: number): Buffer {
  return Buffer.from(`:${value}\r\n`)
}

export function encodeBulk(text: string): Buffer {
  return Buffer.from(`$${text.length}\r\n${text}\r\n`, 'latin1')
}

export function encodeNull(protocol: 2 | 3): Buffer {
  return Buffer.from(protocol === 3 ? '_\r\n' : '$-1\r\n')
}

export type Encodable =
  | string
  | number
  | readonly Encodable[]
  | { readonly pairs: readonly (readonly [string, Encodable])[] }

/** Strings as bulks, numbers as integers, maps as maps or flat arrays. */
export function encodeValue(value: Encodable, protocol: 2 | 3): string {
  if (typeof value === 'string') return `$${value.length}\r\n${value}\r\n`
  if (typeof value === 'number') return `:${value}\r\n`
  if ('pairs' in value) {
    const head = protocol === 3 ? `%${value.pairs.length}` : `*${2 * value.pairs.length}`
    const body = value.pairs.map(([key, item]) => encodeValue(key, 2) + encodeValue(item, protocol))
    return `${head}\r\n${body.join('')}`
  }
  return `*${value.length}\r\n${value.map((item) => encodeValue(item, protocol)).join('')}`
}

const crlf = Buffer.from('\r\n')
/** Longest error of our own. */
const errorLengthMax = 320
