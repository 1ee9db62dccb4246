/** The section of the page of all commands that tells where each goes when there is more than one server. Pure. */
import type { RouteFacts } from '../../common/redis/command-routes.ts'
import type { CommandFile } from './commands-model.ts'
import { primaryReads, routeDecisions, routeOf } from './routing-decisions.ts'

interface Class {
  readonly title: string
  readonly has: (facts: RouteFacts & { readonly hasKeys: boolean }) => boolean
  readonly replication: string
  readonly cluster: string
  readonly ring: string
  /** Instead of their names. */
  readonly others?: string
}

const classes: readonly Class[] = [
  {
    title: 'keys that can be split',
    has: ({ route }) => route === 'split',
    replication: 'as with any other keys',
    cluster: 'one command per slot, those of a shard sent to it at once; the replies become one',
    ring: 'one command per server; the replies become one',
  },
  {
    title: 'keys, only read',
    has: ({ hasKeys, readsOnly }) => hasKeys && readsOnly,
    replication: 'a replica that is fit for it, else the primary',
    cluster: 'the shard of the slot: its primary, or a replica if reads are split',
    ring: 'the server of the key',
  },
  {
    title: 'other keys',
    has: ({ hasKeys }) => hasKeys,
    others: 'all other commands with keys',
    replication: 'the primary',
    cluster: 'the primary of the slot; keys of two slots are refused with `CROSSSLOT`',
    ring: 'the server of the keys; keys of two servers are refused with `CROSSSLOT`',
  },
  {
    title: 'all data',
    has: ({ route }) => route === 'allShards',
    replication: 'the primary',
    cluster: 'the primary of every shard; the replies become one',
    ring: 'every server; the replies become one',
  },
  {
    title: 'all servers',
    has: ({ route }) => route === 'allNodes',
    replication: 'the primary',
    cluster: 'the primary of every shard, not its replicas; the replies become one',
    ring: 'every server; the replies become one',
  },
  {
    title: 'scan',
    has: ({ route }) => route === 'scan',
    replication: 'the primary',
    cluster: 'one shard after the other; the cursor tells which',
    ring: 'one server after the other',
  },
  {
    title: 'messages',
    has: ({ route }) => route === 'message',
    replication: 'the primary',
    cluster: 'a primary, which tells the others',
    ring: 'the server that the channel’s name has: there it is listened for',
  },
  {
    title: 'one slot',
    has: ({ route }) => route === 'slotNumber',
    replication: 'the primary',
    cluster: 'the primary of that slot',
    ring: 'a server, which refuses it',
  },
  {
    title: 'no keys',
    has: () => true,
    others: 'all other commands',
    replication: 'the primary',
    cluster: 'a primary',
    ring: 'a server',
  },
]

export function routingSection(file: CommandFile): string {
  const names = new Map<Class, string[]>()
  for (const [name, variants] of Object.entries(file.commands)) {
    const hasKeys = variants.some(({ keySpecs }) => keySpecs !== undefined)
    const facts = { ...routeOf(name, file), hasKeys }
    const found = classes.find(({ has }) => has(facts))
    if (found !== undefined) names.set(found, [...(names.get(found) ?? []), shown(name)])
  }
  const rows = classes.map((entry) => {
    const { title, others, replication, cluster, ring } = entry
    const commands = others ?? names.get(entry)?.join(', ') ?? ''
    return `| ${title}: ${commands} | ${replication} | ${cluster} | ${ring} |`
  })
  return `## How commands are routed

With one server, and in replication while all goes to the primary, every command goes to that server. Else the sidecar finds the
keys of a command where its server says they are (\`COMMAND INFO\`), and by its tips what becomes of one without:

| commands | replication with split reads | cluster | ring |
|---|---|---|---|
${rows.join('\n')}

- **A reply made of several**: sums, minima, lists joined, as the server’s response policy says. The first error among them, in the
  order of the parts, is the reply; what other parts did stays done. \`SCRIPT KILL\` and \`FUNCTION KILL\` succeed if one part does.
- **A split** is not done at one moment: another client may see some of the keys set. \`MSETNX\`, and \`MSETEX\` with \`NX\` or \`XX\`, which
  depend on all keys at once, are refused as every other command whose keys are not in one slot.
- **\`SCAN\`**: the cursor is the server’s times 1024 plus the number of its shard. While slots move, shards come or go, keys may
  be missed or told twice; the cursor of a shard that is gone is refused with \`ERR invalid cursor\`, so that the client begins anew.
- **Commands that this table does not know** never go to a replica. Where their keys are their server is asked; if it does not tell,
  they go to a primary, which redirects them if the keys are another’s.
- **Commands that have an own connection** have it to the shard of their keys; without keys, to any.

What servers’ tips say otherwise, or nothing of:

| because it … | commands |
|---|---|
${reasonRows(routeDecisions)}

Commands that servers flag as only reading, which go to the primary all the same:

| because it … | commands |
|---|---|
${reasonRows(primaryReads)}
`
}

function reasonRows(
  entries: readonly { readonly names: readonly string[]; readonly why: string }[],
): string {
  const byReason = new Map<string, string[]>()
  for (const { names, why } of entries) {
    byReason.set(why, [...(byReason.get(why) ?? []), ...names.map(shown)])
  }
  return [...byReason].map(([why, names]) => `| ${why} | ${names.join(', ')} |`).join('\n')
}

const shown = (name: string): string => `\`${name.toUpperCase().replace('|', ' ')}\``
