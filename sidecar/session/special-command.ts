/** Commands that cannot just be passed on over a connection that clients share. */
import { assertNever } from '../../common/errors.ts'
import type { CommandKind } from '../../common/redis/command-table.ts'
import { refusalText } from '../policy/command-policy.ts'
import { frameArguments } from '../resp/arguments.ts'
import { encodeError } from '../resp/encode.ts'
import { waitMark } from '../upstream/wait-mark.ts'
import { foreignNames } from '../route/name-filter.ts'
import { sendBlocking } from './blocked-command.ts'
import { handleClient } from './client-command.ts'
import { isSharded } from './cluster/sharded.ts'
import { routeSharded } from './cluster/sharded-route.ts'
import { askOwn, noteFlags } from './own-question.ts'
import { cut } from './inline-command.ts'
import {
  answerCommand,
  asksToBlock,
  forwardAside,
  forwardPinned,
  refuseCommand,
  type SpecialCommand,
  wordsReadMax,
} from './special.ts'
import { emptyTransaction, ownReplies } from './own-replies.ts'
import { handleAuth, handleHello, handleReset } from './login-command.ts'
import { PinReason } from './pinning.ts'
import { pin } from './lanes.ts'
import type { Session } from './session.ts'

/** As much of a name, and of arguments, servers show in an error. */
const shownLengthMax = 128

/** Deals with the whole command at the start of the input, or has the session wait. */
export function handleSpecial(session: Session): void {
  const { scanner, input } = session
  const { rules } = session.context
  const written = nameOf(session)
  const end = scanner.frameEnd
  if (foreignNames.has(written)) return cut(session, 'a client speaks another protocol')
  if (session.isAuthenticated && written.includes('\0')) return refuseName(session)
  if (isLookedUp(session, written)) return
  const known = rules.find(written)
  const { kind, isContainer } = known
  const words = () => frameArguments(input.bytes, input.start, wordsReadMax)
  const word = (index: number) => {
    const text = upperCase(words()[index])
    // Servers may read a sub-command only up to its first NUL.
    return isContainer && index === 1 ? (text.split('\0', 1)[0] ?? '') : text
  }
  const read = { ...known, argumentCount: scanner.argumentCount, end, words, word }
  const isLogin = kind !== undefined && loginKinds.has(kind)
  const refused = session.isAuthenticated ? rules.policy.refusal(read) : undefined
  if (refused !== undefined) {
    if (session.waitForReplies()) refuseCommand(session, read, encodeError(refusalText(refused)))
    return
  }
  const isPlain = kind === undefined || (kind === 'topology' && !isSharded(session.context))
  if (isPlain || (!session.isAuthenticated && !isLogin)) {
    session.forwardRun(end, 1)
    return
  }
  const command = { ...read, kind }
  noteScript(session, command)
  if (kind === 'scripting') {
    session.isForwardingScript = true
    session.forwardRun(end, 1)
    session.isForwardingScript = false
    return
  }
  if (!session.waitForReplies()) return
  dispatch(session, command)
}

/**
 * Servers compare names up to a NUL and find them by a hash of all bytes, so that some that hold one are taken for the
 * command before it, now and then.
 */
function refuseName(session: Session): void {
  const { input, scanner } = session
  if (!session.waitForReplies()) return
  const [name = '', ...rest] = frameArguments(input.bytes, input.start, wordsReadMax).map(
    (word) => word.toString('latin1').split('\0', 1)[0] ?? '',
  )
  let shown = ''
  for (const word of rest) {
    if (shown.length >= shownLengthMax) break
    shown += `'${word.slice(0, shownLengthMax - shown.length)}' `
  }
  const text = `ERR unknown command '${name.slice(0, shownLengthMax)}', with args beginning with: ${shown}`
  refuseCommand(session, { end: scanner.frameEnd }, encodeError(text))
}

/** Whether the session waits to be told of a name that the table does not know. */
function isLookedUp(session: Session, name: string): boolean {
  if (!session.isAuthenticated) return false
  const asked = session.context.rules.live.lookUp(name)
  if (asked === undefined) return false
  session.wait = 'outside'
  void asked.then(() => session.resume())
  return true
}

/** Remembers scripts for servers that do not know them yet. */
function noteScript(session: Session, command: SpecialCommand): void {
  const { name, kind } = command
  const { scripts } = session.context
  const isRun = kind === 'scripting' && name.startsWith('EVAL') && !name.startsWith('EVALSHA')
  if (isRun) scripts.noteRun(command.words()[1]?.toString('latin1') ?? '')
  if (kind !== 'script') return
  const subcommand = command.word(1)
  if (subcommand === 'FLUSH') scripts.forget()
  else if (subcommand === 'LOAD') scripts.noteLoaded(command.words()[2]?.toString('latin1') ?? '')
}

function upperCase(word: Buffer | undefined): string {
  return word?.toString('latin1', 0, wordsReadMax).toUpperCase() ?? ''
}

