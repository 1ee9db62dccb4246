/** CLIENT: what can be remembered is answered here, what is state of a connection gets one of its own. */
import { nameError } from '../policy/names.ts'
import { encodeBulk, encodeError, encodeNull } from '../resp/encode.ts'
import { trackingAfter } from './connection-state.ts'
import { askOwn, noteFlags } from './own-question.ts'
import { PinReason } from './pinning.ts'
import type { Session } from './session.ts'
import { ownReplies } from './own-replies.ts'
import { type SpecialCommand, answerCommand, forwardAside, forwardPinned } from './special.ts'

const { ok } = ownReplies
/** These act on other clients or only tell of them: any connection will do. */
const stateless: ReadonlySet<string> = new Set(['LIST', 'HELP', 'UNBLOCK', 'PAUSE'])
/** These tell of a connection or act on others, and leave nothing on theirs. */
const brief: ReadonlySet<string> = new Set(['KILL', 'INFO', 'GETREDIR', 'TRACKINGINFO'])
/** Libraries ask for it as they start; a server’s notices of itself are not for clients of the sidecar. */
const noNotifications = encodeError(
  "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.",
)

export function handleClient(session: Session, command: SpecialCommand): void {
  const subcommand = command.word(1)
  if (stateless.has(subcommand) || command.argumentCount === 1) {
    session.forwardRun(command.end, 1)
    return
  }
  if (subcommand === 'UNPAUSE') return forwardAside(session, command)
  if (subcommand === 'SETNAME' && command.argumentCount === 3) return setName(session, command)
  if (subcommand === 'SETINFO' && command.argumentCount === 4) return setInfo(session, command)
  if (subcommand === 'GETNAME' && command.argumentCount === 2) {
    const name = session.clientName
    const reply = name === '' ? encodeNull(session.protocol) : encodeBulk(name)
    return answerCommand(session, command, reply)
  }
  if (subcommand === 'MAINT_NOTIFICATIONS') {
    return answerCommand(session, command, noNotifications)
  }
  if (brief.has(subcommand)) return forwardPinned(session, command, PinReason.once)
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

/** From OFF or SKIP on, which replies come is known to the server only. Anything else leaves nothing behind. */
function setReply(session: Session, command: SpecialCommand): void {
  const isSilencing = command.argumentCount === 3 && /^(OFF|SKIP)$/.test(command.word(2))
  if (isSilencing) forwardPinned(session, command, PinReason.raw)
  else session.forwardRun(command.end, 1)
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

function setTracking(session: Session, command: SpecialCommand): void {
  const words = command.words().map((word) => word.toString('latin1'))
  const { state, pinning } = session
  const isOn = command.word(2) === 'ON'
  const after = isOn ? trackingAfter(words.slice(3), state.tracking) : undefined
  askOwn(session, command, command.words(), (isError) => {
    if (isError) return
    state.tracking = after
    pinning.markSetUp()
    if (isOn) pinning.add(PinReason.tracking)
    else pinning.remove(PinReason.tracking)
  })
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
