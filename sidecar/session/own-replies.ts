/** What the sidecar itself says to clients, in the server’s own words where it has them. */
import { encodeError, encodeStatus } from '../resp/encode.ts'
import type { BrokenState } from './states.ts'

const proxyError = (text: string) => encodeError(`PROXY ${text}`)

export const ownReplies = {
  ok: encodeStatus('OK'),
  queued: encodeStatus('QUEUED'),
  reset: encodeStatus('RESET'),
  noAuth: encodeError('NOAUTH Authentication required.'),
  wrongPass: encodeError('WRONGPASS invalid username-password pair or user is disabled.'),
  nestedMulti: encodeError('ERR MULTI calls can not be nested'),
  notInTransaction: encodeError('ERR Command not allowed inside a transaction'),
  lost: proxyError(
    'RM_UPSTREAM_LOST the connection to the server ended before its reply; the command may have been run',
  ),
  willAbort: proxyError(
    'RM_UPSTREAM_LOST the connection of this transaction ended; EXEC will abort it',
  ),
  aborted: encodeError(
    'EXECABORT Transaction discarded because its connection to the server ended (RM_UPSTREAM_LOST)',
  ),
  moved: encodeError(
    'TRYAGAIN the keys of the command went to another server while it was sent; it was not run; try again',
  ),
  movedAbort: encodeError(
    'EXECABORT Transaction discarded because its keys went to another server; nothing of it was run; try again',
  ),
  redirected: proxyError(
    'RM_REDIRECTS servers sent the command from one to another; it was not run; try again',
  ),
  tooLarge: proxyError(
    'RM_OVERLOADED the replies of the servers are too large to be made one; ask for fewer keys at once',
  ),
  unmerged: proxyError(
    'RM_REPLIES the replies of the servers cannot be made one; the command may have been run',
  ),
  noPrimary: proxyError('RM_NO_PRIMARY no server may take the command at present; try again'),
  heldTooLong: proxyError(
    'RM_HOLD_TIMEOUT the primary could not be reached in time; the command was not run; try again',
  ),
  demoted: encodeError(
    'READONLY the primary is a replica now and no other was found in time (RM_HOLD_TIMEOUT); the command was not run; try again',
  ),
  refusedUpstream: proxyError(
    'RM_UPSTREAM_AUTH the server refuses the user or password of the sidecar; the command was not run; correct them',
  ),
  paused: proxyError('RM_PAUSED the sidecar is paused; the command was not run; try again'),
  busy: encodeError(
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  ),
  overloaded: proxyError(
    'RM_OVERLOADED too many clients need a connection of their own; try again later',
  ),
  queueFull: proxyError(
    'RM_OVERLOADED the server takes no more commands at present; the command was not run; try again',
  ),
  databaseGone: proxyError(
    'RM_UPSTREAM_LOST the selected database cannot be selected any more; connect again',
  ),
} as const

/** What commands get between MULTI and EXEC of a transaction that has ended already. */
export function replyWhileBroken(broken: BrokenState): Buffer | undefined {
  if (broken === 'transaction') return ownReplies.willAbort
  return broken === 'transactionAfterWatch' ? ownReplies.queued : undefined
}

/** What EXEC answers when a watched key was touched. */
export function emptyTransaction(protocol: 2 | 3): Buffer {
  return Buffer.from(protocol === 3 ? '_\r\n' : '*-1\r\n')
}
