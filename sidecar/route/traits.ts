/**
 * What a router must know of a command: where its keys are, whether a replica may answer it, and what becomes of it
 * when it concerns several shards. Made from the rows that were generated from the servers’ own words, at first use, so
 * that a sidecar with one server never pays for it. A command is found by the bytes of its name, without a string.
 */
import {
  type CommandMerge,
  type CommandRoute,
  routeFactsOf,
} from '../../common/redis/command-routes.ts'
import { commandRouteRows } from '../../common/redis/generated/command-route-rows.ts'
import { type KeySpec, keySpecOf, parseKeySpec } from '../../common/redis/key-specs.ts'
import type { Reply } from '../resp/decode.ts'
import type { CommandFrame } from './command-frame.ts'

export interface CommandTraits {
  /** In lower case, `config|set` for a sub-command. */
  readonly name: string
  /** As servers count: with the name; negative: at least so many. */
  readonly arity: number
  /** No effect but the reply, in every known version: a replica may answer it. */
  readonly readsOnly: boolean
  readonly route: CommandRoute
  readonly merge: CommandMerge
  readonly keys: readonly KeySpec[]
  /** The argument that is the only key; 0: `keys` have to be gone through. */
  readonly onlyKey: number
  /** Its keys are where no specification tells. */
  readonly byHand: 'sort' | 'migrate' | undefined
  /** Its second word is a sub-command. */
  readonly isContainer: boolean
}

/** Their own servers find the keys of these by code, and so do we. */
const byHand: Readonly<Record<string, 'sort' | 'migrate'>> = {
  sort: 'sort',
  sort_ro: 'sort',
  migrate: 'migrate',
}

class TraitsTable {
  private readonly traits: readonly CommandTraits[]
  private readonly names: readonly Buffer[]
  /** 1: the name is one of a sub-command, which is two words. */
  private readonly areSubs: Uint8Array
  /** Index + 1 by hash of the name, then the next free place. */
  private readonly places = new Uint16Array(tableSize)

  constructor() {
    const specs = new Map<string, readonly KeySpec[]>()
    const containers = new Set<string>()
    const rows = commandRouteRows.split(' ')
    for (const row of rows) {
      const bar = row.indexOf('|')
      if (bar > 0) containers.add(row.slice(0, bar))
    }
    this.traits = rows.map((row) => traitsOfRow(row, specs, containers))
    this.names = this.traits.map(({ name }) => Buffer.from(name, 'latin1'))
    this.areSubs = Uint8Array.from(this.traits, ({ name }) => (name.includes('|') ? 1 : 0))
    for (const [index, name] of this.names.entries()) {
      let place = hashOn(hashStart, name, 0, name.length) & (tableSize - 1)
      while (this.places[place] !== 0) place = (place + 1) & (tableSize - 1)
      this.places[place] = index + 1
    }
  }

  all(): readonly CommandTraits[] {
    return this.traits
  }

  find(frame: CommandFrame): CommandTraits | undefined {
    const { bytes } = frame
    const hash = hashOn(hashStart, bytes, frame.argumentStart(0), frame.argumentEnd(0))
    const found = this.look(hash, frame, 0)
    if (found?.isContainer !== true || frame.seenCount < 2) return found
    const seed = Math.imul(hash ^ bar, hashPrime)
    return this.look(hashOn(seed, bytes, frame.argumentStart(1), frame.argumentEnd(1)), frame, 1)
  }

  private look(hash: number, frame: CommandFrame, isSub: 0 | 1): CommandTraits | undefined {
    let place = hash & (tableSize - 1)
    let index = this.places[place] as number
    while (index !== 0) {
      const name = this.names[index - 1] as Buffer
      const isOne = this.areSubs[index - 1] === isSub && isNameOf(name, frame, isSub)
      if (isOne) return this.traits[index - 1]
      place = (place + 1) & (tableSize - 1)
      index = this.places[place] as number
    }
    return undefined
  }
}

const tableSize = 2048
const hashStart = 0x811c9dc5
const hashPrime = 0x01000193
const bar = 124
const upperA = 65
const upperZ = 90

function lower(byte: number): number {
  return byte >= upperA && byte <= upperZ ? byte | 32 : byte
}

function hashOn(seed: number, bytes: Buffer, start: number, end: number): number {
  let hash = seed
  for (let at = start; at < end; at += 1) {
    hash = Math.imul(hash ^ lower(bytes[at] as number), hashPrime)
  }
  return hash
}

