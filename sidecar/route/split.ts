/**
 * Spreads the keys of one command over one command per hash, those of a shard one after the other, so that they can be
 * sent to it at once. A cluster takes no command with keys of two slots, even if one server has both.
 */
import { ByteWriter } from './byte-writer.ts'
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

/** What every command of a split has beside its keys. */
interface Frame {
  readonly frame: CommandFrame
  /** Arguments of a key, itself and its value. */
  readonly step: number
  /** Whether it tells how many keys it has. */
  readonly isCounted: boolean
  /** The argument behind the keys, from which on all commands are alike. */
  readonly tail: number
  readonly nameStart: number
}

function partOf<Shard>(
  frame: CommandFrame,
  traits: CommandTraits,
  { shard, groups }: { readonly shard: Shard | undefined; readonly groups: readonly Group[] },
): SplitPart<Shard> {
  const spec = traits.keys[0]
  const step = spec?.step ?? 1
  const tail = frame.keyArgument(frame.keyCount - 1) + step
  const nameStart = frame.headerStart(0)
  const of = { frame, step, tail, nameStart, isCounted: spec?.find === 'count' }
  let size = 0
  for (const { keys } of groups) size += sizeOf(of, keys)
  const writer = new ByteWriter(size)
  const commands = groups.map(({ hash, keys }) => {
    const start = writer.length
    write(writer, of, keys)
    return { hash, start, end: writer.length, keys }
  })
  return { shard, bytes: writer.bytes, commands }
}

function sizeOf(of: Frame, keys: readonly number[]): number {
  const { frame, step, isCounted, tail, nameStart } = of
  let size = `*${argumentCountOf(of, keys)}\r\n`.length + rawEnd(frame, 1) - nameStart
  if (isCounted) {
    const count = String(keys.length)
    size += `$${count.length}\r\n${count}\r\n`.length
    size += rawEnd(frame, frame.argumentCount) - rawEnd(frame, tail)
  }
  for (const key of keys) {
    const argument = frame.keyArgument(key)
    size += rawEnd(frame, argument + step) - rawEnd(frame, argument)
  }
  return size
}

function write(writer: ByteWriter, of: Frame, keys: readonly number[]): void {
  const { frame, step, isCounted, tail, nameStart } = of
  const { bytes } = frame
  writer.text(`*${argumentCountOf(of, keys)}\r\n`)
  writer.copy(bytes, nameStart, rawEnd(frame, 1))
  if (isCounted) {
    const count = String(keys.length)
    writer.text(`$${count.length}\r\n${count}\r\n`)
  }
  for (const key of keys) {
    const argument = frame.keyArgument(key)
    writer.copy(bytes, rawEnd(frame, argument), rawEnd(frame, argument + step))
  }
  if (isCounted) writer.copy(bytes, rawEnd(frame, tail), rawEnd(frame, frame.argumentCount))
}

function argumentCountOf({ frame, step, isCounted, tail }: Frame, keys: readonly number[]): number {
  return 1 + keys.length * step + (isCounted ? frame.argumentCount - tail + 1 : 0)
}

/** Where the arguments before `index` end, CRLF included. */
function rawEnd(frame: CommandFrame, index: number): number {
  return frame.argumentEnd(index - 1) + 2
}
