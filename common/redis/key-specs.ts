/**
 * Where the keys of a command are among its arguments: the server’s own key specifications as short texts, which the
 * generator writes into rows and the sidecar reads once. What a specification means is in `sidecar/route/keys.ts`.
 */

export interface KeySpec {
  /** Index of the argument to begin at, 0 being the name; 0: at the argument behind `keyword`. */
  readonly beginAt: number
  /** In lower case; it is looked for from argument `keywordFrom` on. */
  readonly keyword: string
  readonly keywordFrom: number
  /** `range`: up to the argument `last` (see `rangeOf`). `count`: an argument says how many. */
  readonly find: 'range' | 'count' | 'unknown'
  /** Of a range: from the beginning, or from the end if negative. Of a count: from the beginning to the number. */
  readonly last: number
  readonly step: number
  /** Of a range: only the first 1/`limit` of what is left. Of a count: from the beginning to the first key. */
  readonly limit: number
  /** It is the name of a channel or the like: it decides the slot, but is no key. */
  readonly isChannel: boolean
}

const unknownText = '?'

/** `#i1r-1.1.0`: a channel; begins at 1; a range up to the last, step 1, no limit. `k4.streams`: behind a keyword. */
export function formatKeySpec(spec: KeySpec): string {
  if (spec.find === 'unknown') return unknownText
  const mark = spec.isChannel ? '#' : ''
  const begin = spec.keyword === '' ? `i${spec.beginAt}` : `k${spec.keywordFrom}.${spec.keyword}.`
  return `${mark}${begin}${spec.find === 'range' ? 'r' : 'n'}${spec.last}.${spec.step}.${spec.limit}`
}

export function parseKeySpec(text: string): KeySpec {
  const match = /^(#?)(?:i(\d+)|k(-?\d+)\.([a-z]+)\.)([rn])(-?\d+)\.(\d+)\.(\d+)$/.exec(text)
  if (match === null) return unknownKeySpec
  const [, mark, beginAt = '0', keywordFrom = '0', keyword = '', find, last, step, limit] = match
  return {
    beginAt: Number(beginAt),
    keyword,
    keywordFrom: Number(keywordFrom),
    find: find === 'r' ? 'range' : 'count',
    last: Number(last),
    step: Number(step),
    limit: Number(limit),
    isChannel: mark === '#',
  }
}

export const unknownKeySpec: KeySpec = {
  beginAt: 0,
  keyword: '',
  keywordFrom: 0,
  find: 'unknown',
  last: 0,
  step: 1,
  limit: 0,
  isChannel: false,
}

/** What a server says in its own words: type and values in its order, both of the beginning and of the rest. */
export interface ToldKeySpec {
  readonly flags: readonly string[]
  readonly begin: readonly (string | number)[]
  readonly find: readonly (string | number)[]
}

export function keySpecOf({ flags, begin, find }: ToldKeySpec): KeySpec {
  const [beginType, first, second] = begin
  const [findType, ...values] = find
  const [one = 0, two = 0, three = 0] = values.map(Number)
  const isRange = findType === 'range'
  if (!isRange && findType !== 'keynum') return unknownKeySpec
  if (beginType !== 'index' && beginType !== 'keyword') return unknownKeySpec
  return {
    beginAt: beginType === 'index' ? Number(first) : 0,
    keyword: beginType === 'keyword' ? String(first).toLowerCase() : '',
    keywordFrom: beginType === 'keyword' ? Number(second) : 0,
    find: isRange ? 'range' : 'count',
    last: one,
    // A server names the step of a range before its limit, and that of a count after its first key.
    step: isRange ? two : three,
    limit: isRange ? three : two,
    isChannel: flags.includes('not_key'),
  }
}
