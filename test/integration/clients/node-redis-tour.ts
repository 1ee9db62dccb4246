/** What an application does with node-redis and one server, or what it takes for one. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createClient, defineScript } from 'redis'
import { type Proxied, hasDatabases, login, until } from './support.ts'

const big = 'x'.repeat(8 << 20)
export type Client = ReturnType<typeof newClient>

export const answer = defineScript({
  SCRIPT: 'return {KEYS[1], ARGV[1]}',
  NUMBER_OF_KEYS: 1,
  parseCommand: (parser, key: string, value: string) => {
    parser.pushKey(key)
    parser.push(value)
  },
  transformReply: (reply: unknown) => reply,
})

export function newClient(port: number, RESP: 2 | 3, hasLogin: boolean) {
  // Another one that it connects in its place, when it is told to move, would go on trying after its end.
  const reconnectStrategy = () => (client.isOpen ? 20 : new Error('the client was destroyed'))
  const client = createClient({
    socket: { host: '127.0.0.1', port, reconnectStrategy },
    RESP,
    // Its own limit is for the network, not for a machine that is busy with other tests.
    commandOptions: { timeout: 30_000 },
    name: 'app',
    scripts: { answer },
    ...(hasLogin && login),
  })
  return client
}

export interface NodeRedisTour {
  readonly proxied: Proxied
  readonly open: () => Promise<Client>
}

export async function tourNodeRedis(
  t: TestContext,
  { proxied, open }: NodeRedisTour,
): Promise<void> {
  const redis = await open()
  const loader = await open()
  await proxied.disturb()
  const load = proxied.topology === 'cluster' ? startLoad(loader) : undefined
  await t.test('data of every type', () => tourData(redis))
  await t.test('keys of several servers', () => tourKeys(redis, proxied))
  const [two, three] = [await open(), await open()]
  await t.test('scripts fall back to EVAL', () => tourScripts(redis, proxied))
  await t.test('messages', () => tourMessages(redis, three, proxied))
  await t.test('blocking commands', () => tourBlocking(redis, two))
  await proxied.calm()
  if (load !== undefined) await t.test('all that went on meanwhile', () => load.end())
  // Of commands on one key in one pipeline, the first may be refused with TRYAGAIN when its slot goes elsewhere between them.
  await t.test('pipelines', () => tourPipelines(redis))
  await t.test('large values', () => tourLarge(redis))
  await t.test('transactions', () => tourTransactions(redis, two, proxied))
  await t.test('databases and names', () => tourConnection(redis, two, proxied))
  loader.destroy()
  await t.test('a restart of the sidecar', () => tourRestart({ redis, two, three }, proxied))
}

/** Counts, in several ways at once, until it is ended: nothing fails, and nothing is counted twice or not at all. */
function startLoad(redis: Client): { end(): Promise<void> } {
  const ending = new AbortController()
  let count = 0
  const run = async () => {
    while (!ending.signal.aborted) {
      count += 1
      const text = String(count)
      const replies = await Promise.all([
        redis.incr('load:count'),
        countBoth(redis),
        redis.mSet({ 'load:count2': text, 'load:other': text }),
      ])
      assert.deepEqual(replies, [count, [count, count], 'OK'])
      assert.deepEqual(await redis.mGet(['load:count2', 'load:other']), [text, text])
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
      assert.equal(await redis.del(['load:count', '{load}:a', 'load:other']), 3)
    },
  }
}

/** A transaction whose slot went elsewhere meanwhile is refused as a whole, and says so; then it is tried again. */
async function countBoth(redis: Client): Promise<unknown> {
  for (;;) {
    try {
      return await redis.multi().incr('{load}:a').incr('{load}:b').exec()
    } catch (error) {
      if (!/TRYAGAIN|EXECABORT/.test(String(error))) throw error
    }
  }
}

