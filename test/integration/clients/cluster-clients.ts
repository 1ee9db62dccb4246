/** What applications do with the cluster mode of their client, before a sidecar that shows itself or the nodes. */
import assert from 'node:assert/strict'
import { Cluster } from 'ioredis'
import type { TestContext } from 'node:test'
import { createCluster } from 'redis'
import type { Login } from './backends.ts'
import { type Proxied, until } from './support.ts'

export interface ClusterTour {
  readonly proxied: Proxied & { readonly login: Login }
  readonly protocol: 2 | 3
  /** How many primaries the client should see. */
  readonly primaryCount: number
}

/** They are of all shards. */
const keys = Array.from({ length: 100 }, (_, at) => `c:${at}`)

export async function tourIoredisCluster(t: TestContext, tour: ClusterTour): Promise<void> {
  const { proxied, protocol, primaryCount } = tour
  const open = () => {
    const cluster = new Cluster([{ host: '127.0.0.1', port: proxied.port }], {
      shardedSubscribers: true,
      redisOptions: { protocol, ...proxied.login },
    })
    cluster.on('error', () => {})
    t.after(() => cluster.disconnect())
    return cluster
  }
  const [redis, subscriber, other] = [open(), open(), open()]
  await Promise.all(keys.map(async (key) => assert.equal(await redis.set(key, key), 'OK')))
  assert.deepEqual(await Promise.all(keys.map((key) => redis.get(key))), keys)
  assert.equal(redis.nodes('master').length, primaryCount)
  if (primaryCount === 1) {
    assert.deepEqual(await redis.mget(keys), keys)
    assert.equal(await redis.exists(keys), keys.length)
    const pipeline = redis.pipeline()
    for (const key of keys) pipeline.get(key)
    const replies = (await pipeline.exec()) ?? []
    assert.deepEqual(
      replies.map(([, reply]) => reply),
      keys,
    )
  }
  const done = await redis.multi().set('{t}a', '1').incr('{t}a').get('{t}b').exec()
  assert.deepEqual(done, [
    [null, 'OK'],
    [null, 2],
    [null, null],
  ])
  redis.defineCommand('answer', { numberOfKeys: 1, lua: 'return {KEYS[1], ARGV[1]}' })
  const answer = (...args: string[]) =>
    (redis as unknown as { answer(...args: string[]): Promise<unknown> }).answer(...args)
  assert.deepEqual(await answer('k', 'v'), ['k', 'v'])
  await proxied.flushScripts()
  assert.deepEqual(await answer('k', 'w'), ['k', 'w'])
  const popped = redis.blpop('queue', 0)
  await other.rpush('queue', 'job')
  assert.deepEqual(await popped, ['queue', 'job'])
  await tourIoredisMessages(other, subscriber)
}

async function tourIoredisMessages(redis: Cluster, subscriber: Cluster): Promise<void> {
  const got = new Set<string>()
  subscriber.on('message', (channel, message) => got.add(`${channel}=${message}`))
  subscriber.on('pmessage', (pattern, channel) => got.add(`${pattern}:${channel}`))
  subscriber.on('smessage', (channel, message) => got.add(`s ${channel}=${message}`))
  await subscriber.subscribe('news')
  await subscriber.psubscribe('n*')
  await subscriber.ssubscribe('shard')
  await until('the messages come', async () => {
    await redis.publish('news', 'a')
    await redis.spublish('shard', 's')
    return got.size === 3
  })
  assert.deepEqual([...got].toSorted(), ['n*:news', 'news=a', 's shard=s'])
}

export async function tourNodeRedisCluster(t: TestContext, tour: ClusterTour): Promise<void> {
  const { proxied, protocol, primaryCount } = tour
  const redis = createCluster({
    rootNodes: [{ url: `redis://127.0.0.1:${proxied.port}` }],
    defaults: proxied.login,
    RESP: protocol,
  })
  redis.on('error', () => {})
  t.after(() => redis.destroy())
  await redis.connect()
  await Promise.all(keys.map(async (key) => assert.equal(await redis.set(key, key), 'OK')))
  assert.deepEqual(await Promise.all(keys.map((key) => redis.get(key))), keys)
  assert.equal(redis.masters.length, primaryCount)
  if (primaryCount === 1) {
    assert.deepEqual(await redis.mGet(keys), keys)
    assert.equal(await redis.exists(keys), keys.length)
  }
  const done = await redis.multi().set('{t}a', '1').incr('{t}a').get('{t}b').exec()
  assert.deepEqual(done, ['OK', 2, null])
  assert.equal(await redis.eval('return ARGV[1]', { keys: ['k'], arguments: ['x'] }), 'x')
  assert.equal(await redis.rPush('queue', 'job'), 1)
  assert.deepEqual({ ...(await redis.blPop('queue', 0)) }, { key: 'queue', element: 'job' })
  assert.equal(await redis.blPop('queue', 0.01), null)
  const got = new Set<string>()
  await redis.subscribe('news', (message) => got.add(`news=${message}`))
  await redis.pSubscribe('n*', (message, channel) => got.add(`n*:${channel}=${message}`))
  await redis.sSubscribe('shard', (message) => got.add(`s shard=${message}`))
  await until('the messages come', async () => {
    await redis.publish('news', 'a')
    await redis.sPublish('shard', 's')
    return got.size === 3
  })
  await redis.sUnsubscribe('shard')
  await redis.unsubscribe('news')
}
