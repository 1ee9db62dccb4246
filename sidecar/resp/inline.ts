/** Inline commands: a line of words, split by the server's own quoting rules and made into an array frame. */

const hexDigit = /^[0-9a-fA-F]$/
const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  a: '\x07',
}
const isSpace = (char: string | undefined) => char !== undefined && ' \n\r\t\v\f\0'.includes(char)

/** The words of a line (latin1, a character per byte); undefined when its quotes are not balanced. */
export function splitInline(line: string): string[] | undefined {
  const words: string[] = []
  let at = 0
  for (;;) {
    while (isSpace(line[at])) at += 1
    if (at >= line.length) return words
    const word = readWord(line, at)
    if (word === undefined) return undefined
    words.push(word.text)
    at = word.end
  }
}

interface Piece {
  readonly text: string
  readonly end: number
}

function readWord(line: string, start: number): Piece | undefined {
  let text = ''
  let at = start
  while (at < line.length && !isSpace(line[at])) {
    const char = line[at] as string
    if (char === '"' || char === "'") {
      const quoted = char === '"' ? readDouble(line, at + 1) : readSingle(line, at + 1)
      // A closing quote ends a word: what follows it must be a space or nothing.
      if (quoted === undefined) return undefined
      if (quoted.end < line.length && !isSpace(line[quoted.end])) return undefined
      text += quoted.text
      at = quoted.end
    } else {
      text += char
      at += 1
    }
  }
  return { text, end: at }
}

function readDouble(line: string, start: number): Piece | undefined {
  const parts: string[] = []
  let at = start
  while (at < line.length) {
    const char = line[at] as string
    if (char === '"') return { text: parts.join(''), end: at + 1 }
    const next = line[at + 1]
    if (char !== '\\' || next === undefined) {
      parts.push(char)
      at += 1
    } else if (
      next === 'x' &&
      hexDigit.test(line[at + 2] ?? '') &&
      hexDigit.test(line[at + 3] ?? '')
    ) {
      parts.push(String.fromCharCode(Number.parseInt(line.slice(at + 2, at + 4), 16)))
      at += 4
    } else {
      parts.push(escapes[next] ?? next)
      at += 2
    }
  }
  return undefined
}

function readSingle(line: string, start: number): Piece | undefined {
  const parts: string[] = []
  let at = start
  while (at < line.length) {
    const char = line[at] as string
    if (char === "'") return { text: parts.join(''), end: at + 1 }
    const isEscapedQuote = char === '\\' && line[at + 1] === "'"
    parts.push(isEscapedQuote ? "'" : char)
    at += isEscapedQuote ? 2 : 1
  }
  return undefined
}

/** The words (latin1) as an array frame. */
export function frameWords(words: readonly string[]): string {
  const bulks = words.map((word) => `$${word.length}\r\n${word}\r\n`)
  return `*${words.length}\r\n${bulks.join('')}`
}

/** Openings of other protocols: a client that speaks one of them is not to be answered. */
export function isForeignOpening(words: readonly string[]): boolean {
  const first = (words[0] ?? '').toUpperCase()
  if (httpMethods.has(first) || first === 'HOST:' || first === 'PROXY') return true
  if (first.startsWith('SSH-') || first.startsWith('HTTP/')) return true
  return /^HTTP\/\d/i.test(words.at(-1) ?? '')
}

const httpMethods = new Set([
  'POST',
  'PUT',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'PATCH',
  'TRACE',
])
