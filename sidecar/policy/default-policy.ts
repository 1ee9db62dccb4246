/**
 * What a sidecar refuses where its configuration says nothing: commands that harm the server or its other clients and
 * that no application needs. Whatever else a server flags as administrative or dangerous is named here too, with the
 * reason why it passes; a test sees to it that none is left undecided.
 */

export type Decision =
  /** Not let through, because it … */
  | { readonly kind: 'refused'; readonly why: string }
  /** Let through although its flags warn of it, because it … */
  | { readonly kind: 'allowed'; readonly why: string }

const refused = {
  process: 'ends, stops or forks the server, or changes its files',
  settings: 'changes how the server runs, for everyone',
  topology: 'changes who is primary, or whom the server belongs to',
  replication: 'is what servers say to each other; it copies the whole data set',
  code: 'loads native code into the server, or takes it away',
  users: 'changes who may log in, or tells of it and of password hashes',
  clients: 'acts on the connections of other clients, which here share them',
  records: 'erases what operators look at',
  spying: 'shows the commands and data of all other clients',
  payload: 'has the server decode bytes that only servers should make',
  internals: 'is a tool for the server’s developers',
} as const

const allowed = {
  everyday: 'is used by ordinary applications; it acts on their data',
  start: 'is asked by client libraries and frameworks as they start',
  reading: 'only reads',
  own: 'concerns only the connection that it is sent on',
  report: 'starts, stops or clears a report of its own',
} as const

const refusedNames: Readonly<Record<keyof typeof refused, string>> = {
  process: 'shutdown debug bgsave bgrewriteaof save script|debug',
  settings: 'config|set config|rewrite config|resetstat',
  topology: 'replicaof slaveof failover migrate cluster trimslots',
  replication: 'sync psync replconf',
  code: 'module|load module|loadex module|unload',
  users:
    'acl|setuser acl|deluser acl|load acl|save acl|log acl|getuser acl|list acl|users acl|dryrun',
  clients: 'client|kill client|pause client|unpause',
  records: 'latency|reset slowlog|reset commandlog|reset',
  spying: 'monitor',
  payload: 'restore restore-asking',
  internals: 'pfdebug pfselftest',
}

const allowedNames: Readonly<Record<keyof typeof allowed, string>> = {
  everyday: 'flushall flushdb keys sort sort_ro swapdb client|unblock',
  start: 'info role config|get client|list',
  own: 'client|no-evict',
  report: 'hotkeys|start hotkeys|stop hotkeys|reset',
  reading: [
    'lastsave module|list slowlog|get slowlog|len commandlog|get commandlog|len hotkeys|get',
    'latency|doctor latency|graph latency|histogram latency|history latency|latest',
    'cluster|replicas cluster|slaves cluster|count-failure-reports cluster|getslotmigrations',
    'cluster|info cluster|slots cluster|shards cluster|nodes cluster|myid cluster|myshardid',
    'cluster|keyslot cluster|countkeysinslot cluster|getkeysinslot cluster|links',
    'cluster|slot-stats cluster|help',
  ].join(' '),
}

/** By name in lower case, `config|set` for a sub-command; the more exact name counts. */
export const defaultDecisions: ReadonlyMap<string, Decision> = new Map([
  ...decisions('refused', refused, refusedNames),
  ...decisions('allowed', allowed, allowedNames),
])

function decisions<Reason extends string>(
  kind: Decision['kind'],
  reasons: Readonly<Record<Reason, string>>,
  names: Readonly<Record<Reason, string>>,
): (readonly [string, Decision])[] {
  return (Object.keys(reasons) as Reason[]).flatMap((reason) =>
    names[reason].split(' ').map((name) => [name, { kind, why: reasons[reason] }] as const),
  )
}

/** Settings of a server that hold credentials, in all its versions. */
export const secretSettings: readonly string[] = [
  'requirepass',
  'masterauth',
  'primaryauth',
  'masteruser',
  'primaryuser',
  'tls-key-file-pass',
  'tls-client-key-file-pass',
]
