/**
 * Commands that go over a connection of the session's own, one at a time, where there are several servers: those of
 * clients whose reads a server keeps in mind, and those that a server may hold while it is paused for writes, behind
 * which everyone on a shared connection would wait.
 */
import type { Backend } from '../../route/backend.ts'
import { PinReason } from '../pinning.ts'
import type { Session } from '../session.ts'
import { sendOwn } from './send-own.ts'
import { endOfCommand, serverOf, noKey } from './sharded.ts'

/** Whether its commands do. */
export function goesAlone(session: Session): boolean {
  const { context, state } = session
  return state.tracking !== undefined || context.primary.writePause.isOn
}

/** Whether one server has all keys, and so can tell a client of all that change. */
export const isWhole = ({ shards }: Backend): boolean => shards.length === 1

/** Sends the first of `count` commands up to `end`; undefined: it is for several servers. False: there is more to do. */
export function sendAlone(
  session: Session,
  backend: Backend,
  { end, count }: { readonly end: number; readonly count: number },
): boolean | undefined {
  const { input, context, state } = session
  if (state.tracking !== undefined && !isWhole(backend)) {
    // It would not be told of what changes elsewhere.
    session.destroy()
    return false
  }
  const next = count === 1 ? end : endOfCommand(input.bytes, input.start, end)
  const { planner } = context
  const kind = planner.plan(backend, input.bytes, input.start, next)
  if (kind !== 'shard' && kind !== 'anywhere') return undefined
  const server = serverOf(session, kind === 'shard' ? planner.hash : noKey)
  return sendOwn(session, next, { reason: PinReason.once, server }) && count === 1
}
