/**
 * Finds the keys of a command, as servers do: by the specifications of where they begin and how they go on, and for the
 * few that these do not cover by code. A command whose words make no sense has no keys; its server says what is wrong.
 */
import type { KeySpec } from '../../common/redis/key-specs.ts'
import type { CommandFrame } from './command-frame.ts'
import type { CommandTraits } from './traits.ts'

/**
 * Puts the keys of the frame into it, and channels that decide the slot, in the order of the specifications.
 * False: there may be keys that only the server can find.
 */
export function findKeys(frame: CommandFrame, traits: CommandTraits): boolean {
  frame.dropKeys()
  const { onlyKey } = traits
  if (onlyKey !== 0) {
    if (onlyKey < frame.seenCount) frame.addKey(onlyKey)
    return true
  }
  if (traits.keys.length === 0) return true
  if (!frame.isWhole) return false
  if (traits.byHand === 'sort') return findSortKeys(frame)
  if (traits.byHand === 'migrate') return findMigrateKeys(frame)
  for (const spec of traits.keys) {
    if (spec.find === 'unknown') return false
    if (!addKeys(frame, spec)) {
      frame.dropKeys()
      return true
    }
  }
  return true
}

/**
 * Where the first key is, for a frame whose end has not come yet: the index of its argument, or 0 if it has none or it
 * is not there yet.
 */
export function firstKey(frame: CommandFrame, traits: CommandTraits): number {
  const [spec] = traits.keys
  if (spec === undefined || spec.find === 'unknown') return 0
  const begin = beginOf(frame, spec)
  const first = spec.find === 'count' ? begin + spec.limit : begin
  return begin > 0 && first < frame.seenCount ? first : 0
}

/** False when the words make no sense. */
function addKeys(frame: CommandFrame, spec: KeySpec): boolean {
  const count = frame.argumentCount
  const begin = beginOf(frame, spec)
  // Without its keyword there is nothing to find.
  if (begin === 0) return true
  let first = begin
  let last: number
  if (spec.find === 'range') {
    if (spec.last >= 0) last = begin + spec.last
    else if (spec.limit === 0) last = count + spec.last
    else last = begin + (Math.trunc((count - begin) / spec.limit) + spec.last)
  } else {
    if (begin + spec.last >= count) return false
    const keyCount = frame.number(begin + spec.last)
    if (keyCount < 0) return false
    first = begin + spec.limit
    last = first + (keyCount - 1) * spec.step
  }
  if (first >= count || last >= count || last < first) return false
  for (let at = first; at <= last; at += spec.step) frame.addKey(at)
  return true
}

/** The argument to begin at; 0: there is none. */
function beginOf(frame: CommandFrame, spec: KeySpec): number {
  if (spec.keyword === '') return spec.beginAt
  const isForward = spec.keywordFrom > 0
  const from = isForward ? spec.keywordFrom : frame.argumentCount + spec.keywordFrom
  // The last argument is nobody’s keyword: nothing would follow.
  const end = isForward ? frame.argumentCount - 1 : 1
  for (let at = from; isForward ? at < end : at > end; at += isForward ? 1 : -1) {
    if (at < frame.seenCount && frame.isWord(at, spec.keyword)) return at + 1
  }
  return 0
}

/** `SORT key … [STORE destination]`: the last destination counts; a pattern may be called STORE. */
function findSortKeys(frame: CommandFrame): boolean {
  if (frame.argumentCount < 2) return true
  frame.addKey(1)
  const isStoring = frame.isWord(0, 'sort')
  let destination = 0
  for (let at = 2; at < frame.argumentCount; at += 1) {
    if (frame.isWord(at, 'limit')) at += 2
    else if (frame.isWord(at, 'get') || frame.isWord(at, 'by')) at += 1
    else if (isStoring && at + 1 < frame.argumentCount && frame.isWord(at, 'store')) {
      destination = at + 1
    }
  }
  if (destination !== 0) frame.addKey(destination)
  return true
}

/** `MIGRATE host port key …`, or `MIGRATE host port "" … KEYS key …`; with both there are none. */
function findMigrateKeys(frame: CommandFrame): boolean {
  const { argumentCount } = frame
  if (argumentCount < 4) return true
  const keyword = migrateKeyword(frame)
  if (keyword === 0) frame.addKey(3)
  else if (frame.argumentStart(3) === frame.argumentEnd(3)) {
    for (let at = keyword + 1; at < argumentCount; at += 1) frame.addKey(at)
  }
  return true
}

/** Where KEYS is, which may also be somebody’s name or password; 0: nowhere. */
function migrateKeyword(frame: CommandFrame): number {
  for (let at = 6; at < frame.argumentCount - 1; at += 1) {
    if (frame.isWord(at, 'auth')) at += 1
    else if (frame.isWord(at, 'auth2')) at += 2
    else if (frame.isWord(at, 'keys')) return at
  }
  return 0
}
