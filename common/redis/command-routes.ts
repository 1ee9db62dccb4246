/**
 * Where a command goes in a backend of several shards and what becomes of the replies: words, and the letters that stand
 * for them in rows. The generator decides from the tips of the servers (`scripts/generate/routing-decisions.ts`).
 */

/** Of a command with keys only `split` differs from `any`: the others are for those without. */
export type CommandRoute =
  /** The shard of its keys; without keys, any one server. */
  | 'any'
  /** Keys of several slots are spread over one command per slot. */
  | 'split'
  /** The primary of every shard. */
  | 'allShards'
  /** Every server, replicas too. */
  | 'allNodes'
  /** One shard after the other, as the cursor tells. */
  | 'scan'
  /** Any one server of a cluster, which tells the others; every server of a ring, whose servers know of nobody. */
  | 'message'
  /** The owner of the slot that is the command’s third word. */
  | 'slotNumber'

/** How the replies of several servers become one; see `sidecar/route/merge`. */
export type CommandMerge =
  /** It never has several. */
  | 'none'
  /** Of numbers, or of the numbers of lists place by place; so do the next four. */
  | 'sum'
  | 'min'
  | 'max'
  | 'and'
  | 'or'
  | 'oneSucceeded'
  | 'allSucceeded'
  /** The elements of all arrays, in the order of the keys. */
  | 'positional'
  /** The elements of all, one server’s after the other’s. */
  | 'concat'
  /** The same without repetition. */
  | 'distinct'
  /** One of those that are not null. */
  | 'pickOne'
  /** Of FUNCTION STATS: a server’s where something runs, else the first. */
  | 'running'

const routeLetters: Readonly<Record<CommandRoute, string>> = {
  any: '-',
  split: 'm',
  allShards: 's',
  allNodes: 'n',
  scan: 'c',
  message: 'b',
  slotNumber: 't',
}

const mergeLetters: Readonly<Record<CommandMerge, string>> = {
  none: '-',
  sum: 's',
  min: 'i',
  max: 'x',
  and: 'a',
  or: 'o',
  oneSucceeded: '1',
  allSucceeded: 'A',
  positional: 'p',
  concat: 'c',
  distinct: 'd',
  pickOne: 'r',
  running: 'f',
}

export interface RouteFacts {
  readonly route: CommandRoute
  readonly merge: CommandMerge
  /** Has no effect whatever but its reply, in every known version, and any replica can give it. */
  readonly readsOnly: boolean
}

/** What a row says in letters. */
export interface RowFacts extends RouteFacts {
  /** Its second word is a sub-command. */
  readonly isContainer: boolean
}

export function routeLettersOf({ route, merge, readsOnly, isContainer }: RowFacts): string {
  const marks = `${readsOnly ? 'r' : ''}${isContainer ? 'c' : ''}`
  return `${routeLetters[route]}${mergeLetters[merge]}${marks}`
}

export function routeFactsOf(letters: string): RowFacts {
  const route = keyOf(routeLetters, letters.charAt(0))
  const merge = keyOf(mergeLetters, letters.charAt(1))
  const marks = letters.slice(2)
  return { route, merge, readsOnly: marks.includes('r'), isContainer: marks.includes('c') }
}

function keyOf<Key extends string>(letters: Readonly<Record<Key, string>>, letter: string): Key {
  for (const key in letters) if (letters[key] === letter) return key
  throw new Error(`no command has the letter ${letter}`)
}
