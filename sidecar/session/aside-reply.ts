/** Replies to what was asked past all clients’ commands, on a connection with RESP2, for a client of either version. */
import type { Reply } from '../resp/decode.ts'
import { encodeBulk, encodeError, encodeNull, encodeNumber, encodeStatus } from '../resp/encode.ts'
import type { ProtocolVersion } from '../upstream/connection.ts'
import { ownReplies } from './own-replies.ts'

/** Statuses, errors, and maps as FUNCTION STATS has them. */
export function encodeAside(reply: Reply | undefined, protocol: ProtocolVersion): Buffer {
  if (reply?.kind === 'text') return encodeStatus(reply.text)
  if (reply?.kind === 'error') return encodeError(reply.text)
  if (reply?.kind === 'list') return encodeMap(reply.items, protocol)
  return ownReplies.lost
}

/** All lists are maps but one, the words of the command that runs. */
const plainListKey = 'command'

function encodeMap(items: readonly Reply[], protocol: ProtocolVersion): Buffer {
  const head = protocol === 3 ? `%${items.length / 2}\r\n` : `*${items.length}\r\n`
  const parts = items.map((item, index) => {
    const key = index % 2 === 1 ? items[index - 1] : undefined
    const isPlain = key?.kind === 'text' && key.text === plainListKey
    return encodeItem(item, protocol, isPlain)
  })
  return Buffer.concat([Buffer.from(head), ...parts])
}

function encodeItem(item: Reply, protocol: ProtocolVersion, isPlain: boolean): Buffer {
  if (item.kind === 'null') return encodeNull(protocol)
  if (item.kind === 'number') return encodeNumber(item.value)
  if (item.kind !== 'list') return encodeBulk(item.text)
  if (!isPlain) return encodeMap(item.items, protocol)
  const words = item.items.map((word) => encodeItem(word, protocol, false))
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words])
}
