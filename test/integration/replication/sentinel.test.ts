/** The primary that real Sentinels name. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import { verifyConfig } from '../../../sidecar/verify/index.ts'
import { type SentinelOptions, type SentinelRig, startSentinels } from '../../support/sentinel.ts'
import { type RedisServer, startServer, until } from '../../support/servers.ts'
import { type Front, at, knows, reads, replicatedConfig, startFront } from './harness.ts'
import { callsOf } from './load.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'

async function rigFor(t: TestContext, options: SentinelOptions = {}): Promise<SentinelRig> {
  const rig = await startSentinels(options)
  t.after(() => rig.stop())
  return rig
}

/** The members that are configured are nobody: all is learnt from the Sentinels. */
function frontOf(
  t: TestContext,
  rig: SentinelRig,
  upstream: Partial<UpstreamConfig> = {},
): Promise<Front> {
  const members = rig.sentinels.map(({ host, port }) => ({ host, port }))
  return startFront(
    t,
    replicatedConfig([{ host: '127.0.0.1', port: 1 }], {
      discovery: 'sentinel',
      sentinel: { name: rig.name, members },
      reads,
      ...upstream,
    }),
  )
}

test('one Sentinel is enough to know all; a failover is followed at once, without it', async (t) => {
  const rig = await rigFor(t, { password: 'data', sentinelPassword: 'watch' })
  const [one] = rig.sentinels
  assert.ok(one)
  process.env['RESPMESH_TEST_DATA'] = 'data'
  process.env['RESPMESH_TEST_WATCH'] = 'watch'
  const front = await frontOf(t, rig, {
    credentials: { password: { env: 'RESPMESH_TEST_DATA' } },
    sentinel: {
      name: rig.name,
      members: [{ host: one.host, port: one.port }],
      credentials: { password: { env: 'RESPMESH_TEST_WATCH' } },
    },
  })
  const [primary, ...replicas] = rig.servers
  assert.ok(primary)
  await knows(front, primary, replicas)
  const client = await front.client()
  assert.equal(await client.ask('SET', 'a', '0'), '+OK\r\n')
  await readFrom(front, replicas)
  const epoch = front.keeper.config?.epoch ?? 0
  // The configured Sentinel goes, with the primary: those that it named tell of the next.
  await until('another Sentinel was asked', async () => (await asked(rig)) > 0)
  await rig.kill(one)
  // Sentinels elect one of them for a primary that died; that may take them long.
  if (isFull) await rig.killPrimary()
  const next = isFull ? await rig.primaryIsNot(primary) : await rig.failover()
  await until('it is followed', () => front.primary() === at(next))
  assert.ok((front.keeper.config?.epoch ?? 0) > epoch)
  assert.equal(await client.ask('SET', 'a', '1'), '+OK\r\n')
  assert.match(await next.command('GET', 'a'), /1\r\n$/)
  const others = replicas.filter((replica) => replica !== next)
  await readFrom(front, others)
})

/** Waits until each of them is read from. */
async function readFrom(front: Front, replicas: readonly RedisServer[]): Promise<void> {
  const client = await front.client()
  for (const replica of replicas) {
    const before = await callsOf(replica, 'get')
    await until('it is read from', async () => {
      await client.ask('GET', 'a')
      return (await callsOf(replica, 'get')) > before
    })
  }
}

async function asked(rig: SentinelRig): Promise<number> {
  const counts = rig.sentinels.slice(1).map(async (sentinel) => {
    const clients = await sentinel.command('CLIENT', 'LIST')
    return clients.split('cmd=sentinel').length - 1
  })
  return Math.max(...(await Promise.all(counts)))
}

test('a Sentinel that was away in a failover brings no old primary back', async (t) => {
  const rig = await rigFor(t)
  const front = await frontOf(t, rig)
  const [old, ...replicas] = rig.servers
  const [stale, ...others] = rig.sentinels
  assert.ok(old && stale)
  await knows(front, old, replicas)
  await rig.kill(stale)
  const next = await rig.failover()
  await until('it is followed', () => front.primary() === at(next))
  // What is left knows only what was before; the old primary, started again, says that it is one.
  for (const one of [...others, old, next]) await rig.kill(one)
  const lonely = await startServer({ port: old.port })
  t.after(() => lonely.stop())
  await rig.restart(stale)
  await until('it names the old one', async () => {
    const named = await stale.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', rig.name)
    return named.includes(String(old.port))
  })
  await front.lookedAgain()
  await front.lookedAgain()
  assert.equal(front.primary(), at(next))
})

test('one Sentinel that lies does not move a client from its primary', async (t) => {
  const rig = await rigFor(t, { sentinels: 2 })
  const foreign = await startServer()
  t.after(() => foreign.stop())
  const liar = await startLiar(t, foreign.port)
  const members = [liar, ...rig.sentinels].map(({ host, port }) => ({ host, port }))
  const front = await frontOf(t, rig, { sentinel: { name: rig.name, members } })
  const [primary, ...replicas] = rig.servers
  assert.ok(primary)
  await knows(front, primary, replicas)
  const next = await rig.failover()
  await until('the failover is followed', () => front.primary() === at(next))
  assert.ok(liar.questions > 1)
  // Nor does it before a configuration comes into force; who cannot be asked is told.
  const away = { host: '127.0.0.1', port: 1 }
  const config = replicatedConfig([primary], {
    discovery: 'sentinel',
    sentinel: { name: rig.name, members: [away, ...members.slice(1)] },
  })
  const verified = await verifyConfig(config, {
    env: process.env,
    current: undefined,
    connects: true,
  })
  assert.deepEqual(verified.reasons, [])
  assert.match(verified.remarks.join(), /Sentinel 127\.0\.0\.1:1: .*ECONNREFUSED/)
  assert.equal(verified.primary && at(verified.primary), at(next))
  assert.equal(await (await front.client()).ask('SET', 'a', '1'), '+OK\r\n')
  assert.match(await foreign.command('DBSIZE'), /^:0/)
})

interface Liar {
  readonly host: string
  readonly port: number
  readonly questions: number
}

/** Names a server that is none of the backend, with the newest failover of all. */
async function startLiar(t: TestContext, named: number): Promise<Liar> {
  const { createServer } = await import('node:net')
  let questions = 0
  const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
  const list = (...words: string[]) => `*${words.length}\r\n${words.map(bulk).join('')}`
  const server = createServer((socket) => {
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (!bytes.includes('MYID')) return
      questions += 1
      const fields = ['ip', '127.0.0.1', 'port', String(named), 'config-epoch', '999']
      const place = list('127.0.0.1', String(named))
      socket.write(`${list(...fields)}${place}*0\r\n*0\r\n${bulk('liar')}`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get questions() {
      return questions
    },
  }
}
