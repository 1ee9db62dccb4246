/** What an application does with ioredis, be it with one server or as a client of a cluster. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Redis } from 'ioredis'
import { type Proxied, hasDatabases, until } from './support.ts'

const big = 'x'.repeat(8 << 20)

export interface IoredisTour {
  readonly proxied: Proxied
  readonly open: () => Redis
}

interface Pair {
  readonly redis: Redis
  readonly other: Redis
  readonly proxied: Proxied
}

export async function tourIoredis(t: TestContext, { proxied, open }: IoredisTour): Promise<void> {
  const redis = open()
  const loader = open()
  await proxied.disturb()
  const load = proxied.topology === 'cluster' ? startLoad(loader) : undefined
  await t.test('data of every type', () => tourData(redis))
  await t.test('keys of several servers', () => tourKeys(redis, proxied))
  await t.test('scripts fall back to EVAL', () => tourScripts(redis, proxied))
  await t.test('messages', () => tourMessages(proxied, redis, open(), open()))
  await t.test('blocking commands', () => tourBlocking(redis, open()))
  await proxied.calm()
  if (load !== undefined) await t.test('all that went on meanwhile', () => load.end())
  // Of commands on one key in one pipeline, the first may be refused with TRYAGAIN when its slot goes elsewhere between them.
  await t.test('pipelines', () => tourPipelines(redis))
  await t.test('large values', () => tourLarge(redis))
  await t.test('transactions', () => tourTransactions({ redis, other: open(), proxied }))
  await t.test('databases and names', () => tourConnection(redis, open(), proxied))
  await t.test('a restart of the sidecar', (t) => tourRestart(t, redis, open(), proxied))
}

/** Counts, in several ways at once, until it is ended: nothing fails, and nothing is counted twice or not at all. */
function startLoad(redis: Redis): { end(): Promise<void> } {
  const ending = new AbortController()
  let count = 0
  const run = async () => {
    while (!ending.signal.aborted) {
      count += 1
      const replies = await Promise.all([
        redis.incr('load:count'),
        countBoth(redis),
        redis.mset('load:count2', count, 'load:other', count),
      ])
      const both = [null, count]
      const text = String(count)
      assert.deepEqual(replies, [count, [both, both], 'OK'])
      assert.deepEqual(await redis.mget('load:count2', 'load:other'), [text, text])
    }
  }
  const ended = run()
  // It is for `end` to tell of it.
  ended.catch(() => {})
  return {
    end: async () => {
      ending.abort()
      await ended
      assert.ok(count > 0)
      assert.equal(await redis.del('load:count', '{load}:a', 'load:other'), 3)
    },
  }
}

/** A transaction whose slot went elsewhere meanwhile is refused as a whole, and says so; then it is tried again. */
async function countBoth(redis: Redis): Promise<unknown> {
  for (;;) {
    try {
      return await redis.multi().incr('{load}:a').incr('{load}:b').exec()
    } catch (error) {
      if (!/TRYAGAIN|EXECABORT/.test(String(error))) throw error
    }
  }
}

async function tourData(redis: Redis): Promise<void> {
  assert.equal(await redis.ping(), 'PONG')
  assert.equal(await redis.set('text', 'wörld\r\n\0', 'EX', 100), 'OK')
  assert.equal(await redis.get('text'), 'wörld\r\n\0')
  assert.equal(await redis.get('missing'), null)
  assert.equal(await redis.incrby('number', 5), 5)
  assert.deepEqual(await redis.mget('text', 'missing'), ['wörld\r\n\0', null])
  await redis.hset('hash', { a: '1', b: '2' })
  assert.deepEqual({ ...(await redis.hgetall('hash')) }, { a: '1', b: '2' })
  await redis.rpush('list', 'a', 'b', 'c')
  assert.deepEqual(await redis.lrange('list', 0, -1), ['a', 'b', 'c'])
  await redis.sadd('set', 'a', 'b')
  assert.deepEqual((await redis.smembers('set')).toSorted(), ['a', 'b'])
  await redis.zadd('zset', 1, 'a', 2.5, 'b')
  assert.equal(Number(await redis.zscore('zset', 'b')), 2.5)
  const id = await redis.xadd('stream', '*', 'field', 'value')
  assert.equal(await redis.xlen('stream'), 1)
  const entries = await redis.xrange('stream', '-', '+')
  assert.deepEqual(entries, [[id, ['field', 'value']]])
  const found: string[] = []
  for await (const keys of redis.scanStream({ match: '*', count: 2 })) found.push(...keys)
  assert.deepEqual(
    [...new Set(found)].filter((key) => !key.includes('load')).toSorted(),
    ['hash', 'list', 'number', 'set', 'stream', 'text', 'zset'].toSorted(),
  )
  await assert.rejects(redis.lpush('text', 'x'), /WRONGTYPE/)
  await assert.rejects(redis.call('NO-SUCH-COMMAND', 'x'), /unknown command/)
}

