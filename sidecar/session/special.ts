/** What the handlers of special commands share. */
import type { CommandKind } from '../../common/redis/command-table.ts'
import { encodeCommand } from '../resp/encode.ts'
import { encodeAside } from './aside-reply.ts'
import { anyServer, sendOwn } from './cluster/send-own.ts'
import { isSharded, pinTo } from './cluster/sharded.ts'
import { ownReplies } from './own-replies.ts'
import { PinReason } from './pinning.ts'
import { pin } from './lanes.ts'
import type { Session } from './session.ts'

/** Words of a command that are read at most. */
export const wordsReadMax = 64

/** A command at the start of the input that is whole. */
export interface SpecialCommand {
  readonly name: string
  readonly kind: CommandKind
  readonly argumentCount: number
  readonly end: number
  /** Its arguments as bytes, the name first. */
  words(): Buffer[]
  /** An argument in upper case, or the empty string. */
  word(index: number): string
}

/** Sends the command on the session’s own connection, which it then keeps for `reason`. */
export function forwardPinned(session: Session, command: SpecialCommand, reason: number): void {
  if (session.holdError !== undefined) return void session.forwardRun(command.end, 1)
  if (isSharded(session.context)) {
    sendOwn(session, command.end, { reason, server: anyServer(session) })
    return
  }
  if (!pin(session)) return
  const isNew = !session.pinning.has(reason)
  session.pinning.add(reason)
  // Of what was not sent nothing is lost with the connection.
  if (!session.forwardRun(command.end, 1) && isNew) session.pinning.remove(reason)
}

/** Whether the session has a connection of its own, to any server; if not it waits for one. */
export function pinAny(session: Session): boolean {
  return isSharded(session.context) ? pinTo(session, anyServer(session)) : pin(session)
}

/**
 * Sends a command that ends what others wait for, or tells of it, past all of them. It has two words and is answered
 * with a status, an error or maps.
 */
export function forwardAside(session: Session, command: SpecialCommand): void {
  const { context } = session
  const isPlain = command.argumentCount === 2 && session.holdError === undefined
  const asked =
    isPlain && !context.isPaused && session.pinning.lane === undefined
      ? context.primary.askAside(encodeCommand(command.words()))
      : undefined
  if (asked === undefined) {
    session.forwardRun(command.end, 1)
    return
  }
  session.input.start = command.end
  session.wait = 'outside'
  context.counters.commands += 1
  const goOn = (reply: Buffer) => {
    session.answer(reply)
    session.resume()
  }
  asked.then(
    ([reply]) => goOn(encodeAside(reply, session.protocol)),
    () => goOn(ownReplies.lost),
  )
}

/** Consumes the command and gives a reply of our own. */
export function answerCommand(
  session: Session,
  command: { readonly end: number },
  reply: Buffer,
): void {
  session.input.start = command.end
  session.answer(reply)
}

export function isInTransaction(session: Session): boolean {
  return session.pinning.has(PinReason.transaction) && !session.pinning.isRaw
}

/**
 * Refuses a command. Within a transaction the server must know of the refusal too, so that EXEC aborts: it is
 * sent a command that cannot be queued.
 */
export function refuseCommand(
  session: Session,
  command: { readonly end: number },
  reply: Buffer,
): void {
  const { transaction, lane } = session.pinning
  const connection = lane?.connection
  if (transaction !== undefined) return transaction.refuse(command.end, reply)
  if (!isInTransaction(session) || connection === undefined) {
    return answerCommand(session, command, reply)
  }
  session.input.start = command.end
  session.wait = 'outside'
  const goOn = () => {
    session.answer(reply)
    session.resume()
  }
  connection.ask(encodeCommand(['GET']), 1).then(goOn, goOn)
}

/** Whether it may block; in doubt it does. Servers read an option up to its first NUL. */
export function asksToBlock(command: SpecialCommand): boolean {
  if (command.argumentCount > wordsReadMax) return true
  return command.words().some((word) => /^block(\0|$)/i.test(word.toString('latin1', 0, 6)))
}
