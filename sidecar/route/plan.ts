/**
 * Decides where one command of a run goes: pure, without allocation for a command of one key. Who keeps connections asks
 *
 *     const kind = planner.plan(backend, bytes, start, limit)   // reads the frame, `planner.frame.end` is behind it
 *     switch (kind) …                                           // see `RouteKind`
 *
 * and uses `planner.traits`, `planner.hash` and `planner.frame` before the next call. Several replies become one by
 * `merge/merge-replies.ts`, as `planner.traits.merge` says; commands are split by `split.ts`, scans go on by `scan.ts`.
 *
 * | kind | where the command goes |
 * |---|---|
 * | `shard` | as it is to the shard of `hash`: its primary, or a replica if `traits.readsOnly`; a message in a ring too |
 * | `anywhere` | as it is to one server: a primary, or a replica if `traits.readsOnly`; also what makes no sense, so that a server says so |
 * | `split` | one command per hash, all merged |
 * | `crossSlot` | nowhere: the answer is `crossSlotError` |
 * | `wrongCount` | nowhere: it would be split, but a key has no value; the answer is `wrongCountError` |
 * | `allShards` | as it is to every primary, all merged |
 * | `allNodes` | as it is to every server, replicas too, all merged |
 * | `scan` | to the shard that the cursor names, with the server’s own cursor |
 * | `unknown` | neither table nor server tell of its keys: a primary, which redirects; in a ring only COMMAND GETKEYS helps |
 */
import { slotCount } from '../../common/redis/slots.ts'
import { CommandFrame } from './command-frame.ts'
import { findKeys, firstKey } from './keys.ts'
import { type CommandTraits, findTraits } from './traits.ts'

/** The part of a backend that plans ask. */
export interface KeyPlaces {
  readonly kind: 'replication' | 'cluster' | 'ring'
  hashOf(bytes: Buffer, start: number, end: number): number
  /** Whether one command may name keys of both. */
  isTogether(hash: number, other: number): boolean
}

export type RouteKind =
  | 'shard'
  | 'anywhere'
  | 'split'
  | 'crossSlot'
  | 'wrongCount'
  | 'allShards'
  | 'allNodes'
  | 'scan'
  | 'unknown'

/** As servers say it. */
export const crossSlotError = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"

/** What a server that has all keys says. */
export function wrongCountError(traits: CommandTraits | undefined): string {
  return `-ERR wrong number of arguments for '${traits?.name ?? ''}' command\r\n`
}

export class RoutePlanner {
  readonly frame = new CommandFrame()
  /** Of the last command; undefined: it is not known. */
  traits: CommandTraits | undefined
  /** Of its first key, or the slot that it names, or its channel in a ring; -1: it has none. */
  hash = -1

  private readonly findOther: (name: string) => CommandTraits | undefined

  /** `findOther` tells what a live server said of a name, in upper case, that the table does not know. */
  constructor(findOther: (name: string) => CommandTraits | undefined = () => undefined) {
    this.findOther = findOther
  }

  /** Where the frame of `bytes` at `start` goes. `limit` is where the bytes end, `frame.end` then where the frame does. */
  plan(places: KeyPlaces, bytes: Buffer, start: number, limit: number): RouteKind {
    const { frame } = this
    frame.read(bytes, start, limit)
    this.hash = -1
    const traits = frame.seenCount === 0 ? undefined : (findTraits(frame) ?? this.findLive())
    this.traits = traits
    if (traits === undefined || !findKeys(frame, traits)) return 'unknown'
    if (frame.keyCount === 0) return this.planKeyless(traits, places)
    this.hash = places.hashOf(bytes, frame.keyStart(0), frame.keyEnd(0))
    if (frame.keyCount === 1 || this.isOneHash(places)) return 'shard'
    if (traits.route !== 'split') return 'crossSlot'
    return splitKind(frame, traits)
  }

  private isOneHash(places: KeyPlaces): boolean {
    const { frame, hash } = this
    for (let index = 1; index < frame.keyCount; index += 1) {
      const other = places.hashOf(frame.bytes, frame.keyStart(index), frame.keyEnd(index))
      if (other !== hash && !places.isTogether(hash, other)) return false
    }
    return true
  }

  private planKeyless(traits: CommandTraits, places: KeyPlaces): RouteKind {
    const { route, arity } = traits
    const { frame } = this
    const { argumentCount } = frame
    const isComplete = arity < 0 ? argumentCount >= -arity : argumentCount === arity
    // One server can tell what is wrong with it.
    if (!isComplete) return 'anywhere'
    const first = traits.keys[0]?.find === 'range' ? firstKey(frame, traits) : 0
    if (first > 0) {
      // Not all of its keys can be told, as with PFMERGE of none; the server of this one says what is wrong, if it is.
      this.hash = places.hashOf(frame.bytes, frame.argumentStart(first), frame.argumentEnd(first))
      return 'shard'
    }
    if (route === 'allShards' || route === 'allNodes' || route === 'scan') return route
    if (route === 'message' && places.kind === 'ring') {
      // Patterns are listened for at every server: a message told to more than one would come more than once.
      this.hash = places.hashOf(frame.bytes, frame.argumentStart(1), frame.argumentEnd(1))
      return 'shard'
    }
    if (route !== 'slotNumber') return 'anywhere'
    const slot = frame.number(2)
    if (slot < 0 || slot >= slotCount) return 'anywhere'
    this.hash = slot
    return 'shard'
  }

  private findLive(): CommandTraits | undefined {
    const { frame } = this
    const found = this.findOther(frame.argument(0).toString('latin1').toUpperCase())
    if (found?.subcommands === undefined || frame.seenCount < 2) return found
    return found.subcommands.get(frame.argument(1).toString('latin1').toLowerCase())
  }
}

/** Whether it means the same when every shard gets a part of the keys, but for being done at one moment. */
function splitKind(frame: CommandFrame, traits: CommandTraits): RouteKind {
  const [spec] = traits.keys
  if (spec === undefined) return 'crossSlot'
  if (spec.find === 'range') {
    return (frame.argumentCount - spec.beginAt) % spec.step === 0 ? 'split' : 'wrongCount'
  }
  // What is done only if none of the keys exists, or all, depends on the other shards.
  const tail = spec.beginAt + spec.limit + frame.keyCount * spec.step
  if (tail > frame.argumentCount) return 'crossSlot'
  for (let at = tail; at < frame.argumentCount; at += 1) {
    if (frame.isWord(at, 'nx') || frame.isWord(at, 'xx')) return 'crossSlot'
  }
  return 'split'
}
