/**
 * What a backend is asked by programs: of the vocabulary, what it answers as one server does. Where keys are spread
 * over servers the keys of a command have a hash tag in common, unless the command is one that is split.
 */
import {
  blocking,
  common,
  connection,
  keyed,
  keyless,
  logins,
  subscriptions,
} from './vocabulary.ts'

const lists = { blocking, common, connection, keyed, keyless, logins, subscriptions }
export type Vocabulary = Readonly<Record<keyof typeof lists, readonly string[]>>

export interface Profile {
  readonly vocabulary: Vocabulary
  /** Whether keys are on several servers, by hash tag. */
  readonly isSpread: boolean
  /**
   * Whether a client waits for each reply, but within transactions, and watches nothing: keys go to other servers
   * meanwhile, and what was not run there can not be sent again behind the rest.
   */
  readonly isShallow?: boolean
}

/** What tells of replication: there is none behind the server that is the oracle. */
const replication = [/^WAIT /, /^ROLE$/]
/** Other databases, which clusters do not have. */
const databases = [/^SELECT/, /^SWAPDB/, /^MOVE/, /^COPY .* DB /]
const spread = [
  ...replication,
  ...databases,
  // A scan goes through the servers one after the other; all of it is looked at in the end.
  /^SCAN 0/,
  // It reads keys that it does not name.
  /^SORT .* BY /,
  // Its key has no tag.
  /^EVAL {failing}/,
  // A script is known where it was run; what SCRIPT LOAD loads is known everywhere.
  /^EVAL {answer} 0/,
  // A server tells of its own subscribers only.
  /^PUBLISH/,
  // A server tells of the keys that it has.
  /^CLIENT TRACKING {/,
]
/** What a server does not have from the one that it follows: that knows other scripts, and goes on knowing them. */
const ofServers = [/^CONFIG/, /^SCRIPT (EXISTS|FLUSH)/, /^EVALSHA/]
/** Whoever does this and writes over the same connection is closed where writes have to be confirmed. */
const untold = [/^MONITOR/, /^[PS]?SUBSCRIBE/]
/** Of all keys: one that is on its way from server to server is met twice, or at neither. */
const ofAllKeys = [/^FLUSH/, /^DBSIZE/, /^KEYS/]
/** What the sidecar is asked in place of a server is refused in transactions, and another protocol ends a watch. */
const unbound = /^(ASKING|READONLY|READWRITE|HELLO|CLUSTER|SUBSCRIBE)/
/** More of what is split, in place of what is left out. */
const split = [
  'MGET {any} {any} {any} {any} {any} {any} {any} {any}',
  'MSET {str} {value} {str} {small} {bits} {small} {free} {value}',
  'DEL {any} {any} {any} {any}',
  'UNLINK {str} {list} {none} {zset} {hash}',
  'EXISTS {any} {any} {any} {any} {any}',
  'TOUCH {any} {any} {any} {any}',
]

function without(left: readonly RegExp[], more: readonly string[] = []): Vocabulary {
  const kept = (lines: readonly string[]) =>
    lines.filter((line) => !left.some((pattern) => pattern.test(line)))
  const entries = Object.entries(lists).map(([name, lines]) => [name, kept(lines)])
  const vocabulary = Object.fromEntries(entries) as Vocabulary
  return { ...vocabulary, keyed: [...vocabulary.keyed, ...more] }
}

export const profiles = {
  oneServer: { vocabulary: lists, isSpread: false },
  replicated: { vocabulary: without(replication), isSpread: false },
  confirmed: { vocabulary: without([...replication, ...untold]), isSpread: false },
  spread: { vocabulary: without(spread, [...split, ...split]), isSpread: true },
  moving: {
    vocabulary: without([...spread, ...ofServers, ...ofAllKeys], [...split, ...split]),
    isSpread: true,
    isShallow: true,
  },
  deposing: {
    vocabulary: without([...spread, ...ofServers], [...split, ...split]),
    isSpread: true,
    isShallow: true,
  },
} as const satisfies Record<string, Profile>

/** Of a backend whose keys are spread: whether who watches keys, or is in a transaction, may send it. */
export const canBeBound = (line: string): boolean => !unbound.test(line)

/** Commands whose keys may be anywhere. */
export const isSplit = (line: string): boolean => /^(MGET|MSET|DEL|UNLINK|EXISTS|TOUCH) /.test(line)

/** What servers with a part of the keys must refuse when its keys are on several. */
export const crossing: readonly string[] = [
  'SINTER {ints} {ints}',
  'SUNIONSTORE {ints} {ints} {ints}',
  'RENAME {alike} {free}',
  'COPY {alike} {free}',
  'MSETNX {str} {value} {str} {value}',
  'BITOP AND {bits} {bits}',
  'LMOVE {list} {list} LEFT RIGHT',
  'BLPOP {list} {list} {soon}',
  'ZUNIONSTORE {zset} 2 {zset} {zset}',
  'PFMERGE {hll} {hll}',
  'EVAL {answer} 2 {str} {str}',
  'XREAD STREAMS {stream} {stream} 0 0',
]
const crossingTags = ['{crossing}', '{elsewhere}'] as const

/** Names of the ring’s servers, on two of which are the tags above. */
export const ringNames = ['one', 'two', 'three'] as const

/** Tags of other keys: each server of three has some, in a cluster and in that ring. */
const tags = ['{amber}', '{basil}', '{kale}', '{iris}', '{\r\n\0 tag}'] as const
/** The whole key counts where there is no tag, or nothing in it. */
const anyTags = [...tags, '', '{}'] as const
export const drawTags = { ordinary: tags, alone: anyTags, crossing: crossingTags } as const

/**
 * Whether a command was made to have keys on several servers. One of the two tags alone tells that it was, before it
 * was made smaller.
 */
export function crosses(words: readonly string[]): 'yes' | 'no' | 'not any more' {
  const has = crossingTags.map((tag) => words.some((word) => word.startsWith(tag)))
  if (has.every((one) => one)) return 'yes'
  return has.some((one) => one) ? 'not any more' : 'no'
}

/** What one server has to be asked for the reply that such a command must get. */
export const refusal: readonly string[] = [
  'EVAL',
  'return redis.error_reply("CROSSSLOT Keys in request don\'t hash to the same slot")',
  '0',
]
