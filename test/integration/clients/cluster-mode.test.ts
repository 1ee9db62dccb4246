/**
 * Clients in their cluster mode, before a sidecar that shows itself as a cluster of one node, and before one that shows the
 * nodes. `RESPMESH_TEST_SIZE=full`: all ways in RESP2 and RESP3, with a login and without, before Valkey 9 too.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { serverProgramOf } from '../../support/server-versions.ts'
import { isInstalled } from '../../support/servers.ts'
import { type Backend, startBackend, startBefore } from './backends.ts'
import { type ClusterTour, tourIoredisCluster, tourNodeRedisCluster } from './cluster-clients.ts'
import { type Tour, goRedisTour, redisPyTour, runTour } from './support.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const cli = ['redis-cli', 'valkey-cli'].find(isInstalled)
const clients = {
  ioredis: tourIoredisCluster,
  'node-redis': tourNodeRedisCluster,
  'redis-py': (t, tour) => tryProgram(t, () => redisPyTour('cluster.py'), tour),
  'go-redis': (t, tour) => tryProgram(t, goRedisTour, tour),
  'redis-cli': tryRedisCli,
} satisfies Record<string, (t: TestContext, tour: ClusterTour) => Promise<void>>

interface Way {
  readonly present: 'sidecar' | 'nodes'
  readonly protocol: 2 | 3
  readonly hasLogin: boolean
}

/** What is shown as nodes has the passwords of the nodes. */
const allWays: readonly Way[] = ([2, 3] as const).flatMap((protocol): Way[] => [
  { present: 'sidecar', protocol, hasLogin: false },
  { present: 'sidecar', protocol, hasLogin: true },
  { present: 'nodes', protocol, hasLogin: true },
])
const ways: readonly Way[] = isFull
  ? allWays
  : [
      { present: 'sidecar', protocol: 2, hasLogin: false },
      { present: 'sidecar', protocol: 3, hasLogin: true },
      { present: 'nodes', protocol: 3, hasLogin: true },
    ]

const programs = {
  'the server of this machine': () => Promise.resolve(undefined),
  ...(isFull && { 'Valkey 9': () => serverProgramOf('valkey', '9') }),
}

for (const [name, find] of Object.entries(programs)) {
  test(`clients in cluster mode, before ${name}`, async (t) => {
    const backend = await startBackend('cluster', await find())
    t.after(() => backend.stop())
    for (const way of ways) {
      const title = `shown ${way.present}, in RESP${way.protocol}${way.hasLogin ? ', logged in' : ''}`
      await t.test(title, (t) => tryAll(t, backend, way))
    }
  })
}

async function tryAll(t: TestContext, backend: Backend, way: Way): Promise<void> {
  const { protocol, present } = way
  const proxied = await startBefore(t, backend, way)
  const primaryCount = present === 'sidecar' ? 1 : 3
  for (const [client, tour] of Object.entries(clients)) {
    await t.test(client, async (t) => {
      await backend.clear()
      await tour(t, { proxied, protocol, primaryCount })
    })
  }
}

const programSteps = ['data', 'pipelines', 'transactions', 'scripts', 'blocking', 'messages']

async function tryProgram(
  t: TestContext,
  prepare: () => Promise<Tour>,
  { proxied, protocol, primaryCount }: ClusterTour,
): Promise<void> {
  const tour = await prepare()
  if ('skip' in tour) return t.skip(tour.skip)
  const { username, password } = proxied.login
  const mode = prepare === goRedisTour ? `cluster:${primaryCount}` : String(primaryCount)
  const words = [String(proxied.port), String(protocol), mode]
  const login = username && password ? [username, password] : []
  const steps = await runTour(t, [...tour, ...words, ...login] as unknown as [string], proxied)
  assert.deepEqual(
    steps,
    programSteps.map((step) => `ok ${step}`),
  )
}

async function tryRedisCli(t: TestContext, tour: ClusterTour): Promise<void> {
  if (cli === undefined) return t.skip('redis-cli: neither it nor valkey-cli is installed')
  const { proxied, protocol, primaryCount } = tour
  const { username, password } = proxied.login
  const login = username && password ? ['--user', username, '--pass', password] : []
  const at = ['-h', '127.0.0.1', '-p', String(proxied.port), '--no-auth-warning', ...login]
  const ask = (...words: string[]) => run(cli, [...at, '-c', `-${protocol}`, ...words])
  for (const key of ['a', 'b', 'c', 'd']) {
    assert.equal(await ask('SET', key, `is ${key}`), 'OK\n')
    assert.equal(await ask('GET', key), `is ${key}\n`)
  }
  if (primaryCount === 1) assert.equal(await ask('MGET', 'a', 'b', 'c'), 'is a\nis b\nis c\n')
  const place = `127.0.0.1:${proxied.port}`
  const check = await run(cli, ['--no-auth-warning', ...login, '--cluster', 'check', place])
  assert.match(check, /\[OK\] All nodes agree about slots configuration/)
  assert.match(check, /\[OK\] All 16384 slots covered/)
  // Of nodes it takes the sidecar for one of them, the one that answered, and counts its keys.
  if (primaryCount > 1) return
  const info = await run(cli, ['--no-auth-warning', ...login, '--cluster', 'info', place])
  assert.match(info, /\[OK\] 4 keys in 1 (masters|primaries)/)
}

/** What it prints. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}