const loginKinds: ReadonlySet<CommandKind> = new Set(['auth', 'hello', 'quit', 'reset'])

function nameOf(session: Session): string {
  const { scanner, input } = session
  return input.bytes.toString('latin1', scanner.nameStart, scanner.nameEnd).toUpperCase()
}

/**
 * Whether the unfinished command at the start of the input may be so large that it is passed on in pieces; undefined:
 * the session waits to be told.
 */
export function mayBeLarge(session: Session): boolean | undefined {
  const { scanner, input } = session
  const nameEnd = Math.min(scanner.nameEnd, input.end)
  if (input.bytes.subarray(scanner.nameStart, nameEnd).includes(0)) return false
  if (scanner.nameEnd > input.end || scanner.nameEnd - scanner.nameStart > wordsReadMax) return true
  const name = nameOf(session)
  if (isLookedUp(session, name)) return undefined
  const { rules } = session.context
  const known = rules.find(name)
  const { kind } = known
  if (kind !== undefined && !mayCarryValues.has(kind)) return false
  if (kind !== 'script' && kind !== 'function') return rules.policy.passesUnread(known)
  // Their sub-command has come, unless it is no sub-command.
  const { argumentCount } = scanner
  if (argumentCount - scanner.unfinished.argumentsLeft < 2) return false
  const words = frameArguments(input.bytes, input.start, 2)
  const word = (index: number) => upperCase(words[index])
  return rules.policy.refusal({ ...known, argumentCount, word }) === undefined
}

/** Why the session keeps its connection once the command at the start of the input has gone in pieces. */
export function reasonOfLarge(session: Session): number {
  return session.context.rules.find(nameOf(session)).kind === 'watch' ? PinReason.watch : 0
}

const mayCarryValues: ReadonlySet<CommandKind> = new Set([
  'blocking',
  'blockingIfAsked',
  'scripting',
  'script',
  'function',
  'watch',
])

/** A command that is whole and next, with no reply owed before it. */
function dispatch(session: Session, command: SpecialCommand): void {
  const { kind } = command
  if (session.subscriber.isConfined && !freeKinds.has(kind)) return confine(session, command)
  if (kind === 'auth') return handleAuth(session, command)
  if (kind === 'hello') return handleHello(session, command)
  if (kind === 'reset') return handleReset(session, command)
  if (kind === 'quit') return quit(session, command)
  if (session.broken !== 'none' && handleBroken(session, command)) return
  if (session.pinning.isRaw || isQueued(session, command)) session.forwardRun(command.end, 1)
  else route(session, command)
  // What a replica says later are commands like others, and only those that are allowed pass.
  const { lane } = session.pinning
  if (lane !== undefined && session.pinning.isRaw && streams.has(command.name)) lane.isStream = true
}

/** The server answers them with its data and everything that changes it. */
const streams: ReadonlySet<string> = new Set(['SYNC', 'PSYNC'])

/** What a subscriber in RESP2 may send. */
const freeKinds: ReadonlySet<CommandKind> = new Set(['subscription', 'quit', 'reset'])

/** Has the server refuse it; but it shall not see a login. */
function confine(session: Session, command: SpecialCommand): void {
  const isLogin = command.kind === 'auth' || command.kind === 'hello'
  if (!isLogin || command.argumentCount === 1) {
    session.forwardRun(command.end, 1)
    return
  }
  const name = command.name.toLowerCase()
  const allowed = '(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET'
  const text = `ERR Can't execute '${name}': only ${allowed} are allowed in this context`
  answerCommand(session, command, encodeError(text))
}

function route(session: Session, command: SpecialCommand): void {
  if (isSharded(session.context) && routeSharded(session, command)) return
  switch (command.kind) {
    case 'client':
      return handleClient(session, command)
    case 'select':
      return select(session, command)
    case 'multi':
      return forwardPinned(
        session,
        command,
        command.argumentCount === 1 ? PinReason.transaction : 0,
      )
    case 'exec':
    case 'discard':
      return endTransaction(session, command)
    case 'watch':
      return forwardPinned(session, command, PinReason.watch)
    case 'unwatch':
      if (command.argumentCount === 1) session.pinning.remove(PinReason.watch)
      session.forwardRun(command.end, 1)
      return
    case 'blocking':
      return sendBlocking(session, command)
    case 'blockingIfAsked':
      return asksToBlock(command)
        ? sendBlocking(session, command)
        : void session.forwardRun(command.end, 1)
    case 'waiting':
      return waitForReplicas(session, command)
    case 'subscription':
      return session.subscriber.send(command)
    case 'monitor':
      session.raw.noteMonitor()
      return forwardPinned(session, command, PinReason.raw)
    case 'raw':
      return forwardPinned(session, command, PinReason.raw)
    case 'connectionFlag':
      return setReadOnly(session, command)
    case 'script':
      if (command.word(1) === 'DEBUG') return forwardPinned(session, command, PinReason.raw)
      return command.word(1) === 'KILL'
        ? forwardAside(session, command)
        : void session.forwardRun(command.end, 1)
    case 'function':
      return command.word(1) === 'KILL' || command.word(1) === 'STATS'
        ? forwardAside(session, command)
        : void session.forwardRun(command.end, 1)
    case 'auth':
    case 'hello':
    case 'quit':
    case 'reset':
    case 'scripting':
    case 'topology':
      throw new Error(`${command.name} is not routed`)
    default:
      return assertNever(command.kind)
  }
}

