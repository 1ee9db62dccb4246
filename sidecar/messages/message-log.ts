/**
 * Logs what clients send and get, for a while and on request: names, sizes and the keys of commands, never another
 * argument, never a value, never the text of a reply. While it is off, a client costs one look at whether it is on.
 *
 * A client is followed from the first moment at which it is between two commands and is owed nothing.
 */
import { createHmac } from 'node:crypto'
import { isContainerCommand, isKnownCommand } from '../../common/redis/command-table.ts'
import { messageKeyBytesMax, messageKeysMax, replyLineBytesMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { ReplyScanner } from '../resp/reply-scanner.ts'
import { CommandFrame } from '../route/command-frame.ts'
import { findKeys } from '../route/keys.ts'
import { findTraits } from '../route/traits.ts'
import type { SessionContext } from '../session/context.ts'
import type { Session } from '../session/session.ts'
import type { MessageLogOptions } from './options.ts'
import { RequestReader, type SeenCommand } from './request-reader.ts'

interface Followed {
  readonly reader: RequestReader
  readonly session: Session
}

export class MessageLog {
  private readonly log: Log
  private readonly context: () => SessionContext | undefined
  private readonly followed = new Map<Session, Followed>()
  private readonly frame = new CommandFrame()
  private options: MessageLogOptions | undefined
  private linesLeft = 0
  private timer: NodeJS.Timeout | undefined

  constructor(log: Log, context: () => SessionContext | undefined) {
    // It was asked for, so that it is said whatever the level.
    this.log = log.child({})
    this.log.setLevel('info')
    this.context = context
  }

  /** Begins anew; with 0 seconds or lines it ends. */
  start(options: MessageLogOptions): void {
    this.stop()
    const context = this.context()
    if (context === undefined || options.seconds === 0 || options.max === 0) return
    this.options = options
    this.linesLeft = options.max
    this.timer = setTimeout(() => this.stop(), options.seconds * 1000).unref()
    context.messages = this
  }

  stop(): void {
    clearTimeout(this.timer)
    const context = this.context()
    if (context !== undefined) context.messages = undefined
    for (const { session } of this.followed.values()) session.output.tap = undefined
    this.followed.clear()
    this.options = undefined
  }

  /** Bytes of a client have come and are still to be read. */
  noteRequest(session: Session, chunk: Buffer): void {
    const known = this.followed.get(session)
    if (known !== undefined) known.reader.receive(chunk)
    else if (isBetweenCommands(session)) this.follow(session).reader.receive(chunk)
  }

  private follow(session: Session): Followed {
    const reader = new RequestReader((command) => this.noteCommand(session, command))
    const replies = new ReplyReader((reply) => this.noteReply(session, reply))
    session.output.tap = (bytes) => replies.receive(bytes)
    const followed = { reader, session }
    this.followed.set(session, followed)
    session.socket.once('close', () => this.followed.delete(session))
    return followed
  }

  private noteCommand(session: Session, command: SeenCommand): void {
    const { byteCount, argumentCount, isInline } = command
    const { name, keys } = isInline ? inlineName(command.head) : this.read(command.head)
    this.say(session, { command: name, bytes: byteCount, arguments: argumentCount, ...keys })
  }

  private noteReply(session: Session, reply: SeenReply): void {
    this.say(session, { ...reply })
  }

  private say(session: Session, fields: Readonly<Record<string, unknown>>): void {
    if (this.options === undefined) return
    this.linesLeft -= 1
    const { id, address } = session
    this.log.info({ client: id, address, ...fields }, 'message')
    if (this.linesLeft <= 0) this.stop()
  }

  private read(head: Buffer): { readonly name: string; readonly keys: object } {
    const { frame } = this
    frame.read(head, 0, head.length)
    const name = nameOf(frame)
    const traits = findTraits(frame)
    if (traits === undefined || this.options?.keys === 'none') return { name, keys: {} }
    if (!findKeys(frame, traits)) return { name, keys: { keys: 'unknown' } }
    const count = frame.keyCount
    const shown = Array.from({ length: Math.min(count, messageKeysMax) }, (_, index) =>
      this.show(head.subarray(frame.keyStart(index), frame.keyEnd(index))),
    )
    return { name, keys: { keys: shown, ...(count > shown.length && { keyCount: count }) } }
  }

  private show(key: Buffer): string {
    const { keys, salt } = this.options ?? { keys: 'none', salt: '' }
    if (keys === 'plain') return key.toString('latin1', 0, messageKeyBytesMax)
    return createHmac('sha256', salt).update(key).digest('hex').slice(0, 12)
  }
}

function isBetweenCommands({ input, inFlight, large, pinning, isClosing }: Session): boolean {
  return (
    input.length === 0 &&
    inFlight === 0 &&
    large === undefined &&
    !pinning.isMidReply &&
    !pinning.isRaw &&
    !isClosing
  )
}

/** Of commands that are known; what else stands there may be anything, a password too. */
function nameOf(frame: CommandFrame): string {
  const word = (index: number) =>
    index < frame.seenCount
      ? frame.bytes
          .toString('latin1', frame.argumentStart(index), frame.argumentEnd(index))
          .toUpperCase()
      : ''
  const name = word(0)
  if (!isKnownCommand(name)) return 'unknown'
  const sub = isContainerCommand(name) ? word(1) : ''
  return /^[A-Z-]{1,20}$/.test(sub) ? `${name}|${sub}` : name
}

function inlineName(head: Buffer): { readonly name: string; readonly keys: object } {
  const name = head.toString('latin1').trim().split(/\s+/, 1)[0]?.toUpperCase() ?? ''
  return { name: isKnownCommand(name) ? name : 'unknown', keys: {} }
}

interface SeenReply {
  /** Its first byte, as RESP has it. */
  readonly reply: string
  readonly bytes: number
  /** The first word of an error. */
  readonly error?: string
}

/** Follows what a client is sent; what is no RESP, as a stream for replicas, is not followed. */
class ReplyReader {
  private readonly onReply: (reply: SeenReply) => void
  private readonly scanner = new ReplyScanner({
    allowsPushes: true,
    countsPushes: true,
    lineBytesMax: replyLineBytesMax,
  })
  private isLost = false
  private byteCount = 0
  private type = ''
  private error: string | undefined

  constructor(onReply: (reply: SeenReply) => void) {
    this.onReply = onReply
  }

  receive(bytes: Buffer): void {
    const { scanner } = this
    let at = 0
    while (at < bytes.length && !this.isLost) {
      if (this.byteCount === 0) this.begin(bytes, at)
      if (!scanner.scan(bytes, at, bytes.length, 1)) {
        this.isLost = true
        return
      }
      this.byteCount += scanner.position - at
      at = scanner.position
      if (scanner.count > 0) this.end()
    }
  }

  private begin(bytes: Buffer, at: number): void {
    this.type = String.fromCharCode(bytes[at] ?? 0)
    const word = this.type === '-' ? bytes.toString('latin1', at + 1, at + 33) : ''
    this.error = /^[A-Z]{1,32}/.exec(word)?.[0]
  }

  private end(): void {
    const { type, byteCount, error } = this
    this.byteCount = 0
    this.onReply({ reply: type, bytes: byteCount, ...(error !== undefined && { error }) })
  }
}
