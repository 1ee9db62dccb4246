/** The page of all commands: which versions have them and what becomes of them in a sidecar. Pure. */
import { type CommandKind, commandKind } from '../../common/redis/command-table.ts'
import { defaultDecisions } from '../../sidecar/policy/default-policy.ts'
import type { CommandFile, CommandVariant } from './commands-model.ts'
import { routingSection } from './commands-routing.ts'

const shared = 'shared'

/** The key is a kind; what it says is how commands of it reach the server. */
const handling: Readonly<Record<CommandKind, string>> = {
  auth: 'answered by the sidecar, which has users of its own',
  hello: 'answered by the sidecar',
  quit: 'answered by the sidecar',
  reset: 'answered by the sidecar, which gives back what the client had for itself',
  client: shared,
  script: shared,
  function: shared,
  topology: shared,
  select: 'own connection while the database is not 0',
  multi: 'own connection until EXEC or DISCARD',
  exec: 'ends MULTI',
  discard: 'ends MULTI',
  watch: 'own connection until EXEC, DISCARD or UNWATCH',
  unwatch: 'ends WATCH',
  connectionFlag: 'own connection from then on',
  blocking: 'own connection while it blocks',
  blockingIfAsked: `${shared}; with BLOCK own connection while it blocks`,
  waiting: 'own connection while it waits',
  scripting: `${shared}, apart from commands that are no scripts`,
  subscription: 'own connection while subscribed',
  monitor: 'own connection from then on',
  raw: 'own connection from then on',
}

const subcommandHandling: Readonly<Record<string, string>> = {
  'client|setname': 'answered by the sidecar, which tells it to connections of the client’s own',
  'client|getname': 'answered by the sidecar',
  'client|setinfo': 'answered by the sidecar',
  'client|list': shared,
  'client|help': shared,
  'client|unblock': shared,
  'client|pause': shared,
  'client|unpause': 'sent past all that waits',
  'client|kill': 'own connection for this command',
  'client|info': 'own connection for this command',
  'client|getredir': 'own connection for this command',
  'client|trackinginfo': 'own connection for this command',
  'client|tracking': 'own connection while tracking',
  'script|kill': 'sent past all that waits',
  'function|kill': 'sent past all that waits',
  'script|debug': 'own connection from then on',
}

export function commandsPage(file: CommandFile): string {
  const groups = new Map<string, string[]>()
  for (const [name, variants] of Object.entries(file.commands)) {
    const group = variants.at(-1)?.group || 'other'
    const rows = groups.get(group) ?? []
    groups.set(group, [...rows, row(name, variants, file)])
  }
  const sections = [...groups]
    .toSorted(([left], [right]) => left.localeCompare(right))
    .map(([group, rows]) => section(group, rows))
  return [introduction(file), refusedSection(), routingSection(file), ...sections].join('\n')
}

function introduction(file: CommandFile): string {
  const servers = Object.entries(file.servers)
    .map(([series, version]) => `${productOf(series)} ${version}`)
    .join(', ')
  return `# Commands

<!-- Generated: npm run generate -->

Every command of ${servers}, as
these servers tell of themselves (\`COMMAND\`), and what becomes of it in a sidecar:

- **shared**: sent over a connection that serves many clients, in order with the client’s other commands.
- **own connection**: the client has one connection to the server for itself, for as long as the table says.
- **answered by the sidecar**: the server does not see it.
- **refused**: answered with \`NOPERM\` unless it is [allowed by name](environment.md#commands).

A command that is not listed, of a module or a newer server, is shared; if its server flags it as blocking or subscribing, it has
its own connection, and if it flags it as administrative, it is refused unless it is allowed by name.
`
}

function refusedSection(): string {
  const byReason = new Map<string, string[]>()
  const passing = new Map<string, string[]>()
  for (const [name, { kind, why }] of defaultDecisions) {
    const reasons = kind === 'refused' ? byReason : passing
    reasons.set(why, [...(reasons.get(why) ?? []), `\`${escaped(name)}\``])
  }
  const rows = (reasons: ReadonlyMap<string, readonly string[]>) =>
    [...reasons].map(([why, names]) => `| ${why} | ${names.join(', ')} |`).join('\n')
  return `## What is refused by default

| because it … | commands |
|---|---|
${rows(byReason)}

A command with sub-commands that is refused as a whole is let through where a sub-command is named below, and where the server is
newer than this table its new sub-commands are refused. The following pass although servers call them administrative or dangerous:

| because it … | commands |
|---|---|
${rows(passing)}
`
}

function section(group: string, rows: readonly string[]): string {
  return `## ${group}

| command | servers | since | in a sidecar |
|---|---|---|---|
${rows.join('\n')}
`
}

function row(name: string, variants: readonly CommandVariant[], file: CommandFile): string {
  const shown = `\`${name.toUpperCase().replace('|', ' ')}\``
  const isDeprecated = variants.some(({ deprecatedSince }) => deprecatedSince !== undefined)
  const isContainer = Object.keys(file.commands).some((other) => other.startsWith(`${name}|`))
  const cells = [
    isDeprecated ? `${shown} (deprecated)` : shown,
    serversText(variants, file),
    sinceText(variants),
    fate(name, isContainer),
  ]
  return `| ${cells.join(' | ')} |`
}

/** `7.0.0`, or what each product says where they differ. */
function sinceText(variants: readonly CommandVariant[]): string {
  const byProduct = new Map<string, string>()
  for (const variant of variants.filter(({ since }) => since !== '')) {
    for (const product of new Set(variant.in.map(productOf))) {
      if (!byProduct.has(product)) byProduct.set(product, variant.since)
    }
  }
  const versions = [...new Set(byProduct.values())]
  if (versions.length < 2) return versions.join('')
  return [...byProduct].map((entry) => entry.join(' ')).join(', ')
}

function fate(name: string, isContainer: boolean): string {
  if (isContainer) return 'see its sub-commands'
  const [container = ''] = name.split('|')
  const decision = defaultDecisions.get(name) ?? defaultDecisions.get(container)
  if (decision?.kind === 'refused') return `refused; allow \`${escaped(name)}\``
  const kind = commandKind(container.toUpperCase())
  const isOwnState = kind === 'client' && !(name in subcommandHandling)
  if (isOwnState) return handling.connectionFlag
  return subcommandHandling[name] ?? (kind === undefined ? shared : handling[kind])
}

/** `all`, or `Redis 8.0 and later, Valkey 9`. */
function serversText(variants: readonly CommandVariant[], file: CommandFile): string {
  const having = new Set(variants.flatMap((variant) => variant.in))
  const all = Object.keys(file.servers)
  if (having.size === all.length) return 'all'
  const products = [...new Set(all.map(productOf))]
  const texts = products.flatMap((product) => {
    const series = all.filter((entry) => productOf(entry) === product)
    const here = series.filter((entry) => having.has(entry))
    const versions = here.map((entry) => entry.split(' ')[1] ?? '')
    const first = series.indexOf(here[0] ?? '')
    if (here.length === 0) return []
    if (here.length === series.length) return [product]
    const isOnward = here.length > 1 && here.length === series.length - first
    return [`${product} ${isOnward ? `${versions[0]} and later` : versions.join(', ')}`]
  })
  return texts.join('; ')
}

function productOf(series: string): string {
  return series.startsWith('valkey') ? 'Valkey' : 'Redis'
}

const escaped = (name: string): string => name.replace('|', '\\|')
