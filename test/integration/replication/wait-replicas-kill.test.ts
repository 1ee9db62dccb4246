/** A primary that dies under load: whatever clients were told was written is on the replica that is furthest ahead. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { type ReplicatedServers, startReplicated } from '../../support/replicas.ts'
import type { RedisServer } from '../../support/servers.ts'
import {
  type Client,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const rounds = isFull ? 10 : 2
const ackedMin = isFull ? 3000 : 600
const pipelineSize = 40
/** What the primary runs alone before it is killed: more than is acknowledged meanwhile by chance. */
const aloneBytes = 500
/** Looks in a row at which nothing more was acknowledged: it will not be. */
const stillLooks = 30

/** What writers were told: the last value of each key that was acknowledged, and how many were not. */
class Ledger {
  readonly acknowledged = new Map<string, number>()
  count = 0
  refused = 0

  /** Whether it was acknowledged. */
  take(key: string, value: number, reply: unknown): boolean {
    const isTold = reply === 'OK' || reply === '+OK\r\n'
    if (isTold) this.acknowledged.set(key, value)
    if (isTold) this.count += 1
    else this.refused += 1
    return isTold
  }
}

interface Writers {
  readonly running: readonly Promise<void>[]
  /** Libraries that could not connect again would not let it be. */
  stop(): void
}

type Write = (key: string, value: number) => Promise<unknown>

/** Writes rising values to a key until it is told that one failed. */
async function writeOn(ledger: Ledger, key: string, write: Write): Promise<void> {
  for (let value = 1; ; value += 1) {
    const reply = await write(key, value).catch(() => 'an error')
    if (!ledger.take(key, value, reply)) return
  }
}

async function pipelineOn(ledger: Ledger, key: string, client: Client): Promise<void> {
  for (let value = 1; !client.isClosed; ) {
    const values = Array.from({ length: pipelineSize }, (_, index) => value + index)
    client.send(values.map((one) => encodeCommand(['SET', key, String(one)])).join(''))
    for (const one of values) {
      const reply = await client.reply().catch(() => '-closed')
      if (!ledger.take(key, one, reply)) return
    }
    value += pipelineSize
  }
}

async function transact(client: Client, key: string, value: number): Promise<string> {
  client.send(
    [['MULTI'], ['SET', key, String(value)], ['EXEC']]
      .map((words) => encodeCommand(words))
      .join(''),
  )
  const [, , reply = ''] = await client.replies(3)
  return reply === '*1\r\n+OK\r\n' ? 'OK' : reply
}

async function startWriters(t: TestContext, ledger: Ledger, port: number): Promise<Writers> {
  const first = new Redis({
    port,
    host: '127.0.0.1',
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  const second = createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: false } })
  first.on('error', () => {})
  second.on('error', () => {})
  await second.connect()
  const several = [1, 2, 3, 4]
  const raw = await Promise.all(several.map(() => connect(t, port)))
  const others = await Promise.all(several.map(() => connect(t, port)))
  const stop = () => {
    first.disconnect()
    second.destroy()
  }
  const running = [
    ...several.map((index) => writeOn(ledger, `a${index}`, (key, value) => first.set(key, value))),
    ...several.map((index) => writeOn(ledger, `b${index}`, (key, value) => second.set(key, value))),
    ...others.map((client, index) =>
      writeOn(ledger, `c${index}`, (key, value) => transact(client, key, value)),
    ),
    ...raw.map((client, index) => pipelineOn(ledger, `d${index}`, client)),
  ]
  return { running, stop }
}

/** The server with the longest history, as whoever promotes one has to choose. */
async function bestOf({ replicas }: ReplicatedServers): Promise<RedisServer> {
  const offsets = await Promise.all(
    replicas.map(async ({ server }) => ({
      server,
      offset: Number(await server.info('slave_repl_offset')),
    })),
  )
  const best = offsets.toSorted((left, right) => right.offset - left.offset)[0]
  if (best === undefined) throw new Error('there is no replica')
  return best.server
}

test('whatever was acknowledged before the primary was killed is on the best replica', async (t) => {
  let refused = 0
  for (let round = 0; round < rounds; round += 1) {
    const servers = await startReplicated({ hasLinks: true })
    t.after(() => servers.stop())
    const writes = { waitReplicas: 1, waitTimeoutMs: 20_000 }
    const config = configFor(servers.primary, { upstream: { mode: 'replication', writes } })
    const plane = await startPlane(t, config)
    const ledger = new Ledger()
    const writers = await startWriters(t, ledger, portOf(plane))
    // One replica falls behind, so that it matters which one is chosen.
    const [behind] = servers.replicas
    await until('some is written', () => ledger.count >= ackedMin / 2)
    if (behind !== undefined) servers.pauseLink(behind)
    await until('more is written', () => ledger.count >= ackedMin, 30_000)
    // And then the primary runs on alone for a while.
    for (const replica of servers.replicas) servers.pauseLink(replica)
    const offset = async () => Number(await servers.primary.info('master_repl_offset'))
    const before = await offset()
    let stillCount = 0
    let last = 0
    await until('the primary has what nobody else has, or nobody writes', async () => {
      stillCount = ledger.count === last ? stillCount + 1 : 0
      last = ledger.count
      return stillCount === stillLooks || (await offset()) > before + aloneBytes
    })
    await servers.primary.kill()
    const acknowledged = new Map(ledger.acknowledged)
    const best = await bestOf(servers)
    for (const [key, value] of acknowledged) {
      const held = Number(/\r\n(\d+)\r\n$/.exec(await best.command('GET', key))?.[1])
      assert.ok(held >= value, `round ${round}: ${key} is ${held}, and ${value} was acknowledged`)
    }
    const lagging = await Promise.all(
      [...acknowledged].map(async ([key, value]) => {
        const held = /\r\n(\d+)\r\n$/.exec((await behind?.server.command('GET', key)) ?? '')?.[1]
        return Number(held ?? 0) < value
      }),
    )
    assert.ok(lagging.includes(true), 'the other replica has it all too, so that this told nothing')
    writers.stop()
    await plane.stop()
    await Promise.all(writers.running)
    refused += ledger.refused
  }
  assert.ok(refused > 0)
})