/** Whether an open transaction queues the command at the server, so that it has no effect of its own yet. */
function isQueued(session: Session, command: SpecialCommand): boolean {
  if (!session.pinning.has(PinReason.transaction)) return false
  // An EXEC with arguments ends it too: servers abort it.
  if (command.kind === 'exec') return false
  if (command.kind === 'discard') return command.argumentCount !== 1
  if (command.kind === 'unwatch') return true
  if (['subscription', 'monitor', 'raw'].includes(command.kind)) return false
  const isHarmless = ['blocking', 'blockingIfAsked', 'function', 'topology'].includes(command.kind)
  // What it will do to the connection when EXEC runs it is not followed: the session keeps the connection.
  if (!isHarmless && session.pinning.transaction !== undefined) session.pinning.markSetUp()
  else if (!isHarmless) session.pinning.add(PinReason.sticky)
  return true
}

function endTransaction(session: Session, command: SpecialCommand): void {
  if (session.pinning.has(PinReason.transaction) && session.forwardRun(command.end, 1)) {
    session.pinning.remove(PinReason.transaction | PinReason.watch)
    session.pinning.add(PinReason.once)
  } else if (!session.pinning.has(PinReason.transaction)) session.forwardRun(command.end, 1)
}

/**
 * WAIT counts from what its connection had replicated, so the new connection first has something replicated: everything
 * that the client was answered is then before it.
 */
function waitForReplicas(session: Session, command: SpecialCommand): void {
  if (session.holdError !== undefined) return void session.forwardRun(command.end, 1)
  if (!pin(session)) return
  const connection = session.pinning.lane?.connection
  if (connection === undefined) return
  session.wait = 'outside'
  // The input moves meanwhile.
  const byteCount = command.end - session.input.start
  const goOn = () => {
    if (session.isClosed || session.wait !== 'outside') return
    session.wait = 'none'
    session.pinning.add(PinReason.blocking)
    session.forwardRun(session.input.start + byteCount, 1)
    session.resume()
  }
  connection.ask(waitMark, 1).then(goOn, () => session.resume())
}

function select(session: Session, command: SpecialCommand): void {
  const index = command.word(1)
  const { pinning } = session
  if (command.argumentCount === 2 && index === '0' && session.database === 0) {
    return answerCommand(session, command, ownReplies.ok)
  }
  askOwn(session, command, command.words(), (isError) => {
    if (isError) return
    session.database = Number(index)
    pinning.markSetUp()
    if (session.database === 0) pinning.remove(PinReason.database)
    else pinning.add(PinReason.database)
  })
}

/** READONLY and its kin: they mean something to servers of a cluster only. */
function setReadOnly(session: Session, command: SpecialCommand): void {
  if (command.name === 'ASKING') return forwardPinned(session, command, PinReason.sticky)
  askOwn(session, command, command.words(), (isError) => {
    if (isError) return
    session.state.isReadOnly = command.name === 'READONLY'
    noteFlags(session)
  })
}

function quit(session: Session, command: SpecialCommand): void {
  if (session.pinning.isRaw) {
    session.forwardRun(command.end, 1)
    // The server closes after its reply, and with it so do we.
    session.input.clear()
    session.wait = 'outside'
    return
  }
  session.answer(ownReplies.ok)
  session.close()
}

/** The transaction’s or the watched connection has ended: the client must not believe that EXEC succeeded. */
function handleBroken(session: Session, command: SpecialCommand): boolean {
  const { kind } = command
  const answer = (reply: Buffer, next: Session['broken']) => {
    answerCommand(session, command, reply)
    session.broken = next
    return true
  }
  if (session.broken === 'watch') {
    if (kind === 'multi') return answer(ownReplies.ok, 'transactionAfterWatch')
    if (kind === 'watch') return answer(ownReplies.ok, 'watch')
    if (kind === 'unwatch') return answer(ownReplies.ok, 'none')
    return false
  }
  if (kind === 'discard') return answer(ownReplies.ok, 'none')
  if (kind === 'exec') {
    const isWatch = session.broken === 'transactionAfterWatch'
    return answer(isWatch ? emptyTransaction(session.protocol) : ownReplies.aborted, 'none')
  }
  if (kind === 'multi') return answer(ownReplies.nestedMulti, session.broken)
  session.forwardRun(command.end, 1)
  return true
}
