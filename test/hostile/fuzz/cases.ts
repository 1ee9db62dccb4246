/**
 * Makes the fuzzer’s inputs: pipelines of good commands, as arrays and inline, that are then damaged. Values carry
 * commands that write canary keys: if one of them is ever run, framing was misread.
 */
import { command } from '../wire.ts'
import type { Random } from './random.ts'

export const canaryPrefix = 'canary'
const canary = (random: Random) => `${canaryPrefix}:${random.int(8)}`
const smuggled = (random: Random) => command('SET', canary(random), 'x').toString('latin1')

const values: readonly ((random: Random) => string)[] = [
  () => '',
  () => 'x',
  (random) => 'y'.repeat(random.int(300)),
  (random) => smuggled(random),
  (random) => `\r\n${smuggled(random)}`,
  (random) => `abc\r\n${smuggled(random).repeat(3)}`,
  (random) => `\r\nSET ${canary(random)} 1\r\n`,
  (random) => String.fromCharCode(...Array.from({ length: random.int(20) }, () => random.int(256))),
  () => '$4\r\nPING\r\n',
  () => '*1\r\n',
]
const value = (random: Random) => random.pick(values)(random)

const commands: readonly ((random: Random) => readonly string[])[] = [
  () => ['PING'],
  (random) => ['PING', value(random)],
  (random) => ['ECHO', value(random)],
  (random) => ['ECHO', value(random)],
  (random) => ['SET', `w:${random.int(50)}`, value(random)],
  (random) => ['SET', `w:${random.int(50)}`, value(random)],
  (random) => ['MSET', `w:${random.int(50)}`, value(random), 'w:a', value(random)],
  (random) => ['GET', canary(random)],
  (random) => ['STRLEN', canary(random)],
  (random) => ['EXISTS', canary(random), canary(random)],
  (random) => ['NOSUCH', value(random)],
  (random) => [value(random), 'x'],
  () => ['MULTI'],
  () => ['EXEC'],
  () => ['DISCARD'],
  (random) => ['SELECT', String(random.int(4))],
  (random) => ['EVAL', 'return ARGV', '0', value(random)],
  () => ['RESET'],
  () => ['QUIT'],
]
/** Those that leave a connection of their own, or none, behind are rarer. */
const plainCount = 12

function words(random: Random): readonly string[] {
  const index = random.chance(0.9) ? random.int(plainCount) : random.int(commands.length)
  return (commands[index] as (typeof commands)[number])(random)
}

function quoted(word: string): string {
  if (/^[a-zA-Z0-9:._-]+$/.test(word)) return word
  const escaped = word.replaceAll(/[^ !#-[\]-~]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return `"${escaped}"`
}

function encode(random: Random, words: readonly string[]): Buffer {
  const isInline = random.chance(0.15) && /^[A-Za-z]/.test(words[0] ?? '')
  if (!isInline) return command(...words)
  const line = words.map(quoted).join(' ')
  return Buffer.from(`${line}${random.chance(0.8) ? '\r\n' : '\n'}`, 'latin1')
}

/** A pipeline of one to four commands; one in eight stays as it is. */
export function makeCase(random: Random): Buffer {
  if (random.chance(0.0005)) return largeCase(random)
  const count = 1 + random.int(4)
  const frames = Array.from({ length: count }, () => encode(random, words(random)))
  let bytes: Buffer = Buffer.concat(frames)
  if (random.chance(0.125)) return bytes
  const damageCount = random.chance(0.7) ? 1 : 1 + random.int(3)
  for (let index = 0; index < damageCount; index += 1) bytes = damage(random, bytes)
  return bytes
}

/** A command that is passed on in pieces. */
function largeCase(random: Random): Buffer {
  const words = [
    'SET',
    'w:large',
    'z'.repeat(260_000 + random.int(20_000)),
    ...(random.chance(0.3) ? ['x'] : []),
  ]
  const bytes = command(...words)
  return random.chance(0.4) ? bytes : damage(random, bytes)
}

const lengths = [
  '-1',
  '0',
  '1',
  '3',
  '5',
  '10',
  '11',
  '16384',
  '16385',
  '65536',
  '1048576',
  '1048577',
  '2147483647',
  '2147483648',
  '4294967296',
  '536870912',
  '536870913',
  '99999999999999999999',
  '00',
  '01',
  '-0',
  '+1',
  ' 1',
  '1 ',
  '1.0',
  '1e3',
  '0x4',
  '?',
  '',
] as const
const fragments = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '*',
  '$',
  '*1\r\n',
  '$4\r\n',
  '*0\r\n',
  '*-1\r\n',
  '$-1\r\n',
  '+OK\r\n',
  ':1\r\n',
  '_\r\n',
  '%1\r\n',
  '>1\r\n',
  '"',
  "'",
  '\\',
  'PING\r\n',
  '*1\r\n$4\r\nPING\r\n',
  'HTTP/1.1\r\n',
  '\x16\x03\x01',
  '|1\r\n',
] as const

type Damage = (random: Random, bytes: Buffer) => Buffer

const insert = (bytes: Buffer, at: number, added: Buffer) =>
  Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)])
