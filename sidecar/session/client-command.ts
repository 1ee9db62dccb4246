/** CLIENT: what can be remembered is answered here, what is state of a connection gets one of its own. */
import { handleMaintNotifications } from '../maintenance/command.ts'
import { nameError } from '../policy/names.ts'
import { encodeBulk, encodeError, encodeNull, encodeNumber } from '../resp/encode.ts'
import { findClient, listeningLane, putServerIds, serverIdOf, withOurIds } from './client-ids.ts'
import { trackingAfter } from './connection-state.ts'
import { askOwn, noteFlags } from './own-question.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { ownReplies } from './own-replies.ts'
import {
  type SpecialCommand,
  answerCommand,
  forwardAside,
  forwardPinned,
  pinAny,
} from './special.ts'

const { ok } = ownReplies
/** These act on other clients or only tell of them: any connection will do. */
const stateless: ReadonlySet<string> = new Set(['HELP', 'UNBLOCK', 'PAUSE'])
/** These tell of a connection or act on others, and leave nothing on theirs. */
const brief: ReadonlySet<string> = new Set(['KILL', 'INFO', 'LIST', 'GETREDIR', 'TRACKINGINFO'])

export function handleClient(session: Session, command: SpecialCommand): void {
  const subcommand = command.word(1)
  if (subcommand === 'ID' && command.argumentCount === 2) {
    return answerCommand(session, command, encodeNumber(session.id))
  }
  if (subcommand === 'UNBLOCK' && putServerIds(session, command, 2)) return
  if (subcommand === 'PAUSE' && command.word(3) === 'WRITE') notePause(session, command.word(2))
  if (stateless.has(subcommand) || command.argumentCount === 1) {
    session.forwardRun(command.end, 1)
    return
  }
  if (subcommand === 'UNPAUSE') {
    session.context.primary.writePause.note(0)
    return forwardAside(session, command)
  }
  if (subcommand === 'SETNAME' && command.argumentCount === 3) return setName(session, command)
  if (subcommand === 'SETINFO' && command.argumentCount === 4) return setInfo(session, command)
  if (subcommand === 'GETNAME' && command.argumentCount === 2) {
    // A transaction may have set it, which the server alone knows.
    if (session.pinning.has(PinReason.sticky)) return void session.forwardRun(command.end, 1)
    const name = session.clientName
    const reply = name === '' ? encodeNull(session.protocol) : encodeBulk(name)
    return answerCommand(session, command, reply)
  }
  if (subcommand === 'MAINT_NOTIFICATIONS') return handleMaintNotifications(session, command)
  if (brief.has(subcommand)) return tell(session, command, subcommand)
  if (subcommand === 'REPLY') return setReply(session, command)
  if (subcommand === 'TRACKING') return setTracking(session, command)
  const set = setters[subcommand]
  if (set === undefined) return forwardPinned(session, command, PinReason.sticky)
  const word = command.word(2)
  askOwn(session, command, command.words(), (isError) => {
    if (isError) return
    set(session, word)
    noteFlags(session)
  })
}

/** What is remembered when the server agreed. */
const setters: Readonly<Record<string, (session: Session, word: string) => void>> = {
  'NO-EVICT': ({ state }, word) => {
    state.isNoEvict = word === 'ON'
  },
  'NO-TOUCH': ({ state }, word) => {
    state.isNoTouch = word === 'ON'
  },
  CACHING: ({ state }, word) => {
    state.caching = word
  },
}

/** Of the clients that the server knows, by the ids that they have with us. */
function tell(session: Session, command: SpecialCommand, subcommand: string): void {
  if (subcommand === 'KILL' && killOurs(session, command)) return
  if (session.holdError === undefined && !pinAny(session)) return
  if ((subcommand === 'KILL' || subcommand === 'LIST') && putServerIds(session, command, 3)) return
  const { context, replies } = session
  const redirect = session.state.tracking?.redirect
  if (subcommand === 'LIST' || subcommand === 'INFO') {
    replies.rewriteNext((reply) => withOurIds(context, reply))
  } else if (subcommand !== 'KILL' && redirect !== undefined) {
    replies.rewriteNext((reply) => reply.replace(redirectPattern, `$1:${redirect}\r\n`))
  }
  session.updateSorting()
  forwardPinned(session, command, PinReason.once)
  if (session.inFlight === 0) replies.endRewriting()
}

