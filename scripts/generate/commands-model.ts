/** The commands of several server versions in one file: what it holds, how it is read, written and merged. Pure. */

/** What a server says of one of its commands or sub-commands. */
export interface CommandFacts {
  /** The version that brought it, of the server’s own line. */
  readonly since: string
  readonly group: string
  readonly arity: number
  readonly flags: readonly string[]
  /** ACL categories without the `@`. */
  readonly categories: readonly string[]
  /** Positions of the first and the last key, and the step between; absent: none at fixed places. */
  readonly keys?: readonly number[]
  /** `flags; where to begin; how to go on`. */
  readonly keySpecs?: readonly string[]
  /** Request and response policies and other tips. */
  readonly tips?: readonly string[]
  readonly deprecatedSince?: string
  readonly replacedBy?: string
}

/** Facts and the lines of versions, as `redis 7.0`, that agree on them. */
export interface CommandVariant extends CommandFacts {
  readonly in: readonly string[]
}

export interface CommandFile {
  /** The version that was asked, by its line of versions. */
  readonly servers: Readonly<Record<string, string>>
  /** By name in lower case, `config|set` for a sub-command. */
  readonly commands: Readonly<Record<string, readonly CommandVariant[]>>
}

/** What one line of versions has. */
export function factsIn(file: CommandFile, series: string): ReadonlyMap<string, CommandFacts> {
  const all = Object.entries(file.commands).flatMap(([name, variants]) => {
    const found = variants.find((variant) => variant.in.includes(series))
    if (found === undefined) return []
    const { in: _in, ...facts } = found
    return [[name, facts] as const]
  })
  return new Map(all)
}

/** Puts what servers say now in the place of what the file held of their lines of versions. */
export function mergeCommands(
  file: CommandFile,
  collected: readonly {
    readonly series: string
    readonly version: string
    readonly commands: ReadonlyMap<string, CommandFacts>
  }[],
): CommandFile {
  const servers = { ...file.servers }
  for (const { series, version } of collected) servers[series] = version
  const allSeries = Object.keys(servers).toSorted()
  const bySeries = new Map(allSeries.map((series) => [series, factsIn(file, series)]))
  for (const { series, commands } of collected) bySeries.set(series, commands)
  const names = new Set([...bySeries.values()].flatMap((commands) => [...commands.keys()]))
  const commands: Record<string, readonly CommandVariant[]> = {}
  for (const name of [...names].toSorted()) {
    const variants = new Map<string, { in: string[]; facts: CommandFacts }>()
    for (const series of allSeries) {
      const facts = bySeries.get(series)?.get(name)
      if (facts === undefined) continue
      const key = JSON.stringify(facts)
      const variant = variants.get(key)
      if (variant === undefined) variants.set(key, { in: [series], facts })
      else variant.in.push(series)
    }
    commands[name] = [...variants.values()].map((variant) => ({ in: variant.in, ...variant.facts }))
  }
  return {
    servers: Object.fromEntries(allSeries.map((key) => [key, servers[key] ?? ''])),
    commands,
  }
}

/** One variant a line, so that a change is one line of a diff. */
export function formatCommands(file: CommandFile): string {
  const entries = Object.entries(file.commands).map(([name, variants]) => {
    const lines = variants.map((variant) => `      ${JSON.stringify(variant)}`)
    return `    ${JSON.stringify(name)}: [\n${lines.join(',\n')}\n    ]`
  })
  const servers = JSON.stringify(file.servers)
  return `{\n  "servers": ${servers},\n  "commands": {\n${entries.join(',\n')}\n  }\n}\n`
}
