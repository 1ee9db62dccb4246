/**
 * Asks running servers for their commands. What they say is kept as facts only, one object per command and sub-command:
 * `npm run generate -- --collect` writes it for every version that is to be had here.
 */
import { createClient } from 'redis'
import {
  type SeriesState,
  type ServerProgram,
  seriesStates,
} from '../../test/support/server-versions.ts'
import { startServer } from '../../test/support/servers.ts'
import { readCommandFile, writeCommandFile } from './commands.ts'
import { type CommandFacts, mergeCommands } from './commands-model.ts'

/** Asks every server that is to be had here and writes what they say. Returns what could not be asked. */
export async function collectAll(): Promise<readonly string[]> {
  const states = await seriesStates()
  const collected = []
  for (const state of states) {
    if (state.kind === 'missing') continue
    const commands = await collectCommands(state.program)
    collected.push({ series: seriesName(state), version: state.program.version, commands })
  }
  const before = await readCommandFile().catch(() => ({ servers: {}, commands: {} }))
  await writeCommandFile(mergeCommands(before, collected))
  return states.flatMap((state) =>
    state.kind === 'missing' ? [`${seriesName(state)} was not asked: ${state.why}`] : [],
  )
}

export function seriesName({ name, series }: Pick<SeriesState, 'name' | 'series'>): string {
  return `${name} ${series}`
}

export type Collected = ReadonlyMap<string, CommandFacts>

type Value = string | number | null | readonly Value[]

/** Every command of a fresh server, by name in lower case, `config|set` for a sub-command. */
export async function collectCommands(program: ServerProgram): Promise<Collected> {
  const server = await startServer({ program })
  const client = createClient({ url: `redis://${server.host}:${server.port}`, RESP: 2 })
  client.on('error', () => {})
  try {
    await client.connect()
    const docs = (await client.sendCommand(['COMMAND', 'DOCS'])) as unknown as readonly Value[]
    const infos = (await client.sendCommand(['COMMAND'])) as unknown as readonly Value[]
    const documented = docsByName(docs)
    const facts = infos.flatMap((info) => factsOf(listOf(info), documented))
    return new Map(facts.toSorted(([left], [right]) => (left < right ? -1 : 1)))
  } finally {
    client.destroy()
    await server.stop()
  }
}

type Docs = ReadonlyMap<string, Value>

function docsByName(reply: readonly Value[]): ReadonlyMap<string, Docs> {
  const all = new Map<string, Docs>()
  for (const [name, value] of mapOf(reply)) {
    const docs = mapOf(listOf(value))
    all.set(name, docs)
    for (const [sub, entry] of docsByName(listOf(docs.get('subcommands') ?? [])))
      all.set(sub, entry)
  }
  return all
}

function factsOf(
  info: readonly Value[],
  documented: ReadonlyMap<string, Docs>,
): readonly (readonly [string, CommandFacts])[] {
  const [name, arity, flags, first, last, step, categories, tips, specs, subcommands] = info
  const docs = documented.get(String(name))
  const replaced = docs?.get('replaced_by')
  const facts: CommandFacts = {
    since: String(docs?.get('since') ?? ''),
    group: String(docs?.get('group') ?? ''),
    arity: Number(arity),
    flags: wordsOf(flags),
    categories: wordsOf(categories).map((word) => word.replace('@', '')),
    ...(Number(first) !== 0 && { keys: [Number(first), Number(last), Number(step)] }),
    ...(listOf(specs).length > 0 && { keySpecs: listOf(specs).map(keySpecOf) }),
    ...(listOf(tips).length > 0 && { tips: wordsOf(tips) }),
    ...(docs?.has('deprecated_since') && { deprecatedSince: String(docs.get('deprecated_since')) }),
    ...(typeof replaced === 'string' &&
      /^`[A-Z ]+`$/.test(replaced) && { replacedBy: replaced.slice(1, -1) }),
  }
  const subs = listOf(subcommands).flatMap((sub) => factsOf(listOf(sub), documented))
  // Modules register their names in any case.
  return [[String(name).toLowerCase(), facts], ...subs]
}

/** `RW access delete; index 1; range -2 1 0`. */
function keySpecOf(spec: Value): string {
  const fields = mapOf(listOf(spec))
  const parts = ['begin_search', 'find_keys'].map((field) => {
    const search = mapOf(listOf(fields.get(field) ?? []))
    const values = [...mapOf(listOf(search.get('spec') ?? [])).values()]
    return [search.get('type'), ...values].join(' ')
  })
  return [listOf(fields.get('flags') ?? []).join(' '), ...parts].join('; ')
}

function mapOf(list: readonly Value[]): ReadonlyMap<string, Value> {
  const map = new Map<string, Value>()
  for (let index = 0; index < list.length; index += 2) {
    map.set(String(list[index]), list[index + 1] ?? null)
  }
  return map
}

function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : []
}

function wordsOf(value: Value | undefined): readonly string[] {
  return listOf(value).map(String).toSorted()
}