function isNameOf(name: Buffer, frame: CommandFrame, isSub: 0 | 1): boolean {
  const length = frame.argumentEnd(0) - frame.argumentStart(0)
  if (isSub === 0) return name.length === length && isPartOf(name, 0, frame, 0)
  const subLength = frame.argumentEnd(1) - frame.argumentStart(1)
  if (name.length !== length + 1 + subLength || name[length] !== bar) return false
  return isPartOf(name, 0, frame, 0) && isPartOf(name, length + 1, frame, 1)
}

/** Whether an argument is in the name from `offset` on. */
function isPartOf(name: Buffer, offset: number, frame: CommandFrame, argument: number): boolean {
  const start = frame.argumentStart(argument)
  const length = frame.argumentEnd(argument) - start
  for (let at = 0; at < length; at += 1) {
    if (name[offset + at] !== lower(frame.bytes[start + at] as number)) return false
  }
  return true
}

function traitsOfRow(
  row: string,
  known: Map<string, readonly KeySpec[]>,
  containers: ReadonlySet<string>,
): CommandTraits {
  const [name = '', arity, letters = '', texts = ''] = row.split(':')
  const specs = known.get(texts) ?? (texts === '' ? [] : texts.split(',').map(parseKeySpec))
  known.set(texts, specs)
  return {
    name,
    arity: Number(arity),
    ...routeFactsOf(letters),
    keys: specs,
    onlyKey: onlyKeyOf(specs),
    byHand: byHand[name],
    isContainer: containers.has(name),
  }
}

function onlyKeyOf(specs: readonly KeySpec[]): number {
  const [spec] = specs
  if (spec === undefined || specs.length !== 1 || spec.find !== 'range') return 0
  return spec.last === 0 ? spec.beginAt : 0
}

let table: TraitsTable | undefined

/** What is known of the command in the frame; undefined: no known server has it, or its sub-command. */
export function findTraits(frame: CommandFrame): CommandTraits | undefined {
  table ??= new TraitsTable()
  return table.find(frame)
}

/** Of every command and sub-command. */
export function allTraits(): readonly CommandTraits[] {
  table ??= new TraitsTable()
  return table.all()
}

/**
 * Of a command that only a live server knows, from its entry in the reply to COMMAND INFO. Never for a replica: who made
 * it alone knows what it does. Undefined when the entry is none.
 */
export function traitsOfInfo(info: Reply | undefined): CommandTraits | undefined {
  if (info?.kind !== 'list') return undefined
  const [name, arity, flags, first, last, step, , , specs, subcommands] = info.items
  if (name?.kind !== 'text') return undefined
  const told = itemsOf(specs).map(specOfReply)
  const keys = told.length > 0 ? told : rangeOfInfo(first, last, step)
  const isMovable = itemsOf(flags).some(
    (flag) => flag.kind === 'text' && flag.text === 'movablekeys',
  )
  // Keys of which no specification tells have to be asked for.
  const all = isMovable && keys.length === 0 ? [parseKeySpec('?')] : keys
  return {
    name: name.text.toLowerCase(),
    arity: arity?.kind === 'number' ? arity.value : -1,
    readsOnly: false,
    route: 'any',
    merge: 'none',
    keys: all,
    onlyKey: onlyKeyOf(all),
    byHand: undefined,
    isContainer: itemsOf(subcommands).length > 0,
  }
}

function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return reply?.kind === 'list' ? reply.items : []
}

/** Servers before 7.0 tell the first key, the last and the step only. */
function rangeOfInfo(
  first: Reply | undefined,
  last: Reply | undefined,
  step: Reply | undefined,
): readonly KeySpec[] {
  if (first?.kind !== 'number' || last?.kind !== 'number' || step?.kind !== 'number') return []
  if (first.value <= 0) return []
  const end = last.value < 0 ? last.value : last.value - first.value
  return [parseKeySpec(`i${first.value}r${end}.${Math.max(1, step.value)}.0`)]
}

function specOfReply(reply: Reply): KeySpec {
  const fields = fieldsOf(reply)
  const part = (name: string) => {
    const search = fieldsOf(fields.get(name))
    const values = [...fieldsOf(search.get('spec')).values()].map(wordOf)
    return [wordOf(search.get('type')), ...values]
  }
  const flags = itemsOf(fields.get('flags')).map((flag) => String(wordOf(flag)))
  return keySpecOf({ flags, begin: part('begin_search'), find: part('find_keys') })
}

function fieldsOf(reply: Reply | undefined): ReadonlyMap<string, Reply> {
  const items = itemsOf(reply)
  const fields = new Map<string, Reply>()
  for (let at = 0; at + 1 < items.length; at += 2) {
    fields.set(String(wordOf(items[at])), items[at + 1] as Reply)
  }
  return fields
}

function wordOf(reply: Reply | undefined): string | number {
  if (reply?.kind === 'number') return reply.value
  return reply?.kind === 'text' ? reply.text : ''
}
