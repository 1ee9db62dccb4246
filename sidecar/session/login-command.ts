/** AUTH, HELLO and RESET: they are between the client and the sidecar and never reach a server. */
import { authFailuresMax } from '../../common/limits.ts'
import { nameError } from '../policy/names.ts'
import type { Reply } from '../resp/decode.ts'
import { type Encodable, encodeCommand, encodeError, encodeValue } from '../resp/encode.ts'
import type { ProtocolVersion } from '../upstream/connection.ts'
import { presentedTo } from './cluster/cluster-command.ts'
import { isSharded } from './cluster/sharded.ts'
import { speakAll } from './cluster/speak.ts'
import { queueAnswer, queueInstead } from './queued-login.ts'
import type { Session } from './session.ts'
import { ownReplies } from './own-replies.ts'
import { type SpecialCommand, answerCommand, isInTransaction, refuseCommand } from './special.ts'

const { ok, wrongPass, notInTransaction } = ownReplies
const wrongPassText = 'WRONGPASS invalid username-password pair or user is disabled.'
const noPassword =
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?'

export function handleAuth(session: Session, command: SpecialCommand): void {
  const words = command.words()
  if (words.length < 2) {
    const reply = encodeError("ERR wrong number of arguments for 'auth' command")
    return refuseCommand(session, command, reply)
  }
  const isQueued = isInTransaction(session)
  const [, first, second] = words
  const isWithoutPassword = !canAuthenticate(session) && second === undefined
  if (words.length > 3 || isWithoutPassword) {
    const text = words.length > 3 ? 'ERR syntax error' : noPassword
    session.input.start = command.end
    return isQueued ? queueAnswer(session, text) : session.answer(encodeError(text))
  }
  const password = Buffer.from(second ?? first ?? [])
  const username = second === undefined ? undefined : Buffer.from(first ?? [])
  session.input.start = command.end
  login(session, { username, password }, (isAccepted) => {
    if (isQueued) queueAnswer(session, isAccepted ? undefined : wrongPassText)
    else session.answer(isAccepted ? ok : wrongPass)
  })
}

interface Login {
  readonly username: Buffer | undefined
  readonly password: Buffer
}

/** Checks a login; `tell` gives the reply: at once if it is right, later the more were wrong. */
function login(session: Session, given: Login, tell: (isAccepted: boolean) => void): void {
  const { throttle, clock, counters } = session.context
  const waitMs = throttle.waitMs(session.address, clock.monotonicMs())
  if (waitMs > 0) return later(session, waitMs, () => login(session, given, tell))
  if (isRight(session, given)) {
    session.isAuthenticated = true
    session.refreshLimits()
    return tell(true)
  }
  counters.authFailures += 1
  session.authFailureCount += 1
  const count = session.authFailureCount
  const delayMs = throttle.failureDelayMs(session.address, count, clock.monotonicMs())
  const refuse = () => {
    tell(false)
    if (count >= authFailuresMax) session.close()
  }
  if (delayMs === 0) refuse()
  else later(session, delayMs, refuse)
}

function isRight(session: Session, { username, password }: Login): boolean {
  const { authenticator } = session.context
  if (authenticator !== undefined) return authenticator.accepts(username, password)
  return username?.toString('latin1') === 'default'
}

/** The client is read no further until then. */
function later(session: Session, delayMs: number, then: () => void): void {
  session.wait = 'outside'
  setTimeout(() => {
    if (session.isClosed) return
    // First, since `then` may have to wait again.
    session.resume()
    then()
  }, delayMs).unref()
}

interface HelloRequest {
  readonly protocol: ProtocolVersion
  readonly login?: Login
  readonly name?: string
}

export function handleHello(session: Session, command: SpecialCommand): void {
  const request = readHello(session, command.words())
  if (isInTransaction(session)) return queueHello(session, command, request)
  if (Buffer.isBuffer(request)) return answerCommand(session, command, request)
  const { hello } = session.context.primary
  if (hello === undefined) {
    // What there is to say is the server’s, and none has been connected yet.
    if (session.holdError !== undefined) answerCommand(session, command, session.holdError)
    else session.hold()
    return
  }
  if (hello.kind === 'error') {
    return answerCommand(session, command, encodeError(hello.text))
  }
  session.input.start = command.end
  if (request.login === undefined) return greet(session, request, hello)
  login(session, request.login, (isAccepted) => {
    if (isAccepted) greet(session, request, hello)
    else session.answer(wrongPass)
  })
}

/** The server’s words and order; a change of the protocol in the middle of a reply is more than can be followed. */
function queueHello(
  session: Session,
  command: SpecialCommand,
  request: HelloRequest | Buffer,
): void {
  if (Buffer.isBuffer(request)) {
    session.input.start = command.end
    return queueAnswer(session, request.toString('latin1', 1, request.length - 2))
  }
  if (request.protocol !== session.protocol || session.pinning.transaction !== undefined) {
    return refuseCommand(session, command, notInTransaction)
  }
  const words = ['HELLO', String(request.protocol)]
  session.input.start = command.end
  if (request.login === undefined) return queueInstead(session, words)
  login(session, request.login, (isAccepted) => {
    if (isAccepted) queueInstead(session, words)
    else queueAnswer(session, wrongPassText)
  })
}

