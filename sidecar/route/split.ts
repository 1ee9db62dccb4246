/**
 * Spreads the keys of one command over one command per hash, those of a shard one after the other, so that they can be
 * sent to it at once. A cluster takes no command with keys of two slots, even if one server has both.
 */
import type { CommandFrame } from './command-frame.ts'
import type { KeyPlaces } from './plan.ts'
import type { CommandTraits } from './traits.ts'

export interface SplitCommand {
  readonly hash: number
  /** Where it is in the bytes of its part. */
  readonly start: number
  readonly end: number
  /** Which of the keys it has: places among those of the whole command, in the order of its reply. */
  readonly keys: readonly number[]
}

/** What one shard gets. */
export interface SplitPart<Shard> {
  /** Undefined: nobody is known to have it. */
  readonly shard: Shard | undefined
  /** Its commands, one behind the other. */
  readonly bytes: Buffer
  readonly commands: readonly SplitCommand[]
}

export interface SplitPlaces<Shard> extends KeyPlaces {
  shardOf(hash: number): Shard | undefined
}

/**
 * Of a command that was planned as `split`: its parts in the order of their first keys. The bytes are copies. Replies
 * are merged in the order of parts and commands; `keyOrder` says which keys they are about.
 */
export function splitCommand<Shard>(
  frame: CommandFrame,
  traits: CommandTraits,
  places: SplitPlaces<Shard>,
): readonly SplitPart<Shard>[] {
  const shards = new Map<Shard | undefined, Group[]>()
  const groups = new Map<number, Group>()
  for (let index = 0; index < frame.keyCount; index += 1) {
    const hash = places.hashOf(frame.bytes, frame.keyStart(index), frame.keyEnd(index))
    const known = groups.get(hash)
    if (known !== undefined) {
      known.keys.push(index)
      continue
    }
    const shard = places.shardOf(hash)
    const ofShard = shards.get(shard) ?? []
    const [first] = ofShard
    const isWithFirst = first !== undefined && places.isTogether(first.hash, hash)
    const group = isWithFirst ? first : { hash, keys: [] }
    group.keys.push(index)
    groups.set(hash, group)
    if (isWithFirst) continue
    ofShard.push(group)
    shards.set(shard, ofShard)
  }
  return [...shards].map(([shard, ofShard]) => partOf(frame, traits, { shard, groups: ofShard }))
}

/** For each element of the replies, in the order of parts and commands, its place in the whole reply. */
export function keyOrder(parts: readonly SplitPart<unknown>[]): readonly number[] {
  return parts.flatMap(({ commands }) => commands.flatMap(({ keys }) => keys))
}

interface Group {
  readonly hash: number
  readonly keys: number[]
}

function partOf<Shard>(
  frame: CommandFrame,
  traits: CommandTraits,
  { shard, groups }: { readonly shard: Shard | undefined; readonly groups: readonly Group[] },
): SplitPart<Shard> {
  const spec = traits.keys[0]
  const step = spec?.step ?? 1
  const isCounted = spec?.find === 'count'
  // Behind the keys, and the same for all: what says how they are to be set.
  const tail = frame.keyArgument(frame.keyCount - 1) + step
  const name = rawArguments(frame, 0, 1)
  const rest = isCounted ? rawArguments(frame, tail, frame.argumentCount) : empty
  const restCount = isCounted ? frame.argumentCount - tail : 0
  const pieces: Buffer[] = []
  const commands: SplitCommand[] = []
  let end = 0
  for (const { hash, keys } of groups) {
    const start = end
    const count = 1 + (isCounted ? 1 : 0) + keys.length * step + restCount
    const before = pieces.length
    pieces.push(Buffer.from(`*${count}\r\n`, 'latin1'), name)
    if (isCounted) pieces.push(encodedCount(keys.length))
    for (const key of keys) {
      const argument = frame.keyArgument(key)
      pieces.push(rawArguments(frame, argument, argument + step))
    }
    pieces.push(rest)
    for (let at = before; at < pieces.length; at += 1) end += (pieces[at] as Buffer).length
    commands.push({ hash, start, end, keys })
  }
  return { shard, bytes: Buffer.concat(pieces, end), commands }
}

const empty = Buffer.alloc(0)

function encodedCount(count: number): Buffer {
  const digits = String(count)
  return Buffer.from(`$${digits.length}\r\n${digits}\r\n`, 'latin1')
}

/** Arguments `from` to before `to` with their headers, a view. */
function rawArguments(frame: CommandFrame, from: number, to: number): Buffer {
  if (from >= to) return empty
  return frame.bytes.subarray(frame.headerStart(from), frame.argumentEnd(to - 1) + 2)
}
