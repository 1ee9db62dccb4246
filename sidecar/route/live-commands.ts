/**
 * Commands that the table does not know: those of modules and of newer servers, and renamed ones. What the server says
 * of them is asked when it is connected, and by name when one is met that was not told; nothing on the path of a known
 * command comes here. What the server does not say is passed on as it came.
 */
import type { Clock } from '../../common/clock.ts'
import { commandLetters, isAdminCommand, isContainer } from '../../common/redis/command-flags.ts'
import {
  type CommandKind,
  commandKind,
  isContainerCommand,
  isKnownCommand,
  kindOfLetters,
} from '../../common/redis/command-table.ts'
import {
  liveCommandAbsentMs,
  liveCommandRetryMs,
  liveCommandWaitMs,
  liveCommandsAskedAtOnce,
  liveCommandsMax,
  liveNameLengthMax,
} from '../../common/limits.ts'
import type { Reply } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { type CommandTraits, traitsOfInfo } from './traits.ts'

export interface LiveCommand {
  /** In upper case; of a renamed command the name that the table knows. */
  readonly name: string
  readonly kind: CommandKind | undefined
  readonly isContainer: boolean
  /** Meant for operators, and not in the table, whose decisions would count more. */
  readonly isAdmin: boolean
}

export interface LiveCommandsModules {
  /** Sends a question past the commands of clients; undefined while there is no server. */
  readonly ask: (request: Buffer) => Promise<readonly Reply[]> | undefined
  readonly clock: Clock
  /** Names that are ordinary became known, or are not any more. */
  readonly onChange: () => void
}

interface Entry {
  /** Undefined: the server has no such command. */
  readonly command: LiveCommand | undefined
  /** Where it goes if there are several servers. */
  readonly traits: CommandTraits | undefined
  readonly atMs: number
}

export class LiveCommands {
  private readonly modules: LiveCommandsModules
  private readonly entries = new Map<string, Entry>()
  /** Answers to what was asked of another server are dropped. */
  private generation = 0
  /** Settles when a server can be asked. */
  private connected = Promise.withResolvers<void>()

  constructor(modules: LiveCommandsModules) {
    this.modules = modules
  }

  /** A server is connected; what another one said is forgotten. Never throws: without an answer nothing is known. */
  async refresh(): Promise<void> {
    this.generation += 1
    const { generation } = this
    this.entries.clear()
    this.connected.resolve()
    this.connected = Promise.withResolvers<void>()
    const names = textsOf(await this.question(['COMMAND', 'LIST']))
    const unknown = names
      .filter((name) => !name.includes('|') && !isKnownCommand(name.toUpperCase()))
      .slice(0, liveCommandsMax)
    for (let at = 0; at < unknown.length; at += liveCommandsAskedAtOnce) {
      if (this.generation !== generation) return
      const asked = unknown.slice(at, at + liveCommandsAskedAtOnce)
      this.learn(asked, await this.question(['COMMAND', 'INFO', ...asked]), generation)
    }
    if (this.generation === generation) this.modules.onChange()
  }

  /** Upper-case names of commands that need no more attention than those of the table. */
  ordinaryNames(): readonly string[] {
    return [...this.entries].flatMap(([name, { command }]) => {
      const isOrdinary = command?.kind === undefined && command?.isAdmin === false
      return isOrdinary && command.name === name && !command.isContainer ? [name] : []
    })
  }

  /** What the server said of an upper-case name that the table does not know. */
  find(name: string): LiveCommand | undefined {
    return this.entries.get(name)?.command
  }

  /** Where the server said that its keys are. */
  traits(name: string): CommandTraits | undefined {
    return this.entries.get(name)?.traits
  }

  /** Asks for the name; settles when `find` can tell. Undefined: it can now, or never will. */
  lookUp(name: string): Promise<void> | undefined {
    if (isKnownCommand(name) || name.length > liveNameLengthMax) return undefined
    const entry = this.entries.get(name)
    const isFresh = entry !== undefined && !this.isOld(entry)
    if (isFresh) return undefined
    const { generation } = this
    const asked = this.modules.ask(encodeCommand(['COMMAND', 'INFO', name]))
    if (asked === undefined) return this.waitForServer(name)
    return asked.then(
      ([reply]) => this.learn([name], reply, generation),
      () => {},
    )
  }

  /** While none can be asked clients wait, but not for long: what they send may have to wait by itself. */
  private async waitForServer(name: string): Promise<void> {
    const { generation } = this
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, liveCommandWaitMs).unref()
    await Promise.race([this.connected.promise, promise])
    clearTimeout(timer)
    const failed = { kind: 'error', text: 'LOADING' } as const
    this.learn([name], failed, generation)
  }

  private isOld({ command, atMs }: Entry): boolean {
    // A module may be loaded at any time; that one is taken away again harms nobody.
    const ageMs = this.modules.clock.monotonicMs() - atMs
    return command === undefined && ageMs > liveCommandAbsentMs
  }

  private learn(names: readonly string[], reply: Reply | undefined, generation: number): void {
    if (this.generation !== generation || reply === undefined) return
    const infos = reply.kind === 'list' ? reply.items : []
    // Who cannot tell at present is asked again soon.
    const age = isPassing(reply) ? liveCommandAbsentMs - liveCommandRetryMs : 0
    for (const [index, name] of names.entries()) {
      const key = name.toUpperCase()
      this.entries.delete(key)
      const oldest = this.entries.keys().next().value
      if (this.entries.size >= liveCommandsMax && oldest !== undefined) this.entries.delete(oldest)
      const atMs = this.modules.clock.monotonicMs() - age
      const info = infos[index]
      this.entries.set(key, { command: commandOf(info), traits: traitsOfInfo(info), atMs })
    }
  }

  private async question(words: readonly string[]): Promise<Reply | undefined> {
    try {
      return (await this.modules.ask(encodeCommand(words)))?.[0]
    } catch {
      return undefined
    }
  }
}

/** It cannot tell at present. */
function isPassing(reply: Reply): boolean {
  return reply.kind === 'error' && /^(BUSY|LOADING|MASTERDOWN)\b/.test(reply.text)
}

function commandOf(info: Reply | undefined): LiveCommand | undefined {
  if (info?.kind !== 'list') return undefined
  const [name, , flags, , , , categories, , , subcommands] = info.items
  if (name?.kind !== 'text') return undefined
  const known = name.text.toUpperCase()
  if (isKnownCommand(known)) {
    const kind = commandKind(known)
    return { name: known, kind, isContainer: isContainerCommand(known), isAdmin: false }
  }
  const words = [...textsOf(flags), ...textsOf(categories)].map((word) => word.replace('@', ''))
  const hasParts = subcommands?.kind === 'list' && subcommands.items.length > 0
  const letters = commandLetters(new Set(words), hasParts)
  return {
    name: known,
    // How a module tells what was subscribed to is its own affair.
    kind: kindOfLetters(letters) === 'subscription' ? 'raw' : kindOfLetters(letters),
    isContainer: isContainer(letters),
    isAdmin: isAdminCommand(letters),
  }
}

function textsOf(reply: Reply | undefined): string[] {
  if (reply?.kind !== 'list') return []
  return reply.items.flatMap((item) => (item.kind === 'text' ? [item.text] : []))
}
