/** What a subscriber in RESP2 is told that asks for something else at a server without its keys. */
import { isContainerCommand } from '../../../common/redis/command-table.ts'
import { frameArguments } from '../../resp/arguments.ts'
import { encodeError } from '../../resp/encode.ts'
import { readRefusal } from './redirects.ts'

const confinement =
  'only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context'

/** The end of a reply to `frame`: servers look for the keys of a command before they see that the client may not ask. */
export function confinedReply(reply: Buffer, frame: Buffer): Buffer {
  const isElsewhere = reply.toString('latin1', 0, 10) === '-CROSSSLOT' || readRefusal(reply)
  if (!isElsewhere) return reply
  const words = frameArguments(frame, 0, 2).map((word) => word.toString('latin1').toLowerCase())
  const [name = '', subcommand] = words
  const isContainer = subcommand !== undefined && isContainerCommand(name.toUpperCase())
  const told = isContainer ? `${name}|${subcommand}` : name
  return encodeError(`ERR Can't execute '${told}': ${confinement}`)
}
