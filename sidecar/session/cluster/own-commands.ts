/** Commands that need a connection of their own where there are several servers. */
import { ownReplies } from '../own-replies.ts'
import { PinReason } from '../pinning.ts'
import type { Session } from '../session.ts'
import { type SpecialCommand, answerCommand } from '../special.ts'
import { goesAlone, sendAlone } from './alone.ts'
import { readRefusal, serverToldOf } from './redirects.ts'
import { type OwnCommand, sendOwn } from './send-own.ts'
import {
  crossSlot,
  endOfCommand,
  hashOfBeginning,
  hashOfCommand,
  keysApart,
  noKey,
  serverOf,
  shardedBackend,
} from './sharded.ts'
import { ShardTransaction } from './shard-transaction.ts'

/**
 * Takes the commands up to `end` if they belong on a connection that the session has; undefined: they go where others
 * do. False: they have to wait.
 */
export function takeOwn(session: Session, end: number, count: number): boolean | undefined {
  const { pinning, input } = session
  const backend = shardedBackend(session.context)
  if (backend === undefined) return undefined
  const { isConfined, links } = session.subscriber
  if (isConfined && links !== undefined) {
    if (session.holdError !== undefined) return undefined
    const first = count === 1 ? end : endOfCommand(input.bytes, input.start, end)
    return links.sendConfined(first) && count === 1
  }
  const { transaction } = pinning
  if (transaction === undefined) {
    if (pinning.isRaw) return sendRaw(session, end, count)
    return goesAlone(session) ? sendAlone(session, backend, { end, count }) : undefined
  }
  for (let left = count; left > 0; left -= 1) {
    const next = left === 1 ? end : endOfCommand(input.bytes, input.start, end)
    const isTaken = session.holdError === undefined && transaction.take(next)
    if (!isTaken && session.holdError === undefined) return false
    if (!isTaken && !failTransaction(session, next)) return false
  }
  return true
}

/** The server could not be reached in time. */
function failTransaction(session: Session, end: number): boolean {
  if (!session.waitForReplies()) return false
  const reply = session.holdError ?? ownReplies.heldTooLong
  session.context.counters.commandsHeldTooLong += 1
  session.pinning.drop()
  session.broken = 'transaction'
  answerCommand(session, { end }, reply)
  return true
}

function sendRaw(session: Session, end: number, count: number): boolean {
  const { input, pinning } = session
  pinning.lane?.enqueue(input.slice(input.start, end))
  input.start = end
  session.context.counters.commands += count
  return session.raw.noteSent(count)
}

/** MULTI names no key: the server is known with the first one. */
export function beginTransaction(session: Session, command: SpecialCommand): void {
  if (command.argumentCount !== 1) return void session.forwardRun(command.end, 1)
  session.pinning.transaction = new ShardTransaction(session)
  session.pinning.add(PinReason.transaction)
  answerCommand(session, command, ownReplies.ok)
}

export function endTransaction(session: Session, command: SpecialCommand): void {
  const { pinning } = session
  const { transaction } = pinning
  if (transaction === undefined) return void session.forwardRun(command.end, 1)
  if (session.holdError !== undefined) {
    failTransaction(session, command.end)
    session.broken = 'none'
    return
  }
  const isDiscard = command.name === 'DISCARD'
  if (transaction.isBegun || command.argumentCount !== 1) {
    transaction.take(command.end, isDiscard ? 'discard' : 'exec')
    return
  }
  pinning.transaction = undefined
  pinning.remove(PinReason.transaction)
  answerCommand(session, command, isDiscard ? ownReplies.ok : emptyArray)
}

const emptyArray = Buffer.from('*0\r\n')

/** Sends a command to the server of its keys; false when it has to wait, or was refused. */
export function sendToShard(
  session: Session,
  command: SpecialCommand,
  own: Pick<OwnCommand, 'reason' | 'onDone'>,
): boolean {
  const hash = hashAtStart(session, command.end)
  if (hash === keysApart) {
    answerCommand(session, command, crossSlot)
    return false
  }
  const server = serverOf(session, hash)
  const { pinning } = session
  // What it watches is at another server, and it has one connection of its own.
  const isAway = hash !== noKey && server !== pinning.server
  if (pinning.has(PinReason.watch) && pinning.lane !== undefined) {
    if (isAway) {
      answerCommand(session, command, crossSlot)
      return false
    }
    return sendOwn(session, command.end, { ...own, server: pinning.server })
  }
  return sendOwn(session, command.end, { ...own, server })
}

export function hashAtStart(session: Session, end: number): number {
  const { input, context } = session
  const backend = shardedBackend(context)
  return backend === undefined ? noKey : hashOfCommand(backend, input.bytes, input.start, end)
}

export function watch(session: Session, command: SpecialCommand): void {
  const { pinning } = session
  const hash = hashAtStart(session, command.end)
  const onDone = () => {
    pinning.add(PinReason.watch)
    pinning.watchedHash = hash
  }
  sendToShard(session, command, { reason: PinReason.once, onDone })
}

export function unwatch(session: Session, command: SpecialCommand): void {
  const { pinning } = session
  if (command.argumentCount !== 1) return void session.forwardRun(command.end, 1)
  if (!pinning.has(PinReason.watch) || pinning.lane === undefined) {
    return answerCommand(session, command, ownReplies.ok)
  }
  const { server } = pinning
  const onDone = () => pinning.remove(PinReason.watch)
  sendOwn(session, command.end, { reason: PinReason.once, server, onDone })
}

/** BLPOP and its like; `name` as the table has it. */
export function sendBlocking(session: Session, command: SpecialCommand): void {
  const { input, pinning, context } = session
  const frame = Buffer.from(input.bytes.subarray(input.start, command.end))
  if (!sendToShard(session, command, { reason: PinReason.blocking })) return
  const sinceMs = context.clock.monotonicMs()
  pinning.blocked = { name: command.name, frame, sinceMs, isCalledBack: false }
}

/** The hash of the first key of the unfinished command at the start of the input; undefined: it has not come yet. */
export function hashOfLarge(session: Session): number | undefined {
  const { input, context } = session
  const backend = shardedBackend(context)
  return backend === undefined
    ? noKey
    : hashOfBeginning(backend, input.bytes, input.start, input.end)
}

/** A large command was refused where it went: it has passed, and cannot be sent again. */
export function expectLarge(session: Session): void {
  session.replies.expect({
    isWanted: true,
    onError: (line) => {
      const refusal = readRefusal(line)
      if (refusal === undefined) return line
      serverToldOf(session, refusal)
      return refusal.kind === 'later' ? line : ownReplies.moved
    },
  })
}