const remove = (bytes: Buffer, from: number, to: number) =>
  Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])

function range(random: Random, bytes: Buffer): readonly [number, number] {
  const from = random.int(bytes.length)
  return [from, Math.min(bytes.length, from + 1 + random.int(random.chance(0.5) ? 4 : 40))]
}

/** The number behind some `*` or `$` becomes another. */
function changeLength(random: Random, bytes: Buffer, to: (now: string) => string): Buffer {
  const text = bytes.toString('latin1')
  const found = [...text.matchAll(/[*$](\d+)\r\n/g)]
  const match = found[random.int(found.length)]
  if (match === undefined) return bytes
  const next = to(match[1] ?? '')
  const start = match.index + 1
  return Buffer.from(
    text.slice(0, start) + next + text.slice(start + (match[1] ?? '').length),
    'latin1',
  )
}

const damages: readonly Damage[] = [
  function flipBit(random, bytes) {
    const copy = Buffer.from(bytes)
    const at = random.int(copy.length)
    copy[at] = (copy[at] as number) ^ (1 << random.int(8))
    return copy
  },
  function setByte(random, bytes) {
    const copy = Buffer.from(bytes)
    copy[random.int(copy.length)] = random.int(256)
    return copy
  },
  function truncate(random, bytes) {
    return bytes.subarray(0, random.int(bytes.length))
  },
  function cutOut(random, bytes) {
    return remove(bytes, ...range(random, bytes))
  },
  function duplicate(random, bytes) {
    const [from, to] = range(random, bytes)
    return insert(
      bytes,
      random.chance(0.5) ? to : random.int(bytes.length),
      bytes.subarray(from, to),
    )
  },
  function move(random, bytes) {
    const [from, to] = range(random, bytes)
    const rest = remove(bytes, from, to)
    return insert(rest, random.int(rest.length + 1), bytes.subarray(from, to))
  },
  function addFragment(random, bytes) {
    return insert(
      bytes,
      random.int(bytes.length + 1),
      Buffer.from(random.pick(fragments), 'latin1'),
    )
  },
  function addBytes(random, bytes) {
    const added = Buffer.from(Array.from({ length: 1 + random.int(8) }, () => random.int(256)))
    return insert(bytes, random.int(bytes.length + 1), added)
  },
  function lengthAtBound(random, bytes) {
    return changeLength(random, bytes, () => random.pick(lengths))
  },
  function lengthOffByOne(random, bytes) {
    return changeLength(random, bytes, (now) => String(Number(now) + (random.chance(0.5) ? 1 : -1)))
  },
  function lineEnd(random, bytes) {
    const text = bytes.toString('latin1')
    const found = [...text.matchAll(/\r\n/g)]
    const at = found[random.int(found.length)]?.index
    if (at === undefined) return bytes
    const end = random.pick(['\n', '\r', '\n\r', '\r\r\n', '', '\rX', 'X\n', '\r\n\r\n'])
    return Buffer.from(text.slice(0, at) + end + text.slice(at + 2), 'latin1')
  },
]

function damage(random: Random, bytes: Buffer): Buffer {
  return bytes.length === 0 ? bytes : random.pick(damages)(random, bytes)
}
