/** Bytes that are not an array: an inline command, an empty line, another protocol, or nothing sensible. */
import { clientWindowMax, inlineBytesMax } from '../../common/limits.ts'
import { frameWords, isForeignOpening, splitInline } from '../resp/inline.ts'
import type { Input } from './input.ts'
import type { Session } from './session.ts'

const tlsHandshake = 0x16
const lineFeed = 10
const asterisk = 42

type Line =
  /** Nothing is to be done for it. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'command'; readonly frame: string }
  /** It has not ended. */
  | { readonly kind: 'more' }
  | { readonly kind: 'foreign'; readonly why: string }
  | { readonly kind: 'error'; readonly error: string }

/**
 * Replaces the lines at the start of the input by frames: as many as may be in flight at once, so that a pipeline of
 * them is seldom copied. What is wrong with a line is said when those before it have been dealt with.
 */
export function handleInline(session: Session): void {
  const { input } = session
  const frames: string[] = []
  const last = takeLines(input, frames)
  if (frames.length > 0) input.prepend(Buffer.from(frames.join(''), 'latin1'))
  else if (last.kind === 'more') session.wait = 'input'
  else if (last.kind === 'foreign') cut(session, last.why)
  else if (last.kind === 'error') session.refuseProtocol(last.error)
}

/** Takes whole lines off the input; the one that it stopped at or took last. */
function takeLines(input: Input, frames: string[]): Line {
  for (;;) {
    const found = input.bytes.subarray(input.start, input.end).indexOf(lineFeed)
    const line = readLine(input, found)
    if (line.kind !== 'command' && line.kind !== 'empty') return line
    input.start += found + 1
    if (line.kind === 'command') frames.push(line.frame)
    const isLine = input.length > 0 && input.bytes[input.start] !== asterisk
    if (!isLine || frames.length >= clientWindowMax) return line
  }
}

/** `found`: where the line ends, or negative. */
function readLine(input: Input, found: number): Line {
  if (input.bytes[input.start] === tlsHandshake) {
    return { kind: 'foreign', why: 'a client speaks TLS to a plain port' }
  }
  const length = found < 0 ? input.length : found
  if (length > inlineBytesMax) return { kind: 'error', error: 'too big inline request' }
  const bytes = input.bytes.subarray(input.start, input.start + length)
  if (bytes.includes(0)) return { kind: 'error', error: 'NUL in an inline request' }
  if (found < 0) return { kind: 'more' }
  const line = bytes.toString('latin1').replace(/\r$/, '')
  const words = splitInline(line)
  if (words === undefined) return { kind: 'error', error: 'unbalanced quotes in request' }
  if (words.length === 0) return { kind: 'empty' }
  if (isForeignOpening(words)) return { kind: 'foreign', why: 'a client speaks another protocol' }
  if (!/^[ \t\v\f\r]*[A-Za-z"']/.test(line)) {
    return { kind: 'error', error: 'an inline command begins with a letter' }
  }
  return { kind: 'command', frame: frameWords(words) }
}

/** Another protocol’s client: what it sent may be meant to look like commands, so nothing is answered or run. */
export function cut(session: Session, why: string): void {
  session.context.counters.protocolErrors += 1
  session.context.log.info({ client: session.address }, why)
  session.destroy()
}
