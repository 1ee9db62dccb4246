/**
 * Draws the words of commands. Keys come in families, so that most commands meet a value of their type and some
 * do not; `sets` and `big` hold what servers keep in hash tables, whose order is each server’s own: only commands
 * that do not show it are drawn for these.
 */
import { createHash } from 'node:crypto'
import type { Random } from '../sim/random.ts'

export const allBytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString(
  'latin1',
)

const families = ['str', 'list', 'ints', 'zset', 'hash', 'stream', 'geo', 'hll', 'bits'] as const
type Family = (typeof families)[number] | 'sets' | 'big' | 'free' | 'none'
const dumpable = families.filter((family) => family !== 'stream')
const suffixes = ['1', '2', `\r\n{t}${allBytes}`]

export const channels = ['news', 'c\0h\r\n', '__keyspace@0__:str:1'] as const
/** No two of them match the same channel: the order of such messages is a hash table’s. */
const patterns = ['n*', '__key*', '[', allBytes]

export const answers = [
  'return 1',
  'return {1, 2, ARGV[1]}',
  "return redis.call('PING')",
  'redis.setresp(3); return {double=3.5}',
]
/** Known by no other name than EVAL. */
const evaluated = [
  'return {KEYS[1], ARGV[1], {1, {2}}, redis.status_reply("x"), false, 3.7}',
  'return redis.error_reply("E " .. ARGV[1])',
  "return redis.pcall('INCR', KEYS[1])",
  "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])",
  "redis.setresp(3); return {map={a=1}}, redis.call('TYPE', KEYS[1])",
  'redis.setresp(3); return {set={a=true}}',
  "redis.setresp(3); return {big_number='123456789012345678901'}",
  "redis.setresp(3); return {verbatim_string={format='txt', string='hi'}}",
  'local t = {} for i = 1, 200 do t[i] = i end return t',
  'redis.setresp(3); return true',
]
const scripts = [...answers, ...evaluated]
const failing = [
  "return redis.call('nosuch')",
  'this is not lua',
  "error('x')",
  "return {err='MY error'}",
  "return redis.call('BLPOP', 'nokey', '0')",
  "return redis.call('SUBSCRIBE', 'x')",
]
/** That do not name a key beside those that they are given. */
const failingAnywhere = failing.filter((script) => !script.includes('nokey'))
const libraries = [
  "#!lua name=fuzz\nredis.register_function('answer', function(keys, args) return {keys[1], args[1], 7} end)",
  "#!lua name=fuzz\nredis.register_function{function_name='answer', callback=function(keys, args) return redis.call('GET', keys[1]) end, flags={'no-writes'}}",
  '#!lua name=fuzz\nthis is not lua',
  'return 1',
]

export interface Place {
  readonly random: Random
  /** Before every key: clients at work at the same time have keys of their own. */
  readonly prefix: string
  /** Where keys are spread: the hash tag of the next key. */
  readonly tag?: () => string
  /** Whether keys may be elsewhere by the time that a command comes: what passes in parts cannot be sent again. */
  readonly isMoving?: boolean
}

type Draw = (place: Place) => string

const far = 4_102_444_800
const sha = (text: string) => createHash('sha1').update(text).digest('hex')
const oneOf =
  (...items: readonly string[]): Draw =>
  ({ random }) =>
    random.pick(items)
const between =
  (low: number, high: number): Draw =>
  ({ random }) =>
    String(low + random.below(high - low + 1))

function keyOf({ random, prefix, tag }: Place, family: Family): string {
  return `${tag?.() ?? ''}${prefix}${family}:${random.pick(suffixes)}`
}

/** A key of the family, now and then of another whose values show no order. */
const ordered =
  (family: Family): Draw =>
  (place) =>
    keyOf(place, place.random.chance(0.07) ? place.random.pick([...families, 'free']) : family)
const strictly =
  (family: Family): Draw =>
  (place) =>
    keyOf(place, family)

function bytes({ random }: Place, lengthMax: number): string {
  let text = ''
  for (let left = random.below(lengthMax + 1); left > 0; left -= 1) {
    text += String.fromCharCode(random.below(256))
  }
  return text
}

