/**
 * Commands that a proxy must not simply pass on over a connection that clients share, by upper-case name.
 * What is not here goes on the shared connection.
 */

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
  | 'cluster'
  | 'module'
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
  /** Would hand out or change the replication, the process or the topology behind the proxy. */
  | 'denied'

const names: Readonly<Record<CommandKind, readonly string[]>> = {
  auth: ['AUTH'],
  hello: ['HELLO'],
  quit: ['QUIT'],
  reset: ['RESET'],
  client: ['CLIENT'],
  script: ['SCRIPT'],
  function: ['FUNCTION'],
  cluster: ['CLUSTER'],
  module: ['MODULE'],
  select: ['SELECT'],
  multi: ['MULTI'],
  exec: ['EXEC'],
  discard: ['DISCARD'],
  watch: ['WATCH'],
  unwatch: ['UNWATCH'],
  connectionFlag: ['READONLY', 'READWRITE', 'ASKING'],
  blocking: ['BLPOP', 'BRPOP', 'BLMOVE', 'BRPOPLPUSH', 'BLMPOP', 'BZPOPMIN', 'BZPOPMAX', 'BZMPOP'],
  blockingIfAsked: ['XREAD', 'XREADGROUP'],
  waiting: ['WAIT', 'WAITAOF'],
  scripting: ['EVAL', 'EVALSHA', 'EVAL_RO', 'EVALSHA_RO', 'FCALL', 'FCALL_RO'],
  subscription: [
    'SUBSCRIBE',
    'PSUBSCRIBE',
    'SSUBSCRIBE',
    'UNSUBSCRIBE',
    'PUNSUBSCRIBE',
    'SUNSUBSCRIBE',
  ],
  monitor: ['MONITOR'],
  denied: [
    'SYNC',
    'PSYNC',
    'REPLCONF',
    'REPLICAOF',
    'SLAVEOF',
    'FAILOVER',
    'SHUTDOWN',
    'DEBUG',
    'MIGRATE',
  ],
}

const kinds: ReadonlyMap<string, CommandKind> = new Map(
  (Object.keys(names) as CommandKind[]).flatMap((kind) =>
    names[kind].map((name) => [name, kind] as const),
  ),
)

/** The kind of a command that is not an ordinary one. `name` is upper-case. */
export function commandKind(name: string): CommandKind | undefined {
  return kinds.get(name)
}

/** Every name that has a kind. */
export function specialCommandNames(): readonly string[] {
  return [...kinds.keys()]
}

/** Sub-commands of CLUSTER that only read. */
export const clusterReads: ReadonlySet<string> = new Set([
  'INFO',
  'SLOTS',
  'SHARDS',
  'NODES',
  'MYID',
  'MYSHARDID',
  'KEYSLOT',
  'COUNTKEYSINSLOT',
  'GETKEYSINSLOT',
  'LINKS',
  'REPLICAS',
  'SLAVES',
  'SLOT-STATS',
  'HELP',
])

/** Sub-commands of MODULE that change what the server runs. */
export const moduleWrites: ReadonlySet<string> = new Set(['LOAD', 'LOADEX', 'UNLOAD'])
