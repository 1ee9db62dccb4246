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
import {
  type KeySpec,
  keySpecOf,
  parseKeySpec,
  unknownKeySpec,
} from '../../common/redis/key-specs.ts'
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
  /** By their second word in lower case, where a live server told them; those of the table are found by `findTraits`. */
  readonly subcommands?: ReadonlyMap<string, CommandTraits>
}

/** Their own servers find the keys of these by code, and so do we. */
const byHand: Readonly<Record<string, 'sort' | 'migrate'>> = {
  sort: 'sort',
  sort_ro: 'sort',
  migrate: 'migrate',
}

/** Rows stay text; what a command is like is read when it is met. */
class TraitsTable {
  /** By row, as far as they were met. */
  private readonly traits: (CommandTraits | undefined)[] = []
  /** Where the rows begin, and the last one ends. */
  private readonly starts = new Uint16Array(tableSize)
  /** Row + 1 by hash of the name, or in the next free place. */
  private readonly places = new Uint16Array(tableSize)
  private readonly specs = new Map<string, readonly KeySpec[]>()
  private rowCount = 0

  constructor() {
    const text = commandRouteRows
    let at = 0
    while (at < text.length) {
      this.starts[this.rowCount] = at
      let hash = hashStart
      while (text.charCodeAt(at) !== colon) {
        hash = Math.imul(hash ^ text.charCodeAt(at), hashPrime)
        at += 1
      }
      let place = hash & (tableSize - 1)
      while (this.places[place] !== 0) place = (place + 1) & (tableSize - 1)
      this.rowCount += 1
      this.places[place] = this.rowCount
      while (at < text.length && text.charCodeAt(at) !== space) at += 1
      at += 1
    }
    this.starts[this.rowCount] = at
  }

  all(): readonly CommandTraits[] {
    return Array.from({ length: this.rowCount }, (_, row) => this.traitsAt(row))
  }

  find(frame: CommandFrame): CommandTraits | undefined {
    const { bytes } = frame
    const hash = hashOn(hashStart, bytes, frame.argumentStart(0), frame.argumentEnd(0))
    const found = this.look(hash, frame, false)
    if (found?.isContainer !== true || frame.seenCount < 2) return found
    const seed = Math.imul(hash ^ bar, hashPrime)
    const subHash = hashOn(seed, bytes, frame.argumentStart(1), frame.argumentEnd(1))
    return this.look(subHash, frame, true)
  }

  private look(hash: number, frame: CommandFrame, isSub: boolean): CommandTraits | undefined {
    let place = hash & (tableSize - 1)
    let row = (this.places[place] as number) - 1
    while (row >= 0) {
      if (isRowOf(this.starts[row] as number, frame, isSub)) {
        return this.traits[row] ?? this.traitsAt(row)
      }
      place = (place + 1) & (tableSize - 1)
      row = (this.places[place] as number) - 1
    }
    return undefined
  }

  private traitsAt(row: number): CommandTraits {
    const text = commandRouteRows.slice(this.starts[row], (this.starts[row + 1] as number) - 1)
    const traits = this.traits[row] ?? traitsOfRow(text, this.specs)
    this.traits[row] = traits
    return traits
  }
}

const tableSize = 2048
const hashStart = 0x811c9dc5
const hashPrime = 0x01000193
const bar = 124
const colon = 58
const space = 32
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

/** Whether the row at `start` is that of the command, or of its sub-command. */
function isRowOf(start: number, frame: CommandFrame, isSub: boolean): boolean {
  const end = endOfPart(start, frame, 0)
  if (end < 0) return false
  if (!isSub) return commandRouteRows.charCodeAt(end) === colon
  if (commandRouteRows.charCodeAt(end) !== bar) return false
  const subEnd = endOfPart(end + 1, frame, 1)
  return subEnd >= 0 && commandRouteRows.charCodeAt(subEnd) === colon
}

/** Behind an argument that the rows have at `start`; -1: they have another. */
function endOfPart(start: number, frame: CommandFrame, argument: number): number {
  const { bytes } = frame
  const end = frame.argumentEnd(argument)
  let row = start
  for (let at = frame.argumentStart(argument); at < end; at += 1) {
    const code = commandRouteRows.charCodeAt(row)
    // `config|set` in one word is no command.
    if (code !== lower(bytes[at] as number) || code === bar) return -1
    row += 1
  }
  return row
}

function traitsOfRow(row: string, known: Map<string, readonly KeySpec[]>): CommandTraits {
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
  const [name, arity, flags, first, last, step, , , specs, subs] = itemsOf(info)
  if (name?.kind !== 'text') return undefined
  const told = itemsOf(specs).map(specOfReply)
  const keys = told.length > 0 ? told : rangeOfInfo(first, last, step)
  const isMovable = itemsOf(flags).some((flag) => wordOf(flag) === 'movablekeys')
  // Keys of which no specification tells have to be asked for.
  const all = isMovable && keys.length === 0 ? [unknownKeySpec] : keys
  const subcommands = itemsOf(subs).flatMap((sub) => traitsOfInfo(sub) ?? [])
  return {
    name: name.text.toLowerCase(),
    arity: arity?.kind === 'number' ? arity.value : -1,
    readsOnly: false,
    route: 'any',
    merge: 'none',
    keys: all,
    onlyKey: onlyKeyOf(all),
    byHand: undefined,
    isContainer: subcommands.length > 0,
    ...(subcommands.length > 0 && {
      subcommands: new Map(subcommands.map((sub) => [sub.name.split('|')[1] ?? sub.name, sub])),
    }),
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