function valueOf(place: Place): string {
  const { random } = place
  const kind = place.isMoving === true ? 0.003 + 0.997 * random.next() : random.next()
  if (kind < 0.0005) return 'w'.repeat(2_000_000 + random.below(100))
  if (kind < 0.003) return 'y'.repeat(300_000)
  if (kind < 0.012) return 'x'.repeat(16_000 + random.below(70_000))
  if (kind < 0.1) return allBytes
  if (kind < 0.2) return random.pick(['', '1', '-7', '\r\n*1\r\n$4\r\nPING\r\n', '+OK\r\n'])
  return bytes(place, 80)
}

/** Never so long that a server keeps it in a hash table. */
const small: Draw = (place) =>
  place.random.chance(0.15)
    ? bytes(place, 40)
    : place.random.pick(['a', 'b', 'c', '1', '2', '\0', '\r\n', 'f'])

const draws: Readonly<Record<string, Draw>> = {
  ...Object.fromEntries(families.map((family) => [family, ordered(family)])),
  /** What is kept of its consumers has times in it, which are seen where it is dumped. */
  stream: strictly('stream'),
  dumpable: (place) => keyOf(place, place.random.pick(dumpable)),
  sets: strictly('sets'),
  big: strictly('big'),
  free: strictly('free'),
  none: strictly('none'),
  alike: (place) => keyOf(place, place.random.pick([...families, 'free'])),
  any: (place) => keyOf(place, place.random.pick([...families, 'free', 'sets', 'big', 'none'])),
  anyPattern: (place) =>
    `${place.tag?.() ?? ''}${place.prefix}${place.random.pick(families)}:[12]`.replace('[12]', '1'),
  value: valueOf,
  small,
  name: oneOf('me', 'a b', '', 'n\0', 'other'),
  int: between(-5, 30),
  offset: between(0, 200),
  float: oneOf('1', '-2.5', '0.1', '3e2', 'inf', '-inf', 'x', '17'),
  bound: oneOf('-inf', '+inf', '(1', '1', '2.5', 'x', '(300', '0'),
  lex: oneOf('-', '+', '[a', '(b', '[c', 'x'),
  soon: oneOf('0.001', '0.005', '0.01'),
  far: ({ random }) => String(far + random.below(1000)),
  farMs: ({ random }) => String(far * 1000 + random.below(1000)),
  entry: (place) =>
    place.random.chance(0.05) ? '*' : `${1 + place.random.below(5)}-${1 + place.random.below(3)}`,
  group: oneOf('g', 'g', 'h\0'),
  who: oneOf('me', 'you\r\n'),
  longitude: oneOf('13.36', '15.08', '-179.9', '200'),
  latitude: oneOf('38.11', '37.5', '85', 'x'),
  dump: (place) => `\0\x01a\x0a\0${bytes(place, 10)}`,
  script: (place) => place.random.pick(place.tag === undefined ? scripts : evaluated),
  failing: (place) => place.random.pick(place.tag === undefined ? failing : failingAnywhere),
  answer: oneOf(...answers),
  relay: oneOf('return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))'),
  restoring: oneOf(
    "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')",
  ),
  sha: ({ random }) => sha(random.pick(answers)),
  library: oneOf(...libraries),
  // What servers tell of their own keys is heard at each of them, where there are several.
  channel: (place) => place.random.pick(place.tag === undefined ? channels : channels.slice(0, 2)),
  pattern: (place) =>
    place.random.pick(
      place.tag === undefined ? patterns : patterns.filter((one) => one !== '__key*'),
    ),
}

const keyDraws = new Set([...families, 'dumpable', 'sets', 'big', 'free', 'none', 'alike', 'any'])

/** How many keys a line of the vocabulary draws. */
export function keyCount(line: string): number {
  return [...line.matchAll(/\{([^}]*)\}/g)].filter(([, name = '']) => keyDraws.has(name)).length
}

/** The words of one line of the vocabulary. */
export function drawWords(line: string, place: Place): string[] {
  const found: string[] = []
  for (const token of line.match(/\{[^}]*\}|\S+/g) ?? []) {
    if (!/^\{.*\}$/.test(token)) {
      found.push(token)
      continue
    }
    const inner = token.slice(1, -1)
    const draw = draws[inner]
    if (draw !== undefined) found.push(draw(place))
    else found.push(...place.random.pick(inner.split('|')).split(' ').filter(isWord))
  }
  return found
}

const isWord = (word: string) => word !== ''