async function tourData(redis: Client): Promise<void> {
  assert.equal(await redis.ping(), 'PONG')
  assert.equal(await redis.set('text', 'wörld\r\n\0', { EX: 100 }), 'OK')
  assert.equal(await redis.get('text'), 'wörld\r\n\0')
  assert.equal(await redis.get('missing'), null)
  assert.equal(await redis.incrBy('number', 5), 5)
  assert.deepEqual(await redis.mGet(['text', 'missing']), ['wörld\r\n\0', null])
  await redis.hSet('hash', { a: '1', b: '2' })
  assert.deepEqual({ ...(await redis.hGetAll('hash')) }, { a: '1', b: '2' })
  await redis.rPush('list', ['a', 'b', 'c'])
  assert.deepEqual(await redis.lRange('list', 0, -1), ['a', 'b', 'c'])
  await redis.sAdd('set', ['a', 'b'])
  assert.deepEqual([...(await redis.sMembers('set'))].toSorted(), ['a', 'b'])
  await redis.zAdd('zset', [
    { score: 1, value: 'a' },
    { score: 2.5, value: 'b' },
  ])
  assert.deepEqual(await redis.zRangeWithScores('zset', 0, -1), [
    { score: 1, value: 'a' },
    { score: 2.5, value: 'b' },
  ])
  await redis.xAdd('stream', '*', { field: 'value' })
  const entries = (await redis.xRange('stream', '-', '+')) ?? []
  assert.deepEqual({ ...entries[0]?.message }, { field: 'value' })
  const found: string[] = []
  for await (const keys of redis.scanIterator({ COUNT: 2 })) found.push(...keys)
  const names = ['hash', 'list', 'number', 'set', 'stream', 'text', 'zset']
  const others = [...new Set(found)].filter((key) => !key.includes('load'))
  assert.deepEqual(others.toSorted(), names)
  await assert.rejects(redis.lPush('text', 'x'), /WRONGTYPE/)
  await assert.rejects(redis.sendCommand(['NO-SUCH-COMMAND', 'x']), /unknown command/)
}

async function tourKeys(redis: Client, { topology }: Proxied): Promise<void> {
  const keys = ['m:1', 'm:2', 'm:3', 'm:4', 'm:5']
  assert.equal(await redis.mSet(Object.fromEntries(keys.map((key, at) => [key, `${at}`]))), 'OK')
  const values = ['4', null, '0', '1', '2', '3', '4']
  assert.deepEqual(await redis.mGet(['m:5', 'm:none', ...keys]), values)
  assert.equal(await redis.exists(['m:1', 'm:1', 'm:none', 'm:5']), 3)
  assert.equal(await redis.unlink(['m:4', 'm:none']), 1)
  assert.equal(await redis.del(keys), 4)
  await redis.sAdd('{s}:1', ['a', 'b'])
  await redis.sAdd('{s}:2', ['b', 'c'])
  assert.deepEqual([...(await redis.sInter(['{s}:1', '{s}:2']))], ['b'])
  assert.equal(await redis.sUnionStore('{s}:3', ['{s}:1', '{s}:2']), 3)
  if (topology === 'cluster') {
    await assert.rejects(redis.rename('{s}:3', 'elsewhere'), /CROSSSLOT/)
    const apart = redis.multi().set('m:1', '1').set('m:2', '1').exec()
    await assert.rejects(apart, /CROSSSLOT|EXECABORT/)
  }
  assert.equal(await redis.del(['{s}:1', '{s}:2', '{s}:3']), 3)
}

async function tourPipelines(redis: Client): Promise<void> {
  const replies = await Promise.all(
    Array.from({ length: 5000 }, (_, index) => [
      redis.set(`p:${index}`, String(index)),
      redis.get(`p:${index}`),
    ]).flat(),
  )
  assert.deepEqual(
    replies,
    Array.from({ length: 5000 }, (_, index) => ['OK', String(index)]).flat(),
  )
}

/** It is sent on as it comes: were its slot moved, and the sidecar not told by a small command, it would get TRYAGAIN. */
async function tourLarge(redis: Client): Promise<void> {
  assert.equal(await redis.del('big'), 0)
  assert.equal(await redis.set('big', big), 'OK')
  const [one, two, small] = await Promise.all([
    redis.get('big'),
    redis.get('big'),
    redis.get('number'),
  ])
  assert.ok(one === big && two === big)
  assert.equal(small, '5')
}