async function tourKeys(redis: Redis, { topology }: Proxied): Promise<void> {
  const keys = ['m:1', 'm:2', 'm:3', 'm:4', 'm:5']
  assert.equal(await redis.mset(Object.fromEntries(keys.map((key, at) => [key, at]))), 'OK')
  assert.deepEqual(await redis.mget('m:5', 'm:none', ...keys), ['4', null, '0', '1', '2', '3', '4'])
  assert.equal(await redis.exists('m:1', 'm:1', 'm:none', 'm:5'), 3)
  assert.equal(await redis.touch('m:2', 'm:3', 'm:none'), 2)
  assert.equal(await redis.unlink('m:4', 'm:none'), 1)
  assert.equal(await redis.del('m:1', 'm:2', 'm:3', 'm:4', 'm:5'), 4)
  await redis.sadd('{s}:1', 'a', 'b')
  await redis.sadd('{s}:2', 'b', 'c')
  assert.deepEqual(await redis.sinter('{s}:1', '{s}:2'), ['b'])
  assert.equal(await redis.sunionstore('{s}:3', '{s}:1', '{s}:2'), 3)
  assert.equal(await redis.rename('{s}:3', '{s}:4'), 'OK')
  if (topology === 'cluster') {
    await assert.rejects(redis.rename('{s}:4', 'elsewhere'), /CROSSSLOT/)
    await assert.rejects(redis.sinter('{s}:1', 'elsewhere'), /CROSSSLOT/)
  }
  assert.equal(await redis.del('{s}:1', '{s}:2', '{s}:4'), 3)
}

async function tourPipelines(redis: Redis): Promise<void> {
  const pipeline = redis.pipeline()
  for (let index = 0; index < 5000; index += 1) pipeline.set(`p:${index}`, index).get(`p:${index}`)
  const replies = (await pipeline.exec()) ?? []
  assert.deepEqual(
    replies.map(([error, reply]) => (error === null ? reply : error.message)),
    Array.from({ length: 5000 }, (_, index) => ['OK', String(index)]).flat(),
  )
}

/** It is sent on as it comes: were its slot moved, and the sidecar not told by a small command, it would get TRYAGAIN. */
async function tourLarge(redis: Redis): Promise<void> {
  assert.equal(await redis.del('big'), 0)
  assert.equal(await redis.set('big', big), 'OK')
  const [one, two, small] = await Promise.all([
    redis.get('big'),
    redis.getBuffer('big'),
    redis.get('number'),
  ])
  assert.ok(one === big && two?.length === big.length)
  assert.equal(small, '5')
}

async function tourTransactions({ redis, other, proxied }: Pair): Promise<void> {
  assert.deepEqual(await redis.multi().set('t', '1').incr('t').get('t').exec(), [
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ])
  await redis.watch('t')
  await other.set('t', 'other')
  assert.equal(await redis.multi().set('t', 'mine').exec(), null)
  await proxied.settle()
  assert.equal(await redis.get('t'), 'other')
  await redis.watch('t')
  assert.deepEqual(await redis.multi().set('t', 'mine').exec(), [[null, 'OK']])
  await redis.multi({ pipeline: false })
  await redis.set('t', 'dropped')
  assert.equal(await redis.discard(), 'OK')
  assert.equal(await redis.get('t'), 'mine')
}

