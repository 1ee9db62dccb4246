/**
 * Commands that a proxy must not simply pass on over a connection that clients share, by upper-case name. What is not
 * special goes on the shared connection. Where a server’s own flags tell, they decide; the rest is decided here, and a
 * test sees to it that nothing of note in any known version is left undecided.
 */
import {
  isBlockingCommand,
  isContainer,
  isScriptCommand,
  isSubscribingCommand,
} from './command-flags.ts'
import { commandRows } from './generated/command-rows.ts'

export type CommandKind =
  /** Answered by the proxy itself. */
  | 'auth'
  | 'hello'
  | 'quit'
  | 'reset'
  /** Has sub-commands of several kinds. */
  | 'client'
  | 'script'
  | 'function'
  /** Tells of servers, which may be shown as one or as others. */
  | 'topology'
  /** State of the connection. */
  | 'select'
  | 'multi'
  | 'exec'
  | 'discard'
  | 'watch'
  | 'unwatch'
  | 'connectionFlag'
  /** Stops its connection until something happens. */
  | 'blocking'
  | 'blockingIfAsked'
  | 'waiting'
  /** May keep the server busy without end. */
  | 'scripting'
  /** Has replies that no request asked for, or more than one. */
  | 'subscription'
  | 'monitor'
  /** Turns its connection into something that cannot be followed. */
  | 'raw'

/** What no flag tells, or what a flag tells too coarsely. */
const decided: Readonly<Partial<Record<CommandKind, readonly string[]>>> = {
  auth: ['AUTH'],
  hello: ['HELLO'],
  quit: ['QUIT'],
  reset: ['RESET'],
  client: ['CLIENT'],
  script: ['SCRIPT'],
  function: ['FUNCTION'],
  topology: ['CLUSTER', 'INFO'],
  select: ['SELECT'],
  multi: ['MULTI'],
  exec: ['EXEC'],
  discard: ['DISCARD'],
  watch: ['WATCH'],
  unwatch: ['UNWATCH'],
  connectionFlag: ['READONLY', 'READWRITE', 'ASKING'],
  blockingIfAsked: ['XREAD', 'XREADGROUP'],
  waiting: ['WAIT', 'WAITAOF'],
  monitor: ['MONITOR'],
  // A connection between servers, if they are let through at all.
  raw: ['SYNC', 'PSYNC', 'REPLCONF'],
  // It waits for replicas, and its client hears nothing if it succeeds.
  blocking: ['SHUTDOWN'],
}

/** What the flags of a command say of it, where a server says them in letters (see `commandLetters`). */
export function kindOfLetters(letters: string): CommandKind | undefined {
  if (isBlockingCommand(letters)) return 'blocking'
  if (isSubscribingCommand(letters)) return 'subscription'
  return isScriptCommand(letters) ? 'scripting' : undefined
}

const known = new Set<string>()
const containers = new Set<string>()
const kinds = new Map<string, CommandKind>()
readTable()

function readTable(): void {
  for (const row of commandRows.split(' ')) {
    const [lowerName = '', letters = ''] = row.split(':')
    const name = lowerName.toUpperCase()
    known.add(name)
    if (isContainer(letters)) containers.add(name)
    const kind = kindOfLetters(letters)
    if (kind !== undefined) kinds.set(name, kind)
  }
  for (const kind of Object.keys(decided) as CommandKind[]) {
    for (const name of decided[kind] ?? []) kinds.set(name, kind)
  }
}

/** The kind of a command that is not an ordinary one. `name` is upper-case. */
export function commandKind(name: string): CommandKind | undefined {
  return kinds.get(name)
}

/** Every name that has a kind. */
export function specialCommandNames(): readonly string[] {
  return [...kinds.keys()]
}

/** Whether any known version of a server has a command of this upper-case name. */
export function isKnownCommand(name: string): boolean {
  return known.has(name)
}

/** Whether the first argument of the command is a sub-command. */
export function isContainerCommand(name: string): boolean {
  return containers.has(name)
}

/** Every command of every known version. */
export function knownCommandNames(): readonly string[] {
  return [...known]
}
