/** What the admin port sets off, by the name of the command; its fields are those of the form. */
import { randomUUID } from 'node:crypto'
import { UsageProblem } from './problem.ts'
import type { MessageLogOptions } from '../messages/options.ts'
import { messagesLoggedMax, messagesSecondsMax } from '../../common/limits.ts'

/** What the commands act upon. */
export interface AdminActions {
  pause(): Promise<void>
  resume(): void
  /** Reads the configuration again, where it comes from a file. Gives all reasons why it is not in force. */
  reload(): Promise<readonly string[]>
  terminateRaw(): void
  logMessages(options: MessageLogOptions): void
}

type Command = (actions: AdminActions, fields: URLSearchParams) => void | Promise<void>

export const commands: Readonly<Record<string, Command>> = {
  pause: (actions) => actions.pause(),
  unpause: (actions) => actions.resume(),
  reload: async (actions) => {
    const reasons = await actions.reload()
    if (reasons.length > 0) throw new Error(`nothing was changed: ${reasons.join('; ')}`)
  },
  'terminate-raw-connections': (actions) => actions.terminateRaw(),
  'log-messages': (actions, fields) => {
    const keys = fields.get('keys') ?? 'hash'
    if (keys !== 'hash' && keys !== 'plain' && keys !== 'none') {
      throw new UsageProblem(`keys is "${keys}"; expected hash, plain or none`)
    }
    actions.logMessages({
      seconds: numberOf(fields, 'seconds', 10, messagesSecondsMax),
      max: numberOf(fields, 'max', 1000, messagesLoggedMax),
      keys,
      salt: randomUUID(),
    })
  },
}

function numberOf(fields: URLSearchParams, name: string, otherwise: number, max: number): number {
  const given = fields.get(name)
  if (given === null) return otherwise
  const value = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN
  if (value >= 0 && value <= max) return value
  throw new UsageProblem(`${name} is "${given}"; expected a number from 0 to ${max}`)
}
