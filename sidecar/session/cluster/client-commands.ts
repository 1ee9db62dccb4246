/** The sub-commands of CLIENT that mean something else where there are several servers. */
import { encodeError } from '../../resp/encode.ts'
import { findClient } from '../client-ids.ts'
import type { Session } from '../session.ts'
import { type SpecialCommand, answerCommand } from '../special.ts'
import { isWhole } from './alone.ts'
import { askAllAside, askAside } from './every-server.ts'
import { shardedBackend } from './sharded.ts'

/** False: it is dealt with as with one server. */
export function handleShardedClient(session: Session, command: SpecialCommand): void | false {
  if (session.holdError !== undefined) return false
  switch (command.word(1)) {
    case 'PAUSE':
    case 'UNPAUSE':
      notePause(session, command)
      return askAllAside(session, command, 'allOk')
    case 'UNBLOCK':
      return unblock(session, command)
    case 'KILL':
      return kill(session, command)
    case 'TRACKING':
      if (command.word(2) === 'OFF' || canTrack(session)) return false
      return answerCommand(session, command, noTracking)
    case 'CACHING':
      return canTrack(session) ? false : answerCommand(session, command, noCaching)
    case 'NO-TOUCH':
      return command.word(2) === 'ON' ? answerCommand(session, command, noTouch) : false
    default:
      return false
  }
}

function canTrack({ context }: Session): boolean {
  const backend = shardedBackend(context)
  return backend === undefined || isWhole(backend)
}

/** Behind a write that waits everyone on a shared connection would wait. */
function notePause({ context }: Session, command: SpecialCommand): void {
  const isPause = command.word(1) === 'PAUSE'
  if (isPause && (command.word(3) !== 'WRITE' || !/^\d{1,15}$/.test(command.word(2)))) return
  const shards = shardedBackend(context)?.shards ?? []
  for (const { primary } of shards) primary.writePause.note(isPause ? Number(command.word(2)) : 0)
}

const notHere = (what: string) =>
  encodeError(`PROXY RM_NOT_SHARDED ${what} is not possible through a sidecar with several servers`)
const noTracking = notHere('CLIENT TRACKING')
const noTouch = notHere('CLIENT NO-TOUCH')
const noCaching = encodeError(
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
)

/** The server that has the client’s connection is the one to be asked. */
function unblock(session: Session, command: SpecialCommand): void | false {
  const target = findClient(session.context, command.word(2))
  if (target === undefined) return askAllAside(session, command, 'sum')
  const { lane, server } = target.pinning
  const words = command.words()
  words[2] = Buffer.from(String(lane?.connection.serverId ?? 0))
  return askAside(session, command, { servers: [server], answer: 'sum', words })
}

/** A client of ours is ended here; others are at any of the servers. */
function kill(session: Session, command: SpecialCommand): void | false {
  const isOurs = command
    .words()
    .some((word) => findClient(session.context, word.toString('latin1')))
  if (isOurs) return false
  // The old form names an address and is answered with a status.
  return askAllAside(session, command, command.argumentCount === 3 ? 'oneOk' : 'sum')
}
