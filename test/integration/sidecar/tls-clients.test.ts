/** Client libraries over TLS with a certificate, and over a unix socket, each with a user and password. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { clientFiles, createAuthority } from '../../support/certificates.ts'
import { freePort } from '../../support/servers.ts'
import { startRig, until } from './harness.ts'

const options = { timeout: 60_000 }
const big = 'x'.repeat(3 << 20)

async function startBoth(t: TestContext) {
  const authority = createAuthority(t)
  const put = (name: string, content: string) => {
    writeFileSync(join(authority.directory, name), content)
    return { file: join(authority.directory, name) }
  }
  const port = await freePort()
  const path = join(authority.directory, 'app.sock')
  const tls = {
    ...authority.issue('app.test'),
    clientCertificate: 'required' as const,
    clientCaFile: authority.caFile,
  }
  const user = { username: 'app', password: 'of the client' }
  const rig = await startRig(t, {
    listeners: [{ host: '127.0.0.1', port, tls }, { unixPath: path }],
    clientAuth: {
      users: [{ username: put('name', user.username), password: put('secret', user.password) }],
    },
  })
  const files = {
    ...clientFiles(authority.caFile, authority.issue('client')),
    servername: 'app.test',
  }
  return { rig, port, path, user, files }
}

type Place = 'TLS' | 'a unix socket'

for (const place of ['TLS', 'a unix socket'] as const) {
  for (const protocol of [2, 3] as const) {
    test(`ioredis works over ${place} in RESP${protocol}`, options, async (t) => {
      const both = await startBoth(t)
      const open = () => openIoredis(t, both, place, protocol)
      const [one, two] = [open(), open()]
      assert.equal(await one.set('big', big), 'OK')
      assert.ok((await two.get('big')) === big)
      const replies = await one.pipeline().incr('n').incr('n').get('n').exec()
      assert.deepEqual(
        replies?.map(([, reply]) => reply),
        [1, 2, '2'],
      )
      assert.deepEqual(await one.multi().set('a', '1').get('a').exec(), [
        [null, 'OK'],
        [null, '1'],
      ])
      const popped = two.blpop('list', 5)
      await until('it blocks', async () => (await both.rig.server.info('blocked_clients')) === '1')
      await one.rpush('list', 'element')
      assert.deepEqual(await popped, ['list', 'element'])
      const subscriber = open()
      const message = new Promise((resolve) => {
        subscriber.on('message', (_, text) => resolve(text))
      })
      await subscriber.subscribe('channel')
      await one.publish('channel', 'hello')
      assert.equal(await message, 'hello')
      await assert.rejects(one.call('AUTH', 'app', 'wrong'), /WRONGPASS/)
    })

    test(`node-redis works over ${place} in RESP${protocol}`, options, async (t) => {
      const both = await startBoth(t)
      const open = () => openNodeRedis(t, both, place, protocol)
      const [one, two] = [await open(), await open()]
      assert.equal(await one.set('big', big), 'OK')
      assert.ok((await two.get('big')) === big)
      assert.deepEqual(await one.multi().incr('n').incr('n').get('n').exec(), [1, 2, '2'])
      await one.hSet('hash', { f: '1', g: '2' })
      assert.deepEqual({ ...(await two.hGetAll('hash')) }, { f: '1', g: '2' })
      const popped = two.blPop('list', 5)
      await until('it blocks', async () => (await both.rig.server.info('blocked_clients')) === '1')
      await one.rPush('list', 'element')
      assert.deepEqual({ ...(await popped) }, { key: 'list', element: 'element' })
      const subscriber = await open()
      const { promise, resolve } = Promise.withResolvers<string>()
      await subscriber.subscribe('channel', resolve)
      await one.publish('channel', 'hello')
      assert.equal(await promise, 'hello')
    })
  }
}

type Both = Awaited<ReturnType<typeof startBoth>>

function openIoredis(t: TestContext, both: Both, place: Place, protocol: 2 | 3): Redis {
  const { port, path, user, files } = both
  const target = place === 'TLS' ? { host: '127.0.0.1', port, tls: files } : { path }
  const redis = new Redis({ ...target, ...user, protocol })
  redis.on('error', () => {})
  t.after(() => redis.disconnect())
  return redis
}

async function openNodeRedis(t: TestContext, both: Both, place: Place, RESP: 2 | 3) {
  const { port, path, user, files } = both
  // A client that was told to move and is destroyed goes on connecting, and its process never ends.
  const common = { RESP, ...user, maintNotifications: 'disabled' } as const
  const client =
    place === 'TLS'
      ? createClient({ socket: { host: '127.0.0.1', port, tls: true, ...files }, ...common })
      : createClient({ socket: { path, tls: false }, ...common })
  client.on('error', () => {})
  t.after(() => client.destroy())
  await client.connect()
  return client
}
