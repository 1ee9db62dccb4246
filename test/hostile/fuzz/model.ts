/**
 * What strict reading makes of bytes, written apart from the sidecar’s scanners, over whole inputs and without a
 * thought for speed: the commands in them, and how they end.
 */

export interface Reading {
  readonly commands: readonly (readonly string[])[]
  /**
   * `whole`: nothing is left. `torn`: a command or line has begun and may go on. `error`: no command can be meant.
   * `either`: one of the two, the sidecar may find out later. `foreign`: another protocol. `quit`: QUIT.
   */
  readonly end: 'either' | 'error' | 'foreign' | 'quit' | 'torn' | 'whole'
}

export interface Bounds {
  readonly argumentCountMax: number
  readonly argumentBytesMax: number
}

type Stop = 'either' | 'error' | 'foreign' | 'torn'
type Step = Stop | { readonly words: readonly string[]; readonly next: number }

const inlineBytesMax = 65_536
const streamedBytesMin = 256 * 1024

/** `text` is latin1. */
export function read(text: string, bounds: Bounds): Reading {
  const commands: (readonly string[])[] = []
  for (let at = 0; at < text.length; ) {
    const isArray = text[at] === '*'
    const step = isArray ? readArray(text, at, bounds) : readInline(text, at, bounds)
    if (typeof step === 'string') return { commands, end: step }
    at = step.next
    if (step.words.length === 0) continue
    const name = (step.words[0] ?? '').toUpperCase()
    if (name === 'POST' || name === 'HOST:') return { commands, end: 'foreign' }
    commands.push(step.words)
    if (name === 'QUIT') return { commands, end: 'quit' }
  }
  return { commands, end: 'whole' }
}

type Header = Stop | { readonly value: number; readonly next: number }

/** A canonical decimal of at most ten digits, then CRLF. */
function readHeader(text: string, at: number): Header {
  const line = text.slice(at, at + 16)
  const whole = /^(0|-?[1-9]\d{0,9})\r\n/.exec(line)
  if (whole !== null) return { value: Number(whole[1]), next: at + whole[0].length }
  const isEnd = at + line.length === text.length
  return isEnd && /^(-?([1-9]\d{0,9})?|0|(0|-?[1-9]\d{0,9})\r)$/.test(line) ? 'torn' : 'error'
}

function readArray(text: string, start: number, bounds: Bounds): Step {
  const header = readHeader(text, start + 1)
  if (typeof header === 'string') return header
  if (header.value > Math.min(bounds.argumentCountMax, 2_147_483_647)) return 'error'
  const words: string[] = []
  let at = header.next
  const isStreamed = () => text.length - start > streamedBytesMin
  while (words.length < header.value) {
    if (at >= text.length) return 'torn'
    if (text[at] !== '$') return 'error'
    const length = readHeader(text, at + 1)
    if (typeof length === 'string') return isStreamed() ? 'either' : length
    if (length.value < 0 || length.value > bounds.argumentBytesMax) return 'error'
    const end = length.next + length.value
    const terminator = text.slice(end, end + 2)
    if (terminator !== '\r\n') return terminator === '' || terminator === '\r' ? 'torn' : 'error'
    words.push(text.slice(length.next, end))
    at = end + 2
  }
  return { words, next: at }
}

function readInline(text: string, start: number, bounds: Bounds): Step {
  if (text[start] === '\x16') return 'foreign'
  const found = text.indexOf('\n', start)
  const line = text.slice(start, found < 0 ? text.length : found)
  if (line.length > inlineBytesMax || line.includes('\0')) return 'error'
  if (found < 0) return 'torn'
  const words = splitLine(line.replace(/\r$/, ''))
  if (words === undefined) return 'error'
  const next = found + 1
  if (words.length === 0) return { words, next }
  const first = (words[0] ?? '').toUpperCase()
  const isHttp = /^HTTP\/\d/i.test(words.at(-1) ?? '') || first.startsWith('HTTP/')
  if (isHttp || foreignNames.has(first) || first === 'PROXY' || first.startsWith('SSH-'))
    return 'foreign'
  if (!/^[A-Za-z"']/.test(line.replace(/^[ \t\v\f\r]+/, ''))) return 'error'
  if (words.length > bounds.argumentCountMax) return 'error'
  return words.some((word) => word.length > bounds.argumentBytesMax) ? 'error' : { words, next }
}

const foreignNames: ReadonlySet<string> = new Set([
  'POST',
  'HOST:',
  'PUT',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'PATCH',
  'TRACE',
])

const word =
  /(?:"(?:\\(?:x[0-9a-fA-F]{2}|(?!x[0-9a-fA-F]{2})[^])|[^"\\])*"(?=[ \n\r\t\v\f]|$)|'(?:\\'|[^'])*'(?=[ \n\r\t\v\f]|$)|[^ \n\r\t\v\f"'])+/y

function splitLine(line: string): string[] | undefined {
  const words: string[] = []
  for (let at = 0; ; ) {
    while (at < line.length && ' \n\r\t\v\f'.includes(line[at] as string)) at += 1
    if (at >= line.length) return words
    word.lastIndex = at
    const match = word.exec(line)
    if (match === null) return undefined
    at += match[0].length
    if (at < line.length && !' \n\r\t\v\f'.includes(line[at] as string)) return undefined
    words.push(unquote(match[0]))
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

function unquote(raw: string): string {
  return raw.replaceAll(
    /"((?:\\(?:x[0-9a-fA-F]{2}|(?!x[0-9a-fA-F]{2})[^])|[^"\\])*)"|'((?:\\'|[^'])*)'/g,
    (_whole, double: string | undefined, single: string | undefined) =>
      double === undefined
        ? (single ?? '').replaceAll("\\'", "'")
        : double.replaceAll(/\\(?:x([0-9a-fA-F]{2})|([^]))/g, (_, hex?: string, char = '') =>
            hex === undefined
              ? (escapes[char] ?? char)
              : String.fromCharCode(Number.parseInt(hex, 16)),
          ),
  )
}