/** The request, or the error that answers it. */
function readHello(session: Session, words: readonly Buffer[]): HelloRequest | Buffer {
  const [, versionWord, ...options] = words.map((word) => word.toString('latin1'))
  if (versionWord !== undefined && !/^-?(0|[1-9]\d{0,17})$/.test(versionWord)) {
    return encodeError('ERR Protocol version is not an integer or out of range')
  }
  const version = versionWord === undefined ? session.protocol : Number(versionWord)
  if (version !== 2 && version !== 3) return encodeError('NOPROTO unsupported protocol version')
  let login: Login | undefined
  let name: string | undefined
  for (let index = 0; index < options.length; index += 1) {
    const option = (options[index] ?? '').toUpperCase()
    const left = options.length - index - 1
    if (option === 'AUTH' && left >= 2) {
      const [username, password] = words.slice(index + 3, index + 5)
      login = { username: Buffer.from(username ?? []), password: Buffer.from(password ?? []) }
      index += 2
    } else if (option === 'SETNAME' && left >= 1) {
      const given = options[index + 1] ?? ''
      const error = nameError(given, 'Client names')
      if (error !== undefined) return error
      name = given
      index += 1
    } else return encodeError(`ERR Syntax error in HELLO option '${options[index]}'`)
  }
  if (!session.isAuthenticated && login === undefined) return mustAuthenticate
  return { protocol: version, ...(login && { login }), ...(name !== undefined && { name }) }
}

const mustAuthenticate = encodeError(
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
)

const notWhileSubscribed = encodeError(
  "ERR Can't execute 'hello': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
)

function greet(session: Session, request: HelloRequest, hello: Reply): void {
  const connection = session.pinning.lane?.connection
  const { pinning } = session
  const isChanged = request.protocol !== session.protocol
  const isLinked = session.state.linkedCount > 0
  if (session.subscriber.isConfined || (isChanged && pinning.isRaw)) {
    return session.answer(notWhileSubscribed)
  }
  session.protocol = request.protocol
  session.updateSorting()
  if (request.name !== undefined) session.clientName = request.name
  const reply = Buffer.from(helloReply(hello, session), 'latin1')
  const { name } = request
  const isKnown = !isChanged && (name === undefined || pinning.isRaw)
  const isAsked = connection !== undefined && !isKnown
  if (!isAsked && !(isChanged && isLinked)) return session.answer(reply)
  session.wait = 'outside'
  const finish = () => {
    if (session.isClosed) return
    session.answer(reply)
    session.resume()
  }
  const goOn = () => (isChanged ? speakAll(session, finish) : finish())
  if (!isAsked) return goOn()
  pinning.markSetUp()
  const naming = name === undefined ? [] : ['SETNAME', name]
  const words = ['HELLO', String(request.protocol), ...naming]
  connection.ask(encodeCommand(words), 1).then(goOn, goOn)
}

/** The server’s own words, but for what is about the connection: that is the client’s with us. */
function helloReply(hello: Reply, session: Session): string {
  const items = hello.kind === 'list' ? hello.items : []
  const pairs: [string, Encodable][] = []
  for (let index = 0; index + 1 < items.length; index += 2) {
    const key = items[index]
    const value = items[index + 1]
    if (key?.kind !== 'text' || value === undefined) continue
    if (key.text === 'proto') pairs.push(['proto', session.protocol])
    else if (key.text === 'id') pairs.push(['id', session.id])
    else if (key.text === 'mode') pairs.push(['mode', modeOf(session, value)])
    else if (key.text === 'role' && isSharded(session.context)) pairs.push(['role', 'master'])
    else if (key.text === 'modules') pairs.push(['modules', modulesOf(value)])
    else pairs.push([key.text, plain(value)])
  }
  return encodeValue({ pairs }, session.protocol)
}

/** A cluster that is shown as one server calls itself one. */
function modeOf(session: Session, value: Reply): Encodable {
  const presented = presentedTo(session)
  if (presented === undefined) return plain(value)
  return presented === 'server' ? 'standalone' : 'cluster'
}

function modulesOf(value: Reply): Encodable {
  if (value.kind !== 'list') return []
  return value.items.map((module) => {
    const pairs: [string, Encodable][] = []
    const items = module.kind === 'list' ? module.items : []
    for (let index = 0; index + 1 < items.length; index += 2) {
      const [key, item] = items.slice(index, index + 2)
      if (key?.kind === 'text' && item !== undefined) pairs.push([key.text, plain(item)])
    }
    return { pairs }
  })
}

function plain(value: Reply): Encodable {
  if (value.kind === 'number') return value.value
  if (value.kind === 'list') return value.items.map(plain)
  return value.kind === 'null' ? '' : value.text
}

export function handleReset(session: Session, command: SpecialCommand): void {
  if (command.argumentCount !== 1) {
    if (session.pinning.isRaw) session.forwardRun(command.end, 1)
    else answerCommand(session, command, resetArguments)
    return
  }
  if (session.pinning.isRaw) {
    // The connection’s own reply comes after all that it still has to say.
    const isStream = session.pinning.lane?.isStream === true
    // No reply is known in a stream: what the server makes of it is between the two.
    if (!session.forwardRun(command.end, 1) || isStream) return
    session.wait = 'outside'
    session.raw.onReset = () => {
      clear(session)
      session.resume()
    }
    return
  }
  clear(session)
  answerCommand(session, command, ownReplies.reset)
}

const resetArguments = encodeError("ERR wrong number of arguments for 'reset' command")

function clear(session: Session): void {
  session.pinning.drop()
  session.protocol = 2
  session.clientName = ''
  session.database = 0
  session.state.clear()
  session.raw.clear()
  session.replies.clear()
  session.subscriber.clear()
  session.context.maintenance.forget(session)
  session.broken = 'none'
  session.isAuthenticated = !canAuthenticate(session)
  session.refreshLimits()
}

function canAuthenticate(session: Session): boolean {
  return session.context.authenticator !== undefined
}
