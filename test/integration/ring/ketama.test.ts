/** Keys stay where twemproxy put them: the program itself is asked, with real servers behind it. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { buildContinuum, ringName } from '../../../sidecar/topology/ring/continuum.ts'
import { type KeyHash, keyHashes } from '../../../sidecar/topology/ring/key-hash.ts'
import { findHashTag } from '../../../common/redis/slots.ts'
import {
  type RedisServer,
  freePort,
  isInstalled,
  startServer,
  until,
} from '../../support/servers.ts'
import { connect } from '../sidecar/harness.ts'

const keyCount = process.env.RESPMESH_TEST_SIZE === 'full' ? 50_000 : 2000
const batch = 500
const skip = isInstalled('nutcracker') ? false : 'twemproxy (nutcracker) is not installed'

interface Ring {
  readonly hash: KeyHash
  readonly hashTag?: string
  readonly weights: readonly number[]
  readonly names?: readonly string[]
}

test('keys are where twemproxy has them', { skip }, async (t) => {
  const servers = await startServers(t, 5)
  const rings: readonly Ring[] = [
    { hash: 'fnv1a_64', weights: [1, 1, 1, 1, 1] },
    { hash: 'md5', weights: [1, 1, 1, 1, 1] },
    { hash: 'fnv1a_64', weights: [1, 7, 2, 30, 3] },
    { hash: 'fnv1a_64', weights: [1, 1, 1, 1, 1], names: ['a', 'b', 'c', 'd', 'e'] },
    {
      hash: 'md5',
      weights: [3, 5, 8, 100, 1],
      names: ['north', 'south', 'ö', 'x-y', '1'],
      hashTag: '{}',
    },
    { hash: 'fnv1a_64', weights: [1, 1, 1], hashTag: '<>' },
    { hash: 'fnv1a_64', weights: [1, 2] },
  ]
  for (const ring of rings) {
    await t.test(JSON.stringify(ring), async (t) => {
      await compare(t, ring, servers.slice(0, ring.weights.length))
    })
  }
})

async function compare(t: TestContext, ring: Ring, servers: readonly RedisServer[]): Promise<void> {
  const proxy = await connect(t, await startTwemproxy(t, ring, servers))
  const keys = Array.from({ length: keyCount }, (_, at) => randomKey(at))
  for (let at = 0; at < keys.length; at += batch) {
    const some = keys.slice(at, at + batch)
    proxy.send(Buffer.concat(some.map((key) => encodeCommand(['SET', key, '1']))))
    for (const _ of some) assert.equal(await proxy.reply(), '+OK\r\n')
  }
  const continuum = buildContinuum(
    ring.weights.map((weight, at) => ({
      weight,
      name: ring.names?.[at] ?? ringName(servers[at] as RedisServer),
    })),
  )
  const counts = servers.map(() => 0)
  for (const [at, server] of servers.entries()) {
    const direct = await connect(t, server.port)
    const expected = keys.filter((key) => continuum.ownerOf(hashOf(ring, key)) === at)
    direct.send(encodeCommand(['EXISTS', ...expected]))
    counts[at] = Number((await direct.reply()).slice(1))
    await direct.ask('FLUSHALL')
  }
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    keyCount,
  )
  assert(
    counts.every((count) => count > 0),
    `every server has keys: ${counts.join(' ')}`,
  )
}

function hashOf({ hash, hashTag }: Ring, key: Buffer): number {
  const part = { start: 0, end: key.length }
  const [open, close] = Buffer.from(hashTag ?? '')
  if (open !== undefined && close !== undefined) findHashTag(key, part, { open, close })
  return keyHashes[hash](key, part.start, part.end)
}

/** Bytes of every kind, and parts in brackets now and then. */
function randomKey(at: number): Buffer {
  const bytes = randomBytes(1 + (at % 24))
  if (at % 3 !== 0) return Buffer.concat([Buffer.from(`${at}:`), bytes])
  const [open, close] = at % 2 === 0 ? '{}' : '<>'
  return Buffer.concat([Buffer.from(`${at}${open}tag${at % 100}${close}`), bytes])
}

async function startServers(t: TestContext, count: number): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => startServer()))
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  return servers
}

async function startTwemproxy(
  t: TestContext,
  { hash, hashTag, weights, names }: Ring,
  servers: readonly RedisServer[],
): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-twemproxy-'))
  const port = await freePort()
  const lines = weights.map((weight, at) => {
    const name = names?.[at]
    return `    - "127.0.0.1:${servers[at]?.port}:${weight}${name === undefined ? '' : ` ${name}`}"`
  })
  const tag = hashTag === undefined ? [] : [`  hash_tag: "${hashTag}"`]
  const settings = [`  listen: 127.0.0.1:${port}`, `  hash: ${hash}`, ...tag]
  const file = join(directory, 'nutcracker.yml')
  const head = ['ring:', ...settings, '  distribution: ketama', '  redis: true', '  servers:']
  writeFileSync(file, [...head, ...lines, ''].join('\n'))
  const stats = await freePort()
  const child = spawn('nutcracker', ['-c', file, '-s', String(stats), '-a', '127.0.0.1'], {
    stdio: 'ignore',
  })
  t.after(() => end(child, directory))
  await until('twemproxy answers', async () => {
    if (child.exitCode !== null) throw new Error(`twemproxy ended: ${child.exitCode}`)
    const client = await connect(t, port).catch(() => undefined)
    return (await client?.ask('GET', 'a')) === '$-1\r\n'
  })
  return port
}

function end(child: ChildProcess, directory: string): void {
  child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}