async function tourScripts(redis: Redis, proxied: Proxied): Promise<void> {
  redis.defineCommand('answer', { numberOfKeys: 1, lua: 'return {KEYS[1], ARGV[1]}' })
  const answer = (...args: string[]) =>
    (redis as unknown as { answer(...args: string[]): Promise<unknown> }).answer(...args)
  assert.deepEqual(await answer('k', 'v'), ['k', 'v'])
  await proxied.flushScripts()
  assert.deepEqual(await answer('k', 'w'), ['k', 'w'])
  const sha = await redis.script('LOAD', 'return 7')
  assert.equal(await redis.evalsha(String(sha), 0), 7)
  await assert.rejects(redis.evalsha('0'.repeat(40), 0), /NOSCRIPT/)
}

async function tourMessages(
  { topology }: Proxied,
  redis: Redis,
  subscriber: Redis,
  patterns: Redis,
): Promise<void> {
  const got: string[] = []
  subscriber.on('message', (channel, message) => got.push(`${channel}=${message}`))
  patterns.on('pmessage', (pattern, channel, message) =>
    got.push(`${pattern}:${channel}=${message}`),
  )
  assert.equal(await subscriber.subscribe('news', 'more'), 2)
  assert.equal(await patterns.psubscribe('n*'), 1)
  const counts = [await redis.publish('news', 'a'), await redis.publish('more', 'b')]
  // A node of a cluster knows its own subscribers only.
  if (topology !== 'cluster') assert.deepEqual(counts, [2, 1])
  await until('the messages come', () => got.length === 3)
  assert.deepEqual(got.toSorted(), ['more=b', 'n*:news=a', 'news=a'])
  assert.equal(await subscriber.unsubscribe('news', 'more'), 0)
  assert.equal(await subscriber.get('number'), '5')
}

async function tourBlocking(redis: Redis, other: Redis): Promise<void> {
  const popped = redis.blpop('queue', 0)
  await other.rpush('queue', 'job')
  assert.deepEqual(await popped, ['queue', 'job'])
  assert.equal(await redis.blpop('queue', 0.01), null)
  const read = redis.xread('BLOCK', 5000, 'STREAMS', 'live', '0')
  await other.xadd('live', '1-1', 'k', 'v')
  const streams: unknown = await read
  const pairs = streams instanceof Map ? [...streams] : streams
  assert.match(JSON.stringify(pairs), /live.*1-1.*k.*v/)
}

async function tourConnection(redis: Redis, other: Redis, { topology }: Proxied): Promise<void> {
  assert.equal(await redis.client('GETNAME'), 'app')
  assert.ok((await redis.client('ID')) > 0)
  assert.match(String(await redis.client('LIST')), /addr=/)
  if (hasDatabases(topology)) {
    assert.equal(await other.select(2), 'OK')
    await other.set('here', 'two')
    assert.equal(await redis.exists('here'), 0)
    assert.equal(await other.get('here'), 'two')
  } else {
    await assert.rejects(other.select(2), /^ReplyError: ERR/)
    // It would ask for it again whenever it connects.
    other.disconnect()
  }
  assert.match(await redis.info('server'), /redis_version|valkey_version/)
  const acknowledged = await redis.wait(0, 10)
  if (topology === 'standalone') assert.equal(acknowledged, 0)
}

async function tourRestart(t: TestContext, redis: Redis, two: Redis, proxied: Proxied) {
  const subscriber = redis.duplicate()
  t.after(() => subscriber.disconnect())
  subscriber.on('error', () => {})
  await subscriber.subscribe('news')
  const got: string[] = []
  subscriber.on('message', (_channel, message) => got.push(message))
  const isSelected = hasDatabases(proxied.topology)
  if (isSelected) await two.select(2)
  await redis.set('before', '1')
  await proxied.settle()
  await proxied.restart()
  assert.equal(await redis.get('before'), '1')
  // ioredis runs what it is given while it reconnects in the database of its options.
  await until('it is connected again', () => two.status === 'ready')
  assert.equal(await two.get('here'), isSelected ? 'two' : null)
  await until('the subscription is back', async () => {
    await redis.publish('news', 'again')
    return got.includes('again')
  })
}
