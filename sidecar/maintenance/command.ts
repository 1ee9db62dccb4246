/** CLIENT MAINT_NOTIFICATIONS: a client asks to be told of maintenance, or no more. It is between it and the sidecar. */
import { encodeError } from '../resp/encode.ts'
import { ownReplies } from '../session/own-replies.ts'
import type { Session } from '../session/session.ts'
import { type SpecialCommand, answerCommand } from '../session/special.ts'
import { endpointTypes } from './notices.ts'

const syntaxError = encodeError('ERR syntax error')
const badEndpoint = encodeError(
  `ERR Invalid moving-endpoint-type. Valid values are ${endpointTypes.join(', ')}`,
)
const needsPushes = encodeError('ERR MAINT_NOTIFICATIONS needs RESP3: send HELLO 3 first')

/** `CLIENT MAINT_NOTIFICATIONS ON [MOVING-ENDPOINT-TYPE type]` or `… OFF`. Without a type no address is told. */
export function handleMaintNotifications(session: Session, command: SpecialCommand): void {
  answerCommand(session, command, replyTo(session, command))
}

function replyTo(session: Session, command: SpecialCommand): Buffer {
  const { argumentCount } = command
  const { maintenance } = session.context
  const mode = command.word(2)
  if (mode === 'OFF' && argumentCount === 3) {
    maintenance.forget(session)
    return ownReplies.ok
  }
  const isPlain = argumentCount === 3
  const isTyped = argumentCount === 5 && command.word(3) === 'MOVING-ENDPOINT-TYPE'
  if (mode !== 'ON' || (!isPlain && !isTyped)) return syntaxError
  const word = isPlain ? 'none' : command.word(4).toLowerCase()
  const endpoint = endpointTypes.find((type) => type === word)
  if (endpoint === undefined) return badEndpoint
  if (session.protocol !== 3) return needsPushes
  maintenance.tell(session, endpoint)
  return ownReplies.ok
}
