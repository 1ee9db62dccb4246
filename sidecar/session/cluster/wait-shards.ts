/**
 * WAIT and WAITAOF where there are several servers: each shard is asked over a connection that is opened for it, and
 * the least of what they say is the answer. A server counts from the last command of the connection, so that the
 * connection runs one first: everything that the client was answered is then before it.
 */
import { isBusy } from '../../upstream/target.ts'
import type { Reply } from '../../resp/decode.ts'
import { encodeCommand, encodeError, encodeNumber } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { ownReplies } from '../own-replies.ts'
import type { Session } from '../session.ts'
import type { SpecialCommand } from '../special.ts'
import { shardedBackend } from './sharded.ts'

const ping = encodeCommand(['PING'])

export function waitForShards(session: Session, command: SpecialCommand): void {
  const { context, pinning } = session
  if (session.holdError !== undefined) return void session.forwardRun(command.end, 1)
  const shards = shardedBackend(context)?.shards ?? []
  if (pinning.isHeld || shards.length === 0) return void session.hold()
  const request = encodeCommand(command.words())
  session.input.start = command.end
  session.wait = 'outside'
  context.counters.commands += 1
  const abort = new AbortController()
  const onClose = () => abort.abort()
  session.socket.once('close', onClose)
  const asked = shards.map(({ primary }) => ask(primary, request, abort.signal, session))
  void Promise.all(asked).then((replies) => {
    session.socket.off('close', onClose)
    if (session.isClosed) return
    session.answer(leastOf(replies))
    session.resume()
  })
}

/** Undefined: it could not be asked. */
async function ask(
  server: ServerConnections,
  request: Buffer,
  signal: AbortSignal,
  { context }: Session,
): Promise<Reply | undefined> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(context.timing.holdTimeoutMs)])
  try {
    const connection = server.takeIdle(2) ?? (await server.openPinned(2, patience))
    const end = () => connection.destroy()
    signal.addEventListener('abort', end)
    try {
      const replies = await connection.ask(Buffer.concat([ping, request]), 2)
      return replies[1]
    } finally {
      signal.removeEventListener('abort', end)
      server.release(connection, !signal.aborted)
    }
  } catch (error) {
    return isBusy(error)
      ? { kind: 'error', text: ownReplies.busy.toString('latin1', 1).trim() }
      : undefined
  }
}

function leastOf(replies: readonly (Reply | undefined)[]): Buffer {
  const least: number[] = []
  let isList = false
  for (const reply of replies) {
    if (reply === undefined) return ownReplies.lost
    if (reply.kind === 'error') return encodeError(reply.text)
    isList = reply.kind === 'list'
    const items = reply.kind === 'list' ? reply.items : [reply]
    for (const [index, item] of items.entries()) {
      const value = item.kind === 'number' ? item.value : 0
      least[index] = Math.min(least[index] ?? value, value)
    }
  }
  const numbers = least.map(encodeNumber)
  return isList
    ? Buffer.concat([Buffer.from(`*${numbers.length}\r\n`), ...numbers])
    : Buffer.concat(numbers)
}