/** The whole reply of CLIENT GETREDIR, or its field in that of TRACKINGINFO. */
const redirectPattern = /(^|\$8\r\nredirect\r\n):[1-9]\d*\r\n/

/** CLIENT KILL ID of a client of ours, whichever connections it has. */
function killOurs(session: Session, command: SpecialCommand): boolean {
  const { argumentCount } = command
  const isPlain = argumentCount === 4 || (argumentCount === 6 && command.word(4) === 'SKIPME')
  const target = command.word(2) === 'ID' ? findClient(session.context, command.word(3)) : undefined
  if (!isPlain || target === undefined) return false
  const isSpared = target === session && command.word(5) !== 'NO'
  answerCommand(session, command, encodeNumber(isSpared ? 0 : 1))
  if (isSpared) return true
  if (target === session) target.close()
  else target.destroy()
  return true
}

/** The sidecar sees to it: the server answers everything, so that what is in flight can be counted. */
function setReply(session: Session, command: SpecialCommand): void {
  const { replies } = session
  const mode = command.argumentCount === 3 ? command.word(2) : ''
  const isKnown = mode === 'ON' || mode === 'OFF' || mode === 'SKIP'
  if (!isKnown) return void session.forwardRun(command.end, 1)
  session.input.start = command.end
  if (mode === 'ON') {
    replies.turnOn()
    session.answer(ok)
  } else if (mode === 'OFF') replies.turnOff()
  else replies.skipNext()
  session.updateSorting()
}

/** Behind a write that waits everyone on a shared connection would wait. */
function notePause(session: Session, milliseconds: string): void {
  if (/^\d{1,15}$/.test(milliseconds)) session.context.primary.writePause.note(Number(milliseconds))
}

function setTracking(session: Session, command: SpecialCommand): void {
  const redirectAt = command.words().findIndex((word) => /^redirect$/i.test(word.toString()))
  const target = findClient(session.context, command.word(redirectAt + 1))
  const isListening = target !== undefined && listeningLane(target) !== undefined
  if (redirectAt > 0 && target !== undefined && target !== session && !isListening) {
    // Its connection is what the server is told of: from now on it has one.
    target.pinning.add(PinReason.sticky)
    if (!target.pinning.ensure()) return waitFor(session, target)
  }
  const words = command.words().map((word) => word.toString('latin1'))
  const { state, pinning } = session
  const isOn = command.word(2) === 'ON'
  const after = isOn ? trackingAfter(words.slice(3), state.tracking) : undefined
  const asked = command.words().map((word, index) => {
    const text = word.toString('latin1')
    return redirectAt > 0 && index === redirectAt + 1 ? serverIdOf(session.context, text) : word
  })
  askOwn(session, command, asked, (isError) => {
    if (isError) return
    state.tracking = after
    pinning.markSetUp()
    if (isOn) pinning.add(PinReason.tracking)
    else pinning.remove(PinReason.tracking)
  })
}

function waitFor(session: Session, target: Session): void {
  session.wait = 'outside'
  void target.pinning.opening?.then(() => session.resume())
}

function setName(session: Session, command: SpecialCommand): void {
  const name = command.words()[2]?.toString('latin1') ?? ''
  const error = nameError(name, 'Client names')
  if (error !== undefined) return answerCommand(session, command, error)
  session.clientName = name
  if (session.pinning.lane === undefined) return answerCommand(session, command, ok)
  session.pinning.markSetUp()
  session.forwardRun(command.end, 1)
}

/** The library’s name and version are of use to who looks at the server’s list of clients, where we are one. */
function setInfo(session: Session, command: SpecialCommand): void {
  const [, , attribute = Buffer.alloc(0), value = Buffer.alloc(0)] = command.words()
  const option = attribute.toString('latin1')
  if (!/^lib-(name|ver)$/i.test(option)) {
    const reply = encodeError(`ERR Unrecognized option '${option}'`)
    return answerCommand(session, command, reply)
  }
  const text = value.toString('latin1')
  const error = nameError(text, option.toLowerCase())
  if (error !== undefined) return answerCommand(session, command, error)
  if (/name/i.test(option)) session.state.libraryName = text
  else session.state.libraryVersion = text
  if (!session.context.isPerClient || session.pinning.lane === undefined) {
    return answerCommand(session, command, ok)
  }
  // Older servers do not know it; its client shall not have to care which one is behind the sidecar.
  askOwn(session, command, command.words(), () => ok)
}
