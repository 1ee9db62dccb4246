import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySlot } from '../../common/redis/slots.ts'
import { encodeCommand } from '../resp/encode.ts'
import { crossSlotError, RoutePlanner, type RouteKind, wrongCountError } from './plan.ts'
import { keyOrder, splitCommand } from './split.ts'
import { allTraits, traitsOfInfo } from './traits.ts'

/** Three shards of a cluster; `{a}`, `{b}` and `{c}` are in slots of three different ones. */
const cluster = {
  kind: 'cluster' as const,
  hashOf: keySlot,
  isTogether: (hash: number, other: number) => hash === other,
  shardOf: (hash: number) => `shard ${Math.floor((hash * 3) / 16_384)}`,
}
/** Independent servers, chosen by the first letter. */
const ring = {
  kind: 'ring' as const,
  hashOf: (bytes: Buffer, start: number) => bytes[start] as number,
  isTogether: (hash: number, other: number) => hash % 3 === other % 3,
  shardOf: (hash: number) => `server ${hash % 3}`,
}

const planner = new RoutePlanner()

function planned(line: string, places = cluster as typeof cluster | typeof ring): RouteKind {
  const bytes = encodeCommand(line.split(' '))
  return planner.plan(places, bytes, 0, bytes.length)
}

test('a command goes to the shard of its keys, which have to be of one slot', () => {
  assert.equal(planned('GET a'), 'shard')
  assert.equal(planner.hash, keySlot(Buffer.from('a'), 0, 1))
  assert.equal(planned('ZUNIONSTORE {a}d 2 {a}1 {a}2'), 'shard')
  assert.equal(planned('MGET {a}1 {a}2'), 'shard')
  for (const line of [
    'ZUNIONSTORE d 2 a b',
    'RENAME a b',
    'MSETNX a 1 b 2',
    'EVAL s 2 a b',
    'BLPOP a b 0',
    'PFCOUNT a b',
    'MSETEX 2 a 1 b 2 NX',
    'WATCH a b',
    'SSUBSCRIBE a b',
  ]) {
    assert.equal(planned(line), 'crossSlot', line)
  }
  assert.equal(crossSlotError, "-CROSSSLOT Keys in request don't hash to the same slot\r\n")
})

test('a key without a value is told as by a server that has all keys', () => {
  assert.equal(planned('MSET a 1 b'), 'wrongCount')
  const expected = "-ERR wrong number of arguments for 'mset' command\r\n"
  assert.equal(wrongCountError(planner.traits), expected)
})

test('what servers call splittable is split', () => {
  for (const line of [
    'MGET a b',
    'MSET a 1 b 2',
    'DEL a b',
    'UNLINK a b',
    'EXISTS a b',
    'TOUCH a b',
    'MSETEX 2 a 1 b 2 EX 10',
  ]) {
    assert.equal(planned(line), 'split', line)
  }
})

test('without keys the tips and the decisions tell', () => {
  const expected: Readonly<Record<string, RouteKind>> = {
    PING: 'anywhere',
    INFO: 'anywhere',
    GET: 'anywhere',
    'EVAL s 0': 'anywhere',
    'EVAL s 0 x': 'anywhere',
    'PFMERGE k': 'shard',
    'CONFIG GET x': 'anywhere',
    DBSIZE: 'allShards',
    'DBSIZE x': 'anywhere',
    'KEYS *': 'allShards',
    'SCAN 0': 'scan',
    SCAN: 'anywhere',
    'CONFIG SET a b': 'allNodes',
    'SCRIPT LOAD x': 'allNodes',
    'CLUSTER COUNTKEYSINSLOT 7': 'shard',
    'CLUSTER COUNTKEYSINSLOT x': 'anywhere',
    'CLUSTER COUNTKEYSINSLOT 16384': 'anywhere',
    'SOME.MODULE a': 'unknown',
    'CONFIG NEW x': 'unknown',
    'SPUBLISH c m': 'shard',
    'PUBLISH c m': 'anywhere',
  }
  for (const [line, kind] of Object.entries(expected)) assert.equal(planned(line), kind, line)
})

test('a message is told once: in a ring to the server of its channel, in a cluster to any', () => {
  assert.equal(planned('PUBLISH c m', ring), 'shard')
  const { hash } = planner
  assert.equal(planned('GET c', ring), 'shard')
  assert.equal(planner.hash, hash)
  assert.equal(planned('PUBLISH c', ring), 'anywhere')
  assert.equal(planned('PUBLISH c m'), 'anywhere')
  assert.equal(planned('SPUBLISH c m', ring), 'shard')
})

test('frames of a run are walked one after the other', () => {
  const frames = ['SET a 1', 'GET b', 'PING'].map((line) => encodeCommand(line.split(' ')))
  const bytes = Buffer.concat(frames)
  let at = 0
  for (const frame of frames) {
    planner.plan(cluster, bytes, at, bytes.length)
    at += frame.length
    assert.equal(planner.frame.end, at)
  }
})

test('a part of a command that was split has its own keys, and every key comes back to its place', () => {
  const words = [
    'MSET',
    ...['{a}1', '{b}1', '{a}2', '{c}', '{b}2'].flatMap((key) => [key, `v${key}`]),
  ]
  const bytes = encodeCommand(words)
  assert.equal(planner.plan(cluster, bytes, 0, bytes.length), 'split')
  assert.ok(planner.traits)
  const parts = splitCommand(planner.frame, planner.traits, cluster)
  const commands = parts.flatMap((part) =>
    part.commands.map(({ start, end }) => part.bytes.subarray(start, end)),
  )
  assert.deepEqual(commands, [
    encodeCommand(['MSET', '{a}1', 'v{a}1', '{a}2', 'v{a}2']),
    encodeCommand(['MSET', '{b}1', 'v{b}1', '{b}2', 'v{b}2']),
    encodeCommand(['MSET', '{c}', 'v{c}']),
  ])
  assert.deepEqual(keyOrder(parts), [0, 2, 1, 4, 3])
  assert.equal(new Set(parts.map(({ shard }) => shard)).size, parts.length)
})

