/** node-redis through a sidecar process, as an application uses it, in RESP2 and RESP3. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, defineScript } from 'redis'
import { type Proxied, login, startDirect, startProxied, until } from './support.ts'

const big = 'x'.repeat(8 << 20)
type Client = ReturnType<typeof newClient>

const answer = defineScript({
  SCRIPT: 'return {KEYS[1], ARGV[1]}',
  NUMBER_OF_KEYS: 1,
  parseCommand: (parser, key: string, value: string) => {
    parser.pushKey(key)
    parser.push(value)
  },
  transformReply: (reply: unknown) => reply,
})

function newClient(port: number, RESP: 2 | 3, hasLogin: boolean) {
  return createClient({
    socket: { host: '127.0.0.1', port, reconnectStrategy: () => 20 },
    RESP,
    name: 'app',
    scripts: { answer },
    ...(hasLogin && login),
  })
}

for (const protocol of [2, 3] as const) {
  for (const way of ['through a sidecar', 'with a login', 'without a sidecar'] as const) {
    const hasLogin = way === 'with a login'
    test(`node-redis works in RESP${protocol} ${way}`, async (t) => {
      const isDirect = way === 'without a sidecar'
      const proxied = await (isDirect ? startDirect(t) : startProxied(t, { hasLogin }))
      const open = async () => {
        const client = newClient(proxied.port, protocol, hasLogin)
        client.on('error', () => {})
        t.after(() => client.destroy())
        await client.connect()
        return client
      }
      const redis = await open()
      await t.test('data of every type', () => tourData(redis))
      await t.test('pipelines and large values', () => tourPipelines(redis))
      const [two, three] = [await open(), await open()]
      await t.test('transactions', () => tourTransactions(redis, two))
      await t.test('scripts fall back to EVAL', () => tourScripts(redis, proxied))
      await t.test('messages', () => tourMessages(redis, three))
      await t.test('blocking commands', () => tourBlocking(redis, two))
      await t.test('databases and names', () => tourConnection(redis, two))
      await t.test('a restart of the sidecar', () => tourRestart({ redis, two, three }, proxied))
    })
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
  assert.deepEqual([...new Set(found)].toSorted(), names)
  await assert.rejects(redis.lPush('text', 'x'), /WRONGTYPE/)
  await assert.rejects(redis.sendCommand(['NO-SUCH-COMMAND', 'x']), /unknown command/)
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
  assert.equal(await redis.set('big', big), 'OK')
  const [one, two, small] = await Promise.all([
    redis.get('big'),
    redis.get('big'),
    redis.get('number'),
  ])
  assert.ok(one === big && two === big)
  assert.equal(small, '5')
}

async function tourTransactions(redis: Client, other: Client): Promise<void> {
  const replies = await redis.multi().set('t', '1').incr('t').get('t').exec()
  assert.deepEqual(replies, ['OK', 2, '2'])
  await redis.watch('t')
  await other.set('t', 'other')
  await assert.rejects(redis.multi().set('t', 'mine').exec(), /watched keys/)
  assert.equal(await redis.get('t'), 'other')
  await redis.watch('t')
  assert.deepEqual(await redis.multi().set('t', 'mine').exec(), ['OK'])
}

async function tourScripts(redis: Client, { server }: Proxied): Promise<void> {
  assert.deepEqual(await redis.answer('k', 'v'), ['k', 'v'])
  assert.match(await server.command('SCRIPT', 'FLUSH'), /OK/)
  assert.deepEqual(await redis.answer('k', 'w'), ['k', 'w'])
  assert.equal(await redis.eval('return 7'), 7)
  await assert.rejects(redis.evalSha('0'.repeat(40)), /NOSCRIPT/)
}

async function tourMessages(redis: Client, subscriber: Client): Promise<void> {
  const got: string[] = []
  await subscriber.subscribe('news', (message) => got.push(`news=${message}`))
  await subscriber.pSubscribe('n*', (message, channel) => got.push(`n*:${channel}=${message}`))
  assert.equal(await redis.publish('news', 'a'), 2)
  await until('the messages come', () => got.length === 2)
  assert.deepEqual(got.toSorted(), ['n*:news=a', 'news=a'])
  await subscriber.pUnsubscribe('n*')
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

async function tourConnection(redis: Client, other: Client): Promise<void> {
  assert.equal(await redis.clientGetName(), 'app')
  assert.ok((await redis.clientId()) > 0)
  assert.ok((await redis.clientList()).length > 0)
  await other.select(2)
  await other.set('here', 'two')
  assert.equal(await redis.exists('here'), 0)
  assert.equal(await other.get('here'), 'two')
  assert.match(await redis.info('server'), /redis_version|valkey_version/)
  assert.equal(await redis.wait(0, 10), 0)
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
  await proxied.restart()
  await until('it is connected again', () => redis.isReady && two.isReady && three.isReady)
  assert.equal(await redis.get('before'), '1')
  assert.equal(await two.get('here'), 'two')
  await until('the subscription is back', async () => {
    await redis.publish('later', 'again')
    return got.includes('again')
  })
}
