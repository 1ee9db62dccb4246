/** Confirmations of subscriptions in the words of servers. */
import type { ProtocolVersion } from '../upstream/connection.ts'

/** `command` in upper case; `name`: undefined where there was nothing to end. */
export function encodeConfirmation(
  protocol: ProtocolVersion,
  command: string,
  name: string | undefined,
  count: number,
): Buffer {
  const none = protocol === 3 ? '_\r\n' : '$-1\r\n'
  const shown = name === undefined ? none : `$${name.length}\r\n${name}\r\n`
  const word = command.toLowerCase()
  const head = `${protocol === 3 ? '>' : '*'}3\r\n$${word.length}\r\n${word}\r\n`
  return Buffer.from(`${head}${shown}:${count}\r\n`, 'latin1')
}