async function tourTransactions(redis: Client, other: Client, proxied: Proxied): Promise<void> {
  const replies = await redis.multi().set('t', '1').incr('t').get('t').exec()
  assert.deepEqual(replies, ['OK', 2, '2'])
  await redis.watch('t')
  await other.set('t', 'other')
  await assert.rejects(redis.multi().set('t', 'mine').exec(), /watched keys/)
  await proxied.settle()
  assert.equal(await redis.get('t'), 'other')
  await redis.watch('t')
  assert.deepEqual(await redis.multi().set('t', 'mine').exec(), ['OK'])
}

async function tourScripts(redis: Client, proxied: Proxied): Promise<void> {
  assert.deepEqual(await redis.answer('k', 'v'), ['k', 'v'])
  await proxied.flushScripts()
  assert.deepEqual(await redis.answer('k', 'w'), ['k', 'w'])
  assert.equal(await redis.eval('return 7'), 7)
  await assert.rejects(redis.evalSha('0'.repeat(40)), /NOSCRIPT/)
}

async function tourMessages(
  redis: Client,
  subscriber: Client,
  { topology }: Proxied,
): Promise<void> {
  const got: string[] = []
  await subscriber.subscribe('news', (message) => got.push(`news=${message}`))
  await subscriber.pSubscribe('n*', (message, channel) => got.push(`n*:${channel}=${message}`))
  const count = await redis.publish('news', 'a')
  // A node of a cluster knows its own subscribers only.
  if (topology !== 'cluster') assert.equal(count, 2)
  await until('the messages come', () => got.length === 2)
  assert.deepEqual(got.toSorted(), ['n*:news=a', 'news=a'])
  await subscriber.pUnsubscribe('n*')
  const sharded: string[] = []
  await subscriber.sSubscribe('shard', (message) => sharded.push(message))
  await until('the message of the shard comes', async () => {
    await redis.sPublish('shard', 's')
    return sharded.includes('s')
  })
  await subscriber.sUnsubscribe('shard')
}

async function tourBlocking(redis: Client, other: Client): Promise<void> {
  const popped = redis.blPop('queue', 0)
  await other.rPush('queue', 'job')
  assert.deepEqual({ ...(await popped) }, { key: 'queue', element: 'job' })
  assert.equal(await redis.blPop('queue', 0.01), null)
  const read = redis.xRead({ key: 'live', id: '0' }, { BLOCK: 5000 })
  await other.xAdd('live', '1-1', { k: 'v' })
  assert.match(JSON.stringify(await read), /live.*1-1.*k.*v/)
}

async function tourConnection(redis: Client, other: Client, { topology }: Proxied): Promise<void> {
  assert.equal(await redis.clientGetName(), 'app')
  assert.ok((await redis.clientId()) > 0)
  assert.ok((await redis.clientList()).length > 0)
  if (hasDatabases(topology)) {
    await other.select(2)
    await other.set('here', 'two')
    assert.equal(await redis.exists('here'), 0)
    assert.equal(await other.get('here'), 'two')
  } else await assert.rejects(other.select(2), /ERR/)
  assert.match(await redis.info('server'), /redis_version|valkey_version/)
  const acknowledged = await redis.wait(0, 10)
  if (topology === 'standalone') assert.equal(acknowledged, 0)
}

interface Clients {
  readonly redis: Client
  readonly two: Client
  readonly three: Client
}

async function tourRestart({ redis, two, three }: Clients, proxied: Proxied): Promise<void> {
  const got: string[] = []
  await three.subscribe('later', (message) => got.push(message))
  await redis.set('before', '1')
  await proxied.settle()
  await proxied.restart()
  await until('it is connected again', () => redis.isReady && two.isReady && three.isReady)
  assert.equal(await redis.get('before'), '1')
  assert.equal(await two.get('here'), hasDatabases(proxied.topology) ? 'two' : null)
  await until('the subscription is back', async () => {
    await redis.publish('later', 'again')
    return got.includes('again')
  })
}
