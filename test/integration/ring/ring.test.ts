/** A ring before real servers: keys stay with their server, one that fails is taken out and comes back. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ProxyConfig, UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import { buildContinuum } from '../../../sidecar/topology/ring/continuum.ts'
import { keyHashes } from '../../../sidecar/topology/ring/key-hash.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { type RedisServer, startServer, until } from '../../support/servers.ts'
import { type Client, configFor, connect, portOf, startPlane } from '../sidecar/harness.ts'

const keyCount = 300
const keys = Array.from({ length: keyCount }, (_, at) => `key:${at}`)

function ringConfig(
  servers: readonly RedisServer[],
  ring: UpstreamConfig['ring'] = {},
): ProxyConfig {
  const role = 'primary' as const
  const members = servers.map(({ host, port }, at) => {
    return { host, port, name: `server-${at}`, role }
  })
  const timing = { holdTimeoutMs: 300, connectTimeoutMs: 500 }
  const [first] = servers
  assert(first)
  const { primary: _, ...upstream } = configFor(first).upstream
  const config = configFor(first, { timing })
  return { ...config, upstream: { ...upstream, mode: 'ring', members, ring } }
}

/** Index of the server that a key belongs to, among so many. */
function placeOf(key: string, count: number): number {
  const names = Array.from({ length: count }, (_, at) => ({ name: `server-${at}`, weight: 1 }))
  const bytes = Buffer.from(key)
  return buildContinuum(names).ownerOf(keyHashes.fnv1a_64(bytes, 0, bytes.length))
}

async function startServers(t: TestContext, count: number): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => startServer()))
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  return servers
}

async function setAll(client: Client): Promise<void> {
  client.send(Buffer.concat(keys.map((key) => encodeCommand(['SET', key, 'v']))))
  for (const _ of keys) assert.equal(await client.reply(), '+OK\r\n')
}

/** How many keys are answered with a value, with none, with an error. */
async function readAll(client: Client) {
  const found = { value: 0, none: 0, error: 0 }
  client.send(Buffer.concat(keys.map((key) => encodeCommand(['GET', key]))))
  for (const _ of keys) {
    const reply = await client.reply()
    found[reply.startsWith('-') ? 'error' : reply === '$-1\r\n' ? 'none' : 'value'] += 1
  }
  return found
}

test('each key is with its server, and of several servers one answer is made', async (t) => {
  const servers = await startServers(t, 3)
  const plane = await startPlane(t, ringConfig(servers))
  const client = await connect(t, portOf(plane))
  await setAll(client)
  for (const [at, server] of servers.entries()) {
    const own = keys.filter((key) => placeOf(key, 3) === at)
    assert.equal(await server.command('EXISTS', ...own), `:${own.length}\r\n`)
    assert.equal(await server.command('DBSIZE'), `:${own.length}\r\n`)
  }
  assert.equal(await client.ask('DEL', ...keys.slice(0, 50)), ':50\r\n')
  assert.equal(await client.ask('DBSIZE'), `:${keyCount - 50}\r\n`)
})

test('a server more takes its share of the keys, all others stay where they are', async (t) => {
  const servers = await startServers(t, 4)
  const plane = await startPlane(t, ringConfig(servers.slice(0, 3)))
  const client = await connect(t, portOf(plane))
  await setAll(client)
  await plane.apply({ ...ringConfig(servers), version: 2 })
  const moved = keys.filter((key) => placeOf(key, 4) === 3).length
  assert.deepEqual(await readAll(client), { value: keyCount - moved, none: moved, error: 0 })
  assert(moved > 0.15 * keyCount && moved < 0.35 * keyCount, `${moved} of ${keyCount}`)
})

test('without ejection the keys of a server that is away get errors, the others none', async (t) => {
  const servers = await startServers(t, 3)
  const plane = await startPlane(t, ringConfig(servers))
  const client = await connect(t, portOf(plane))
  await setAll(client)
  await servers[1]?.kill()
  const gone = keys.filter((key) => placeOf(key, 3) === 1)
  const kept = keys.filter((key) => placeOf(key, 3) !== 1)
  client.send(Buffer.concat(kept.map((key) => encodeCommand(['GET', key]))))
  for (const _ of kept) assert.equal(await client.reply(), '$1\r\nv\r\n')
  assert.match(await client.ask('GET', gone[0] ?? ''), /^-/)
  await servers[1]?.restart()
  await until(
    'its keys are served again',
    async () => (await client.ask('SET', gone[0] ?? '', 'v')) === '+OK\r\n',
  )
})

