/** ioredis through a sidecar process, as an application uses it, in RESP2 and RESP3. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { type Proxied, login, startDirect, startProxied, until } from './support.ts'

const big = 'x'.repeat(8 << 20)

for (const protocol of [2, 3] as const) {
  for (const way of ['through a sidecar', 'with a login', 'without a sidecar'] as const) {
    const hasLogin = way === 'with a login'
    test(`ioredis works in RESP${protocol} ${way}`, async (t) => {
      const isDirect = way === 'without a sidecar'
      const proxied = await (isDirect ? startDirect(t) : startProxied(t, { hasLogin }))
      const open = (): Redis => {
        const redis = new Redis({
          port: proxied.port,
          host: '127.0.0.1',
          protocol,
          connectionName: 'app',
          retryStrategy: () => 20,
          ...(hasLogin && login),
        })
        redis.on('error', () => {})
        t.after(() => redis.disconnect())
        return redis
      }
      const redis = open()
      await t.test('data of every type', () => tourData(redis))
      await t.test('pipelines and large values', () => tourPipelines(redis))
      await t.test('transactions', () => tourTransactions(redis, open()))
      await t.test('scripts fall back to EVAL', () => tourScripts(redis, proxied))
      await t.test('messages', () => tourMessages(redis, open(), open()))
      await t.test('blocking commands', () => tourBlocking(redis, open()))
      await t.test('databases and names', () => tourConnection(redis, open()))
      await t.test('a restart of the sidecar', (t) => tourRestart(t, redis, open(), proxied))
    })
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
    [...new Set(found)].toSorted(),
    ['hash', 'list', 'number', 'set', 'stream', 'text', 'zset'].toSorted(),
  )
  await assert.rejects(redis.lpush('text', 'x'), /WRONGTYPE/)
  await assert.rejects(redis.call('NO-SUCH-COMMAND', 'x'), /unknown command/)
}

async function tourPipelines(redis: Redis): Promise<void> {
  const pipeline = redis.pipeline()
  for (let index = 0; index < 5000; index += 1) pipeline.set(`p:${index}`, index).get(`p:${index}`)
  const replies = (await pipeline.exec()) ?? []
  assert.deepEqual(
    replies.map(([error, reply]) => (error === null ? reply : error.message)),
    Array.from({ length: 5000 }, (_, index) => ['OK', String(index)]).flat(),
  )
  assert.equal(await redis.set('big', big), 'OK')
  const [one, two, small] = await Promise.all([
    redis.get('big'),
    redis.getBuffer('big'),
    redis.get('number'),
  ])
  assert.ok(one === big && two?.length === big.length)
  assert.equal(small, '5')
}

async function tourTransactions(redis: Redis, other: Redis): Promise<void> {
  assert.deepEqual(await redis.multi().set('t', '1').incr('t').get('t').exec(), [
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ])
  await redis.watch('t')
  await other.set('t', 'other')
  assert.equal(await redis.multi().set('t', 'mine').exec(), null)
  assert.equal(await redis.get('t'), 'other')
  await redis.watch('t')
  assert.deepEqual(await redis.multi().set('t', 'mine').exec(), [[null, 'OK']])
  await redis.multi({ pipeline: false })
  await redis.set('t', 'dropped')
  assert.equal(await redis.discard(), 'OK')
  assert.equal(await redis.get('t'), 'mine')
}

async function tourScripts(redis: Redis, { server }: Proxied): Promise<void> {
  redis.defineCommand('answer', { numberOfKeys: 1, lua: 'return {KEYS[1], ARGV[1]}' })
  const answer = (...args: string[]) =>
    (redis as unknown as { answer(...args: string[]): Promise<unknown> }).answer(...args)
  assert.deepEqual(await answer('k', 'v'), ['k', 'v'])
  assert.match(await server.command('SCRIPT', 'FLUSH'), /OK/)
  assert.deepEqual(await answer('k', 'w'), ['k', 'w'])
  const sha = await redis.script('LOAD', 'return 7')
  assert.equal(await redis.evalsha(String(sha), 0), 7)
  await assert.rejects(redis.evalsha('0'.repeat(40), 0), /NOSCRIPT/)
}

async function tourMessages(redis: Redis, subscriber: Redis, patterns: Redis): Promise<void> {
  const got: string[] = []
  subscriber.on('message', (channel, message) => got.push(`${channel}=${message}`))
  patterns.on('pmessage', (pattern, channel, message) =>
    got.push(`${pattern}:${channel}=${message}`),
  )
  assert.equal(await subscriber.subscribe('news', 'more'), 2)
  assert.equal(await patterns.psubscribe('n*'), 1)
  assert.equal(await redis.publish('news', 'a'), 2)
  assert.equal(await redis.publish('more', 'b'), 1)
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

async function tourConnection(redis: Redis, other: Redis): Promise<void> {
  assert.equal(await redis.client('GETNAME'), 'app')
  assert.ok((await redis.client('ID')) > 0)
  assert.match(String(await redis.client('LIST')), /addr=/)
  assert.equal(await other.select(2), 'OK')
  await other.set('here', 'two')
  assert.equal(await redis.exists('here'), 0)
  assert.equal(await other.get('here'), 'two')
  assert.match(await redis.info('server'), /redis_version|valkey_version/)
  assert.equal(await redis.wait(0, 10), 0)
}

async function tourRestart(t: TestContext, redis: Redis, two: Redis, proxied: Proxied) {
  const subscriber = redis.duplicate()
  t.after(() => subscriber.disconnect())
  subscriber.on('error', () => {})
  await subscriber.subscribe('news')
  const got: string[] = []
  subscriber.on('message', (_channel, message) => got.push(message))
  await two.select(2)
  await redis.set('before', '1')
  await proxied.restart()
  assert.equal(await redis.get('before'), '1')
  // ioredis runs what it is given while it reconnects in the database of its options.
  await until('it is connected again', () => two.status === 'ready')
  assert.equal(await two.get('here'), 'two')
  await until('the subscription is back', async () => {
    await redis.publish('news', 'again')
    return got.includes('again')
  })
}
