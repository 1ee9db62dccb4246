/** Bytes that are not an array: an inline command, an empty line, another protocol, or nothing sensible. */
import { inlineBytesMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { isForeignOpening, splitInline } from '../resp/inline.ts'
import type { Session } from './session.ts'

const tlsHandshake = 0x16
const lineFeed = 10

export function handleInline(session: Session): void {
  const { input } = session
  const first = input.bytes[input.start]
  if (first === tlsHandshake) {
    cut(session, 'a client speaks TLS to a plain port')
    return
  }
  const found = input.bytes.subarray(input.start, input.end).indexOf(lineFeed)
  const length = found < 0 ? input.length : found
  if (length > inlineBytesMax) return session.refuseProtocol('too big inline request')
  const line = input.bytes.toString('latin1', input.start, input.start + length)
  if (line.includes('\0')) return session.refuseProtocol('NUL in an inline request')
  if (found < 0) {
    session.wait = 'input'
    return
  }
  handleLine(session, line.replace(/\r$/, ''), length + 1)
}

function handleLine(session: Session, line: string, byteCount: number): void {
  const words = splitInline(line)
  if (words === undefined) return session.refuseProtocol('unbalanced quotes in request')
  if (words.length === 0) {
    session.input.start += byteCount
    return
  }
  if (isForeignOpening(words)) return cut(session, 'a client speaks another protocol')
  if (!/^[A-Za-z"']/.test(line.trimStart())) {
    return session.refuseProtocol('an inline command begins with a letter')
  }
  session.input.start += byteCount
  session.input.prepend(encodeCommand(words))
}

/** Another protocol’s client: what it sent may be meant to look like commands, so nothing is answered or run. */
export function cut(session: Session, why: string): void {
  session.context.counters.protocolErrors += 1
  session.context.log.info({ client: session.address }, why)
  session.destroy()
}
