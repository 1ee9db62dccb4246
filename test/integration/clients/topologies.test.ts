/**
 * Clients that know one server only, with a cluster, replicas or a ring behind the sidecar. Of a cluster, primaries change
 * and slots move meanwhile. `RESPMESH_TEST_SIZE=full`: all clients before all of them in RESP2 and RESP3, of Valkey 9 too.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { serverProgramOf } from '../../support/server-versions.ts'
import { type Backend, startBackend, startBefore } from './backends.ts'
import { tourIoredis } from './ioredis-tour.ts'
import { newClient, tourNodeRedis } from './node-redis-tour.ts'
import { skip, tourRedisCli } from './redis-cli-tour.ts'
import { type Tour, goRedisTour, login, redisPyTour, runTour, tourSteps } from './support.ts'

type Protocol = 2 | 3

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const clients = {
  ioredis: tryIoredis,
  'node-redis': tryNodeRedis,
  'redis-py': (t, backend, protocol) => tryProgram(t, redisPyTour, { backend, protocol }),
  'go-redis': (t, backend, protocol) => tryProgram(t, goRedisTour, { backend, protocol }),
  'redis-cli': tryRedisCli,
} satisfies Record<string, (t: TestContext, backend: Backend, protocol: Protocol) => Promise<void>>

type ClientName = keyof typeof clients

/** In CI: who goes before what, and in which version of RESP. */
const few: Readonly<Record<Backend['topology'], Partial<Record<ClientName, Protocol>>>> = {
  cluster: { ioredis: 2, 'node-redis': 3, 'redis-py': 3, 'go-redis': 2, 'redis-cli': 2 },
  replication: { ioredis: 3, 'redis-py': 2 },
  ring: { 'node-redis': 2, 'go-redis': 3 },
}

const programs = {
  'the server of this machine': () => Promise.resolve(undefined),
  ...(isFull && { 'Valkey 9': () => serverProgramOf('valkey', '9') }),
}

for (const [name, find] of Object.entries(programs)) {
  for (const topology of ['cluster', 'replication', 'ring'] as const) {
    test(`clients of one server, before a ${topology} of ${name}`, async (t) => {
      const backend = await startBackend(topology, await find())
      t.after(() => backend.stop())
      for (const client of Object.keys(clients) as ClientName[]) {
        const one = few[topology][client]
        for (const protocol of isFull ? ([2, 3] as const) : one === undefined ? [] : [one]) {
          await t.test(`${client} in RESP${protocol}`, async (t) => {
            await clients[client](t, backend, protocol)
          })
        }
      }
    })
  }
}

async function tryIoredis(t: TestContext, backend: Backend, protocol: Protocol): Promise<void> {
  const proxied = await startBefore(t, backend, { hasLogin: true })
  const open = (): Redis => {
    const redis = new Redis({
      port: proxied.port,
      host: '127.0.0.1',
      protocol,
      connectionName: 'app',
      retryStrategy: () => 20,
      ...login,
    })
    redis.on('error', () => {})
    t.after(() => redis.disconnect())
    return redis
  }
  await tourIoredis(t, { proxied, open })
}

async function tryNodeRedis(t: TestContext, backend: Backend, protocol: Protocol): Promise<void> {
  const proxied = await startBefore(t, backend)
  const open = async () => {
    const client = newClient(proxied.port, protocol, false)
    client.on('error', () => {})
    t.after(() => client.destroy())
    await client.connect()
    return client
  }
  await tourNodeRedis(t, { proxied, open })
}

/** It tells by itself which version of RESP it speaks. */
async function tryRedisCli(t: TestContext, backend: Backend): Promise<void> {
  if (skip !== false) return t.skip(skip)
  const proxied = await startBefore(t, backend, { hasLogin: true })
  const user = ['--no-auth-warning', '--user', login.username, '--pass', login.password]
  await tourRedisCli(proxied, user)
}

async function tryProgram(
  t: TestContext,
  prepare: () => Promise<Tour>,
  { backend, protocol }: { readonly backend: Backend; readonly protocol: Protocol },
): Promise<void> {
  const tour = await prepare()
  if ('skip' in tour) return t.skip(tour.skip)
  const proxied = await startBefore(t, backend, { hasLogin: true })
  const words = [String(proxied.port), String(protocol), backend.topology]
  const command = [...tour, ...words, login.username, login.password] as const
  assert.deepEqual(await runTour(t, command as unknown as [string], proxied), tourSteps)
}
