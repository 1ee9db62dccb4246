/**
 * What a command means for writes that wait for replicas: whether it may have changed something when its reply comes.
 * In doubt it has: what is not known, a script, a function.
 */
import { commandKind } from '../../common/redis/command-table.ts'
import type { CommandFrame } from '../route/command-frame.ts'
import { type CommandTraits, findTraits } from '../route/traits.ts'

export type WriteKind =
  /** Changes nothing that is kept. */
  | 'none'
  | 'write'
  /** May wait at the server, and changes something if its reply is not null. */
  | 'blocking'
  | 'multi'
  | 'exec'
  /** DISCARD and RESET. */
  | 'discard'
  /** Is confirmed by other messages than replies. */
  | 'subscription'
  /** From here on replies cannot be told from what else comes. */
  | 'raw'

/** No write by the servers’ own flags, beside those that only read; all sub-commands too. PUBLISH keeps nothing. */
const harmless: ReadonlySet<string> = new Set(
  [
    'acl asking auth bgrewriteaof bgsave client clusterscan command commandlog config echo eval_ro evalsha_ro',
    'failover fcall_ro hello hotkeys hscan info lastsave latency memory module object pfselftest ping publish',
    'pubsub quit readonly readwrite replicaof role save scan shutdown slaveof slowlog spublish sscan select time',
    'touch unwatch vinfo vlinks wait waitaof watch xinfo xread zscan script',
    'function|dump function|help function|kill function|list function|stats xgroup|help',
  ]
    .join(' ')
    .split(' '),
)

const special: Readonly<Record<string, WriteKind>> = {
  multi: 'multi',
  exec: 'exec',
  discard: 'discard',
  reset: 'discard',
  'script|debug': 'raw',
}

/** By the rows of the table, which are one object each. */
const known = new Map<CommandTraits, WriteKind>()

/** The kind of the command in the frame, of which the name at least has to be there. */
export function writeKindOf(frame: CommandFrame): WriteKind {
  const traits = frame.seenCount === 0 ? undefined : findTraits(frame)
  if (traits === undefined) return 'write'
  const found = known.get(traits) ?? kindOfTraits(traits)
  known.set(traits, found)
  return found
}

export function kindOfTraits({ name, readsOnly }: CommandTraits): WriteKind {
  const [root = ''] = name.split('|', 1)
  const kind = commandKind(root.toUpperCase())
  if (kind === 'monitor' || kind === 'raw') return 'raw'
  if (kind === 'subscription') return 'subscription'
  const told = special[name]
  if (told !== undefined) return told
  if (readsOnly || harmless.has(name) || harmless.has(root)) return 'none'
  return kind === 'blocking' || kind === 'blockingIfAsked' ? 'blocking' : 'write'
}
