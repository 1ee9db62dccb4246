/** One hostile input and the reaction that it should get. Tables of them are data; `run-row.ts` tries them. */
import type { Bytes } from './wire.ts'

export interface Row {
  /** As in tables of other proxies’ reactions: F framing, I inline, X other protocols, C commands, S security. */
  readonly id: string
  readonly name: string
  /** What is sent; several: each in a packet of its own. */
  readonly input: Bytes | readonly Bytes[]
  /** All that comes back, or what it looks like. */
  readonly reply: string | RegExp
  /**
   * `open`: goes on and answers the next command. `waiting`: stays open for the rest of what was begun.
   * `timer`: the same, and is closed when the rest has not come within the time for that.
   */
  readonly end: 'open' | 'waiting' | 'closed' | 'timer'
  /** What the client does after its last byte; `stay` unless told. */
  readonly afterwards?: 'stay' | 'end' | 'reset'
  /** Behind a password that the client has not given. */
  readonly isLogin?: boolean
  /** Bytes by which the process may grow; the default of the run unless told. */
  readonly growthBytesMax?: number
  /** How long the reaction may take. */
  readonly deadlineMs?: number
}

type Extra = Omit<Row, 'end' | 'id' | 'input' | 'name' | 'reply'>

const maker =
  (end: Row['end']) =>
  (id: string, name: string, input: Row['input'], reply: Row['reply'], extra: Extra = {}): Row => ({
    id,
    name,
    input,
    reply,
    end,
    ...extra,
  })

export const open = maker('open')
export const closed = maker('closed')
export const waiting = maker('waiting')
export const timer = maker('timer')

export const ping = '*1\r\n$4\r\nPING\r\n'
export const pong = '+PONG\r\n'
export const protocolError = (text: string) => `-ERR Protocol error: ${text}\r\n`
export const anyProtocolError = /^-ERR Protocol error: [^\r\n]{1,200}\r\n$/

/** Keys that are only written when something was executed that should not have been. */
export const smuggledKeys = ['pwned', 'pwned2', 'after', 'half'] as const