test('a server that fails is taken out, its keys go to others, and it comes back', async (t) => {
  const servers = await startServers(t, 3)
  const plane = await startPlane(t, ringConfig(servers, { ejectAfter: 2, ejectMs: 300 }))
  const client = await connect(t, portOf(plane))
  await setAll(client)
  const gone = keys.filter((key) => placeOf(key, 3) === 1)
  await servers[1]?.kill()
  await until('no key has an error', async () => {
    const { error, none } = await readAll(client)
    return error === 0 && none === gone.length
  })
  await setAll(client)
  assert.deepEqual(await readAll(client), { value: keyCount, none: 0, error: 0 })
  await servers[1]?.restart()
  // What was written meanwhile is with others: the server has come back empty.
  await until('it is back', async () => (await readAll(client)).none === gone.length)
  const counts = await Promise.all(servers.map((server) => server.command('DBSIZE')))
  assert.equal(counts[1], ':0\r\n')
})

test('a server that is not connected yet has not failed', async (t) => {
  const servers = await startServers(t, 2)
  const plane = await startPlane(t, ringConfig(servers, { ejectAfter: 1 }))
  await setAll(await connect(t, portOf(plane)))
  const own = keys.filter((key) => placeOf(key, 2) === 0)
  assert.equal(await servers[0]?.command('DBSIZE'), `:${own.length}\r\n`)
})

test('a server that is stopped is taken out too, and the last one never', async (t) => {
  const servers = await startServers(t, 2)
  const plane = await startPlane(t, ringConfig(servers, { ejectAfter: 1, ejectMs: 300 }))
  const client = await connect(t, portOf(plane))
  await setAll(client)
  servers[0]?.signal('SIGSTOP')
  t.after(() => servers[0]?.signal('SIGCONT'))
  const gone = keys.filter((key) => placeOf(key, 2) === 0)
  // What was sent to it gets an error in time: nobody waits for it to go on.
  await until(
    'its keys are served by the other',
    async () => (await client.ask('GET', gone[0] ?? '')) === '$-1\r\n',
  )
  await servers[1]?.kill()
  await until('the last one is missed', async () =>
    (await client.ask('GET', gone[0] ?? '')).startsWith('-'),
  )
  await servers[1]?.restart()
  await until(
    'the last one is there',
    async () => (await client.ask('SET', gone[0] ?? '', 'v')) === '+OK\r\n',
  )
})

test('nothing goes to a server any more that is in the ring no longer', async (t) => {
  const servers = await startServers(t, 2)
  const plane = await startPlane(t, ringConfig(servers))
  const [client, other] = [await connect(t, portOf(plane)), await connect(t, portOf(plane))]
  const key = keys.find((one) => placeOf(one, 2) === 1) ?? ''
  assert.equal(await client.ask('MULTI'), '+OK\r\n')
  assert.equal(await client.ask('SET', key, 'v'), '+QUEUED\r\n')
  assert.equal(await other.ask('WATCH', key), '+OK\r\n')
  await plane.apply({ ...ringConfig(servers.slice(0, 1)), version: 2 })
  assert.equal(await client.ask('EXEC'), '*1\r\n+OK\r\n')
  assert.equal(await other.ask('GET', key), '$1\r\nv\r\n')
  assert.equal(await other.ask('MULTI'), '+OK\r\n')
  assert.match(await other.ask('SET', key, 'w'), /^\+QUEUED/)
  assert.equal(await other.ask('EXEC'), '*-1\r\n')
  const [kept, gone] = servers
  assert.equal(await kept?.command('GET', key), '$1\r\nv\r\n')
  assert.match((await gone?.command('EXISTS', key)) ?? '', /^:0/)
})
