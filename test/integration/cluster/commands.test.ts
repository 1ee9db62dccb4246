/** Ordinary commands before a real cluster: as if it were one server. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { encodeCommand } from '../../support/servers.ts'
import { planeBefore } from './rig.ts'

let cluster: RedisCluster
before(async () => {
  cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0 })
})
after(() => cluster.stop())

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

test('a pipeline over all shards is answered in its order', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const one = await client()
  const count = 300
  const commands: string[] = []
  const expected: string[] = []
  for (let index = 0; index < count; index += 1) {
    commands.push(encodeCommand(['SET', `order-${index}`, String(index)]))
    commands.push(encodeCommand(['GET', `order-${index}`]))
    expected.push('+OK\r\n', bulk(String(index)))
  }
  one.send(commands.join(''))
  assert.deepEqual(await one.replies(2 * count), expected)
  const [a, b] = await Promise.all([cluster.keyOf(0), cluster.keyOf(1)])
  one.send(encodeCommand(['SINTER', a, b]))
  assert.match(await one.reply(), /^-CROSSSLOT /)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
})

test('commands of several keys are spread and made one', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const one = await client()
  const keys = Array.from({ length: 50 }, (_, index) => `many-${index}`)
  const pairs = keys.flatMap((key) => [key, `value of ${key}`])
  assert.equal(await one.ask('MSET', ...pairs), '+OK\r\n')
  const values = keys.map((key) => bulk(`value of ${key}`)).join('')
  assert.equal(await one.ask('MGET', ...keys, 'none'), `*51\r\n${values}$-1\r\n`)
  assert.equal(await one.ask('EXISTS', ...keys, 'none'), ':50\r\n')
  assert.equal(await one.ask('DEL', ...keys, 'none'), ':50\r\n')
})

test('commands of several keys are spread although they come in many pieces', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const one = await client()
  const keys = Array.from({ length: 10_000 }, (_, index) => `piece-${index}`.padEnd(40, '.'))
  assert.equal(await one.ask('MSET', ...keys.flatMap((key) => [key, 'v'])), '+OK\r\n')
  assert.match(await one.ask('MGET', ...keys), /^\*10000\r\n(?:\$1\r\nv\r\n){10000}$/)
  assert.equal(await one.ask('DEL', ...keys), ':10000\r\n')
  const values = ['a', 'b', 'c'].flatMap((key) => [key, key.repeat(150_000)])
  assert.equal(await one.ask('MSET', ...values), '+OK\r\n')
  assert.equal(await one.ask('STRLEN', 'c'), ':150000\r\n')
})

test('commands about all keys concern all shards', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const one = await client()
  assert.equal(await one.ask('FLUSHALL'), '+OK\r\n')
  const keys = Array.from({ length: 200 }, (_, index) => `all-${index}`)
  one.send(keys.map((key) => encodeCommand(['SET', key, 'x'])).join(''))
  await one.replies(200)
  assert.equal(await one.ask('DBSIZE'), ':200\r\n')
  assert.match(await one.ask('KEYS', 'all-*'), /^\*200\r\n/)
  const found = new Set<string>()
  let cursor = '0'
  do {
    const reply = await one.ask('SCAN', cursor, 'COUNT', '10')
    cursor = /^\*2\r\n\$\d+\r\n(\d+)/.exec(reply)?.[1] ?? ''
    for (const [key] of reply.matchAll(/all-\d+/g)) found.add(key)
  } while (cursor !== '0')
  assert.equal(found.size, 200)
})

test('who hears of a write finds it written', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const [one, other] = [await client(), await client()]
  const keys = await Promise.all([0, 1, 2].map((shard) => cluster.keyOf(shard, 'told')))
  await other.ask('SUBSCRIBE', 'news')
  const reader = await client()
  for (let round = 0; round < 30; round += 1) {
    const sets = keys.map((key) => encodeCommand(['SET', key, String(round)]))
    one.send(sets.join('') + encodeCommand(['PUBLISH', 'news', 'x']))
    await other.reply()
    assert.equal(await reader.ask('MGET', ...keys), `*3\r\n${bulk(String(round)).repeat(3)}`)
    await one.replies(4)
  }
})

test('a slot that moves while a client writes to it loses and swaps nothing', async (t) => {
  const { client, plane } = await planeBefore(t, cluster)
  const one = await client()
  const tag = await cluster.keyOf(0, 'moving')
  const key = (index: number) => `{${tag}}-${index}`
  const slot = await cluster.slotOf(key(0))
  for (let index = 0; index < 20; index += 1) await one.ask('SET', key(index), '0')
  const moving = { isOver: false }
  const moves = (async () => {
    for (const target of [1, 2, 0]) await (await cluster.slotMove(slot, target)).run()
    moving.isOver = true
  })()
  for (let round = 1; !moving.isOver; round += 1) {
    const commands: string[] = []
    const expected: string[] = []
    for (let index = 0; index < 20; index += 1) {
      commands.push(encodeCommand(['SET', key(index), `${round}a`]))
      commands.push(encodeCommand(['SET', key(index), `${round}b`]))
      commands.push(encodeCommand(['GET', key(index)]))
      expected.push('+OK\r\n', '+OK\r\n', bulk(`${round}b`))
    }
    one.send(commands.join(''))
    assert.deepEqual(await one.replies(60), expected)
  }
  await moves
  assert.ok(plane.view().counters.commandsSentAgain > 0)
})

test('a script that answers in the words of a server is run once', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const one = await client()
  const answers = [
    'TRYAGAIN it is locked',
    'CLUSTERDOWN for today',
    'MOVED on',
    'ASK me',
    'READONLY mode',
  ]
  for (const [at, answer] of answers.entries()) {
    const script = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])"
    assert.equal(await one.ask('EVAL', script, '1', `once-${at}`, answer), `-${answer}\r\n`)
    assert.equal(await one.ask('GET', `once-${at}`), bulk('1'), answer)
  }
})
