/** What is asked of the primaries of all shards past the commands of clients, and made one answer. */
import type { Reply } from '../../resp/decode.ts'
import { encodeCommand, encodeNumber } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { encodeAside } from '../aside-reply.ts'
import { ownReplies } from '../own-replies.ts'
import type { Session } from '../session.ts'
import type { SpecialCommand } from '../special.ts'
import { shardedBackend } from './sharded.ts'

/**
 * `oneOk`: a success, if there is one; `allOk`: an error, if there is one; `sum`: of numbers; `busy`: of the server
 * that runs something.
 */
export type Answer = 'oneOk' | 'allOk' | 'sum' | 'busy'

/** Asks all servers; the session goes on with one answer. A server that cannot be asked counts as one without any. */
export function askAllAside(session: Session, command: SpecialCommand, answer: Answer): void {
  const shards = shardedBackend(session.context)?.shards ?? []
  if (shards.length === 0 && session.holdError === undefined) return void session.hold()
  const servers = shards.map(({ primary }) => primary)
  askAside(session, command, { servers, answer, words: command.words() })
}

export interface AsideQuestion {
  readonly servers: readonly ServerConnections[]
  readonly answer: Answer
  readonly words: readonly (string | Buffer)[]
}

export function askAside(
  session: Session,
  command: SpecialCommand,
  { servers, answer, words }: AsideQuestion,
): void {
  const { context } = session
  const request = encodeCommand(words)
  const asked = servers.map(async (server) => {
    try {
      return (await (server.askAside(request) ?? askOver(server, request, session)))[0]
    } catch {
      return undefined
    }
  })
  session.input.start = command.end
  session.wait = 'outside'
  context.counters.commands += 1
  void Promise.all(asked).then((replies) => {
    if (session.isClosed) return
    const found = replies.filter((reply) => reply !== undefined)
    session.answer(mergedReply(session, found, answer))
    session.resume()
  })
}

/** Over a connection that is opened for it, where none is kept ready yet. */
async function askOver(
  server: ServerConnections,
  request: Buffer,
  { context }: Session,
): Promise<readonly Reply[]> {
  const patience = AbortSignal.timeout(context.timing.holdTimeoutMs)
  const connection = server.takeIdle(2) ?? (await server.openPinned(2, patience))
  try {
    return await connection.ask(request, 1)
  } finally {
    server.release(connection, true)
  }
}

function mergedReply(session: Session, replies: readonly Reply[], answer: Answer): Buffer {
  const [first] = replies
  if (first === undefined) return ownReplies.noPrimary
  const errors = replies.filter(({ kind }) => kind === 'error')
  const others = replies.filter(({ kind }) => kind !== 'error')
  if (answer === 'sum' && others.length > 0) {
    let sum = 0
    for (const reply of others) if (reply.kind === 'number') sum += reply.value
    return encodeNumber(sum)
  }
  if (answer === 'allOk') return encodeAside(errors[0] ?? first, session.protocol)
  if (answer === 'oneOk') {
    // Servers with nothing to end say so; one that refuses to end says more.
    const refusal = errors.find((error) => !isIdle(error))
    return encodeAside(others[0] ?? refusal ?? first, session.protocol)
  }
  if (answer === 'sum') return encodeAside(first, session.protocol)
  return encodeAside(others.find(isBusy) ?? others[0] ?? first, session.protocol)
}

function isIdle(reply: Reply): boolean {
  return reply.kind === 'error' && /^(NOTBUSY|ERR No such client)/.test(reply.text)
}

/** FUNCTION STATS of a server that runs one: its first value is no null. */
function isBusy(reply: Reply): boolean {
  return reply.kind === 'list' && reply.items[1]?.kind === 'list'
}
