/**
 * Where each command goes in a backend of several shards. Servers tell it in tips (request and response policies); what
 * they leave open, and where the sidecar does otherwise, is decided here with a reason that the page of all commands
 * shows. `routing-decisions.test.ts` sees to it that no tip is passed over in silence.
 */
import type { CommandMerge, CommandRoute, RouteFacts } from '../../common/redis/command-routes.ts'
import type { CommandFile, CommandVariant } from './commands-model.ts'

export interface Decision {
  readonly names: readonly string[]
  readonly route: CommandRoute
  readonly merge: CommandMerge
  readonly why: string
}

const one = { route: 'any', merge: 'none' } as const

export const routeDecisions: readonly Decision[] = [
  { ...one, names: ['ping'], why: 'asks whether it is answered, which must not hang on one shard' },
  {
    ...one,
    names: ['msetnx'],
    why: 'sets all keys or none, which no split can promise: its keys have to share a slot',
  },
  {
    ...one,
    names: [
      'info',
      'memory|doctor',
      'memory|malloc-stats',
      'memory|stats',
      'latency|doctor',
      'latency|graph',
      'latency|histogram',
      'hotkeys|get',
    ],
    why: 'reports on one server; a joined report would be of none',
  },
  {
    ...one,
    names: ['client|setname', 'client|setinfo'],
    why: 'is answered by the sidecar, which tells it to connections of the client’s own',
  },
  {
    ...one,
    names: ['clusterscan'],
    why: 'has a cursor that names the slot, by which it finds its server',
  },
  { names: ['scan'], route: 'scan', merge: 'none', why: 'visits one shard after the other' },
  {
    names: ['randomkey'],
    route: 'allShards',
    merge: 'pickOne',
    why: 'takes one of the keys that the shards give',
  },
  {
    names: ['function|stats'],
    route: 'allShards',
    merge: 'running',
    why: 'tells of the shard where something runs',
  },
  {
    names: ['latency|history', 'latency|latest'],
    route: 'allNodes',
    merge: 'concat',
    why: 'lists what every server has seen',
  },
  {
    names: ['pubsub|channels', 'pubsub|shardchannels'],
    route: 'allNodes',
    merge: 'distinct',
    why: 'a server knows its own subscribers only',
  },
  {
    names: ['pubsub|numsub', 'pubsub|shardnumsub'],
    route: 'allNodes',
    merge: 'sum',
    why: 'a server knows its own subscribers only',
  },
  {
    names: ['pubsub|numpat'],
    route: 'allNodes',
    merge: 'sum',
    why: 'a server knows its own subscribers only; a pattern counts once per server',
  },
  {
    names: ['publish'],
    route: 'message',
    merge: 'sum',
    why: 'is told once: servers of a cluster tell each other, in a ring subscribers listen at the server of the channel',
  },
  {
    names: ['save', 'bgsave', 'bgrewriteaof', 'swapdb'],
    route: 'allShards',
    merge: 'allSucceeded',
    why: 'concerns all data',
  },
  {
    names: [
      'acl|load',
      'client|pause',
      'client|unpause',
      'module|load',
      'module|loadex',
      'module|unload',
      'hotkeys|start',
      'hotkeys|stop',
      'hotkeys|reset',
    ],
    route: 'allNodes',
    merge: 'allSucceeded',
    why: 'has to be the same on every server',
  },
  {
    names: ['cluster|countkeysinslot', 'cluster|getkeysinslot'],
    route: 'slotNumber',
    merge: 'none',
    why: 'only the owner of the slot knows',
  },
]

/** Flagged as reading by every server, and yet not for a replica. */
export const primaryReads: readonly { readonly names: readonly string[]; readonly why: string }[] =
  [
    { names: ['pfcount'], why: 'may write the count that it has found into the key' },
    { names: ['touch'], why: 'is meant to change when the key was last used' },
    {
      names: [
        'object|encoding',
        'object|freq',
        'object|idletime',
        'object|refcount',
        'memory|usage',
        'vinfo',
        'vlinks',
      ],
      why: 'tells how one server keeps the key, which is meant to be the primary',
    },
    {
      names: ['xinfo|consumers', 'xinfo|groups', 'xinfo|stream'],
      why: 'tells of consumers what replicas are not told: when they were seen, in Redis 7.0 what they read',
    },
    {
      names: ['scan', 'hscan', 'sscan', 'zscan', 'clusterscan'],
      why: 'has a cursor that only the server understands that gave it',
    },
    {
      names: ['eval_ro', 'evalsha_ro', 'fcall_ro'],
      why: 'runs a program, whose script only one server may have been given',
    },
    { names: ['xread'], why: 'may wait' },
  ]

const requestRoutes: Readonly<Record<string, CommandRoute>> = {
  all_nodes: 'allNodes',
  all_shards: 'allShards',
  multi_shard: 'split',
}

const responseMerges: Readonly<Record<string, CommandMerge>> = {
  agg_sum: 'sum',
  agg_min: 'min',
  agg_max: 'max',
  agg_logical_and: 'and',
  agg_logical_or: 'or',
  one_succeeded: 'oneSucceeded',
  all_succeeded: 'allSucceeded',
}

/** The newest server’s policy; older ones have fewer tips, and the commands were the same. */
export function policyOf(
  variants: readonly CommandVariant[],
  policy: 'request_policy' | 'response_policy',
): string | undefined {
  const tips = variants.flatMap(({ tips = [] }) => tips)
  return tips.findLast((tip) => tip.startsWith(`${policy}:`))?.slice(policy.length + 1)
}

/** @throws Error for a policy that nothing is known of: it has to be decided upon. */
export function routeOf(name: string, file: CommandFile): RouteFacts {
  const variants = file.commands[name] ?? []
  const readsOnly = isReading(name, variants)
  const decided = routeDecisions.find(({ names }) => names.includes(name))
  if (decided !== undefined) return { route: decided.route, merge: decided.merge, readsOnly }
  const request = policyOf(variants, 'request_policy')
  const response = policyOf(variants, 'response_policy')
  if (request === undefined) return { ...one, readsOnly }
  const route = requestRoutes[request]
  // Without a response policy, replies with keys are put in the order of the keys, others one after the other.
  const natural = route === 'split' ? 'positional' : 'concat'
  const merge = response === undefined ? natural : responseMerges[response]
  if (route === undefined || merge === undefined) {
    throw new Error(`${name}: decide upon ${request}, ${response}`)
  }
  return { route, merge, readsOnly }
}

function isReading(name: string, variants: readonly CommandVariant[]): boolean {
  const isExcepted = primaryReads.some(({ names }) => names.includes(name))
  if (isExcepted || variants.length === 0) return false
  const bars = ['write', 'admin', 'pubsub', 'blocking', 'noscript']
  return variants.every(
    ({ flags }) => flags.includes('readonly') && !bars.some((flag) => flags.includes(flag)),
  )
}
