/** `respmesh up` plays the example of each mode with real servers, and the sidecars in front of them serve. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RespClient } from '../../../operator/local/resp-client.ts'
import { freePort, until } from '../../support/servers.ts'

const root = new URL('../../../', import.meta.url).pathname
const readyMs = 40_000
const keyCount = 120

interface Up {
  readonly child: ChildProcess
  readonly temporary: string
  readonly port: number
  output(): string
  /** Addresses in a row of the block that is printed when all is ready. */
  row(name: string): readonly string[]
}

async function up(t: TestContext, example: string): Promise<Up> {
  const temporary = mkdtempSync(join(tmpdir(), 'respmesh-modes-'))
  const [port, consolePort] = [await freePort(), await freePort()]
  const flags = ['-f', `examples/${example}`, '--with-servers', '--port', String(port)]
  const child = spawn(
    process.execPath,
    ['cli/main.ts', 'up', ...flags, '--console-port', String(consolePort)],
    { cwd: root, env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    rmSync(temporary, { recursive: true, force: true })
  })
  const started: Up = {
    child,
    temporary,
    port,
    output: () => output,
    row: (name) => new RegExp(`^  ${name} +(.+)$`, 'm').exec(output)?.[1]?.split(', ') ?? [],
  }
  await until('it is ready', () => /respmesh is ready/.test(output), readyMs).catch((error) => {
    throw new Error(output, { cause: error })
  })
  return started
}

async function clientOf(t: TestContext, port: number): Promise<RespClient> {
  const client = await RespClient.connect(port)
  t.after(() => client.close())
  return client
}

const portIn = (address: string) => Number(address.split(':')[1])

/** Writes and reads through the sidecar; gives how many keys each of `servers` has then. */
async function spread(
  t: TestContext,
  { port }: Up,
  servers: readonly string[],
): Promise<readonly number[]> {
  const client = await clientOf(t, port)
  const keys = Array.from({ length: keyCount }, (_, index) => `user:${index * 7919}:profile`)
  for (const key of keys) assert.equal(await client.call('SET', key, key), 'OK')
  assert.deepEqual(await client.call('MGET', ...keys), keys)
  const sizes = servers.map(async (address) => {
    const server = await clientOf(t, portIn(address))
    return Number(await server.call('DBSIZE'))
  })
  return Promise.all(sizes)
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0)

test('a cluster of three primaries and three replicas', async (t) => {
  const running = await up(t, 'redisproxy-cluster.yaml')
  assert.match(running.output(), /cluster +3 shards, 16384\/16384 slots/)
  assert.equal(running.row('replicas').length, 3)
  const sizes = await spread(t, running, running.row('primaries'))
  assert.equal(sum(sizes), keyCount)
  assert.ok(
    sizes.every((size) => size > 0),
    `keys are in ${sizes.join(', ')}`,
  )
  running.child.kill('SIGTERM')
  await once(running.child, 'exit')
  assert.deepEqual(readdirSync(running.temporary), [], 'nothing is left behind')
})

test('a ring of three servers', async (t) => {
  const running = await up(t, 'redisproxy-ring.yaml')
  const sizes = await spread(t, running, running.row('ring'))
  assert.equal(sum(sizes), keyCount)
  assert.ok(
    sizes.every((size) => size > 0),
    `keys are in ${sizes.join(', ')}`,
  )
})

test('a primary with replicas that are read from', async (t) => {
  const running = await up(t, 'redisproxy-reads.yaml')
  const client = await clientOf(t, running.port)
  assert.equal(await client.call('SET', 'k', 'v'), 'OK')
  const reader = await clientOf(t, running.port)
  const reads = await Promise.all(
    running.row('replicas').map(async (address) => clientOf(t, portIn(address))),
  )
  const served = async () => {
    // Another client wrote it: a replica may not have it yet.
    if ((await reader.call('GET', 'k')) !== 'v') return false
    const stats = await Promise.all(reads.map((replica) => replica.call('INFO', 'commandstats')))
    return stats.every((text) => /cmdstat_get:/.test(String(text)))
  }
  await until('both replicas are read from', served, 10_000)
})

test('a primary that Sentinels replace', async (t) => {
  const running = await up(t, 'redisproxy-sentinel.yaml')
  assert.equal(running.row('Sentinels').length, 3)
  const client = await clientOf(t, running.port)
  assert.equal(await client.call('SET', 'k', 'v'), 'OK')
  const pid = Number(/kill -9 (\d+)/.exec(running.output())?.[1])
  const [former] = running.row('primary')
  process.kill(pid, 'SIGKILL')
  const write = async () => {
    try {
      return (await client.call('SET', 'k', 'after')) === 'OK'
    } catch {
      return false
    }
  }
  await until('writes go on', write, readyMs)
  const replicas = running.row('replicas')
  const roles = await Promise.all(
    replicas.map(async (address) => {
      const [role] = (await (await clientOf(t, portIn(address))).call('ROLE')) as string[]
      return role
    }),
  )
  assert.ok(roles.includes('master'), `${former} was replaced by one of ${replicas.join(', ')}`)
})