test('one shard gets its commands together, in a ring all keys in one', () => {
  const bytes = encodeCommand(['DEL', 'a', 'd', 'b', 'g'])
  assert.equal(planner.plan(ring, bytes, 0, bytes.length), 'split')
  assert.ok(planner.traits)
  const inRing = splitCommand(planner.frame, planner.traits, ring)
  assert.deepEqual(
    inRing.map(({ shard, bytes }) => [shard, bytes.toString('latin1')]),
    [
      ['server 1', encodeCommand(['DEL', 'a', 'd', 'g']).toString()],
      ['server 2', encodeCommand(['DEL', 'b']).toString()],
    ],
  )
  const one = { ...cluster, shardOf: () => 'only' }
  assert.equal(planner.plan(one, bytes, 0, bytes.length), 'split')
  const [part, ...others] = splitCommand(planner.frame, planner.traits, one)
  assert.deepEqual(others, [])
  assert.equal(part?.commands.length, 4)
  assert.equal(part?.commands.at(-1)?.end, part?.bytes.length)
})

test('how keys are to be set goes to every shard', () => {
  const bytes = encodeCommand('msetex 3 {a}1 1 {b} 2 {a}2 3 EX 10 KEEPTTL'.split(' '))
  assert.equal(planner.plan(cluster, bytes, 0, bytes.length), 'split')
  assert.ok(planner.traits)
  const text = splitCommand(planner.frame, planner.traits, cluster).map(({ bytes }) => `${bytes}`)
  assert.deepEqual(text, [
    `${encodeCommand('msetex 2 {a}1 1 {a}2 3 EX 10 KEEPTTL'.split(' '))}`,
    `${encodeCommand('msetex 1 {b} 2 EX 10 KEEPTTL'.split(' '))}`,
  ])
})

test('of every command that is split or sent to many it is known how replies become one', () => {
  const many = allTraits().filter(({ route }) =>
    ['split', 'allShards', 'allNodes', 'message'].includes(route),
  )
  assert.deepEqual(
    many.filter(({ merge }) => merge === 'none').map(({ name }) => name),
    [],
  )
  const others = allTraits().filter((traits) => !many.includes(traits) && traits.merge !== 'none')
  assert.deepEqual(
    others.map(({ name }) => name),
    [],
  )
  const split = allTraits().filter(({ route }) => route === 'split')
  assert.ok(split.length >= 7 && split.every(({ keys }) => keys.length === 1))
})

test('what a live server says of a command finds its keys, and never sends it to a replica', () => {
  const text = (word: string) => ({ kind: 'text', text: word }) as const
  const number = (value: number) => ({ kind: 'number', value }) as const
  const list = (...items: readonly object[]) => ({ kind: 'list', items }) as never
  const spec = list(
    text('flags'),
    list(text('RO'), text('access')),
    text('begin_search'),
    list(text('type'), text('index'), text('spec'), list(text('index'), number(2))),
    text('find_keys'),
    list(
      text('type'),
      text('keynum'),
      text('spec'),
      list(text('keynumidx'), number(0), text('firstkey'), number(1), text('keystep'), number(1)),
    ),
  )
  const info = (flags: readonly object[], specs: readonly object[], first = 0) =>
    list(
      text('M.GET'),
      number(-3),
      list(...flags),
      number(first),
      number(-1),
      number(1),
      list(),
      list(),
      list(...specs),
      list(),
    )
  const live = (traits: ReturnType<typeof traitsOfInfo>) =>
    new RoutePlanner((name) => (name === 'M.GET' ? traits : undefined))
  const bytes = encodeCommand('m.get x 1 a b'.split(' '))
  const told = live(traitsOfInfo(info([text('readonly')], [spec])))
  assert.equal(told.plan(cluster, bytes, 0, bytes.length), 'shard')
  assert.equal(told.hash, keySlot(Buffer.from('a'), 0, 1))
  assert.equal(told.traits?.readsOnly, false)
  const old = live(traitsOfInfo(info([], [], 3)))
  assert.equal(old.plan(cluster, bytes, 0, bytes.length), 'crossSlot')
  const movable = live(traitsOfInfo(info([text('movablekeys')], [])))
  assert.equal(movable.plan(cluster, bytes, 0, bytes.length), 'unknown')
  const keyless = live(traitsOfInfo(info([], [])))
  assert.equal(keyless.plan(cluster, bytes, 0, bytes.length), 'anywhere')
  assert.equal(traitsOfInfo({ kind: 'null' }), undefined)
  const sub = list(text('m.get|raw'), number(-3), list(), number(2), number(2), number(1))
  const nothing = [number(0), number(0), number(0), list(), list(), list()]
  const container = live(
    traitsOfInfo(list(text('m.get'), number(-2), list(), ...nothing, list(sub))),
  )
  const raw = encodeCommand(['M.GET', 'Raw', 'a'])
  assert.equal(container.plan(cluster, raw, 0, raw.length), 'shard')
  assert.equal(container.hash, keySlot(Buffer.from('a'), 0, 1))
  assert.equal(container.plan(cluster, bytes, 0, bytes.length), 'unknown')
})
