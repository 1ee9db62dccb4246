/** Writes that wait for replicas: what a client was told of is on as many replicas as were asked for, whatever it sent. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import type { LocalDataPlane } from '../../../sidecar/data-plane.ts'
import { type ReplicatedServers, startReplicated } from '../../support/replicas.ts'
import { seriesStates } from '../../support/server-versions.ts'
import {
  type Client,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'

const unconfirmed = (count: number, wanted: number) =>
  `-RM_UNCONFIRMED ${count} of ${wanted} replicas confirmed the write in time; it was run and may be lost in a failover\r\n`
const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const everyDay: readonly string[] = ['redis 7.0', 'valkey 8.1']

interface Rig {
  readonly servers: ReplicatedServers
  readonly plane: LocalDataPlane
  client(): Promise<Client>
  /** None of the replicas takes anything until `go`. */
  halt(): void
  go(): void
}

async function start(
  t: TestContext,
  program: { readonly command: readonly string[] },
  upstream: Partial<ProxyConfig['upstream']>,
  allow: readonly string[] = [],
): Promise<Rig> {
  const servers = await startReplicated({ program })
  t.after(() => servers.stop())
  const plane = await startPlane(t, { ...configOf(servers, upstream), commands: { allow } })
  return {
    servers,
    plane,
    client: () => connect(t, portOf(plane)),
    halt: () => servers.replicas.forEach((replica) => servers.pause(replica)),
    go: () => servers.replicas.forEach((replica) => servers.resume(replica)),
  }
}

function configOf({ primary }: ReplicatedServers, upstream: Partial<ProxyConfig['upstream']>) {
  return configFor(primary, { upstream: { mode: 'replication', ...upstream } })
}

const pipeline = (...commands: readonly (readonly string[])[]) =>
  commands.map((words) => encodeCommand(words)).join('')

/** Long enough for a replica that runs, however busy the machine is. */
const patient = { waitReplicas: 2, waitTimeoutMs: 20_000 }
const hasty = { waitReplicas: 1, waitTimeoutMs: 300 }

for (const state of await seriesStates()) {
  const name = `${state.name} ${state.series}`
  if (!isFull && !everyDay.includes(name)) continue
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  const program = state.kind === 'missing' ? { command: [] } : state.program

  test(`${name}: what is acknowledged is on the replicas by then`, { skip }, async (t) => {
    const rig = await start(t, program, { writes: patient })
    const client = await rig.client()
    const told = async (key: string) => {
      const values = rig.servers.replicas.map(({ server }) => server.command('GET', key))
      return [...new Set(await Promise.all(values))].join()
    }
    for (let value = 0; value < 20; value += 1) {
      assert.equal(await client.ask('SET', 'a', String(value)), '+OK\r\n')
      assert.equal(await told('a'), `$${String(value).length}\r\n${value}\r\n`)
    }
    const count = 2000
    const lines = Array.from({ length: count }, (_, index) =>
      encodeCommand(['SET', `p${index}`, 'x']),
    )
    client.send(lines.join(''))
    for (let index = 0; index < count; index += 1) assert.equal(await client.reply(), '+OK\r\n')
    assert.equal(await told(`p${count - 1}`), '$1\r\nx\r\n')
    const { counters } = rig.plane.view()
    assert.ok(counters.commits >= 21 && counters.commits < 1000, String(counters.commits))
    assert.equal(counters.writesUnconfirmed, 0)
  })

  test(`${name}: while replicas stand still no write is acknowledged, and all read on`, {
    skip,
  }, async (t) => {
    const rig = await start(t, program, { writes: patient })
    const [writer, reader] = [await rig.client(), await rig.client()]
    assert.equal(await writer.ask('SET', 'a', '1'), '+OK\r\n')
    rig.halt()
    writer.send(pipeline(['GET', 'a'], ['SET', 'a', '2'], ['GET', 'a']))
    await until(
      'the primary has it',
      async () => (await rig.servers.primary.command('GET', 'a')) === '$1\r\n2\r\n',
    )
    for (let index = 0; index < 20; index += 1)
      assert.equal(await reader.ask('GET', 'a'), '$1\r\n2\r\n')
    assert.doesNotMatch(writer.text(), /OK/)
    rig.go()
    assert.deepEqual(await writer.replies(3), ['$1\r\n1\r\n', '+OK\r\n', '$1\r\n2\r\n'])
  })

  test(`${name}: whatever a client writes with, it is told what was not confirmed`, {
    skip,
  }, async (t) => {
    const rig = await start(t, program, { writes: hasty })
    const client = await rig.client()
    const popper = await rig.client()
    for (const list of ['l', 'm']) await client.ask('RPUSH', list, 'x', 'y')
    const blocked = popper.ask('BLPOP', 'empty', '0')
    const { primary } = rig.servers
    await until('it waits', async () => (await primary.info('blocked_clients')) === '1')
    // On a busy machine replicas may have been too late before.
    const before = rig.plane.view().counters.writesUnconfirmed
    rig.halt()
    const error = unconfirmed(0, 1)
    await primary.command('RPUSH', 'empty', 'x')
    assert.equal(await blocked, error)
    const asked = async (...words: string[]) =>
      assert.equal(await client.ask(...words), error, words.join(' ').slice(0, 40))
    await asked('SET', 'a', '1')
    await asked('EVAL', 'return redis.call("SET", "a", "2")', '0')
    await asked('BLPOP', 'l', '1')
    await asked('GETEX', 'a', 'EX', '100')
    await asked('SORT', 'm', 'ALPHA', 'STORE', 'sorted')
    await asked('SET', 'large', 'x'.repeat(1 << 20))
    assert.equal(await client.ask('BLPOP', 'empty', '0.01'), '*-1\r\n')
    assert.match(await client.ask('LPUSH', 'a', '1'), /^-WRONGTYPE/)
    assert.equal(await client.ask('MULTI'), '+OK\r\n')
    assert.equal(await client.ask('SET', 'a', '3'), '+QUEUED\r\n')
    assert.equal(await client.ask('GET', 'a'), '+QUEUED\r\n')
    assert.equal(await client.ask('EXEC'), error)
    assert.equal(await client.ask('GET', 'a'), '$1\r\n3\r\n')
    assert.equal(await client.ask('WAIT', '1', '10'), ':0\r\n')
    client.send(pipeline(['CLIENT', 'REPLY', 'SKIP'], ['SET', 'a', '4'], ['GET', 'a']))
    assert.equal(await client.reply(), '$1\r\n4\r\n')
    assert.equal(rig.plane.view().counters.writesUnconfirmed - before, 9)
    rig.go()
    await until('replicas follow', async () => (await client.ask('SET', 'a', '5')) === '+OK\r\n')
    assert.equal(await client.ask('BLPOP', 'm', '1'), '*2\r\n$1\r\nm\r\n$1\r\nx\r\n')
  })

  test(`${name}: connections of clients’ own, messages and RESP3 keep their order`, {
    skip,
  }, async (t) => {
    const rig = await start(t, program, { writes: hasty, isolation: 'perClient' }, ['monitor'])
    const client = await rig.client()
    await client.ask('HELLO', '3')
    assert.equal(await client.ask('CLIENT', 'TRACKING', 'ON'), '+OK\r\n')
    assert.match(await client.ask('SUBSCRIBE', 'c'), /^>3/)
    assert.equal(await client.ask('GET', 'a'), '_\r\n')
    client.send(pipeline(['SET', 'a', '1'], ['GET', 'a'], ['PUBLISH', 'c', 'm'], ['SET', 'b', '1']))
    const replies = await client.replies(6)
    const isPush = (reply: string) => reply.startsWith('>')
    assert.deepEqual(
      replies.filter((reply) => !isPush(reply)),
      ['+OK\r\n', '$1\r\n1\r\n', ':1\r\n', '+OK\r\n'],
    )
    assert.match(replies.filter(isPush).join(), /invalidate.*message/s)
    rig.halt()
    assert.equal(await client.ask('SET', 'b', '1'), unconfirmed(0, 1))
    rig.go()
    assert.equal(await client.ask('MONITOR'), '+OK\r\n')
    client.send(encodeCommand(['SET', 'b', '2']))
    // Nobody could tell it when that is confirmed.
    await until('it is closed', () => client.isClosed)
    assert.equal(await rig.servers.primary.command('GET', 'b'), '$1\r\n1\r\n')
  })

  test(`${name}: where reads go to replicas, writes and what is read behind them stay in order`, {
    skip,
  }, async (t) => {
    const rig = await start(t, program, { writes: patient })
    const { primary, replicas } = rig.servers
    const members = [primary, ...replicas.map(({ server }) => server)]
    await rig.plane.apply({
      ...configOf(rig.servers, { writes: patient, reads: { policy: 'readsToReplicas' } }),
      version: 2,
      upstream: {
        ...configOf(rig.servers, { writes: patient, reads: { policy: 'readsToReplicas' } })
          .upstream,
        members: members.map(({ host, port }, index) => ({
          host,
          port,
          role: index === 0 ? 'primary' : 'replica',
        })),
      },
    })
    const client = await rig.client()
    const sent: string[] = []
    const wanted: string[] = []
    for (let value = 10; value < 60; value += 1) {
      sent.push(encodeCommand(['SET', 'a', String(value)]), encodeCommand(['GET', 'a']))
      wanted.push('+OK\r\n', `$2\r\n${value}\r\n`)
    }
    client.send(sent.join(''))
    assert.deepEqual(await client.replies(wanted.length), wanted)
    assert.equal(await client.ask('GET', 'a'), '$2\r\n59\r\n')
    assert.ok(rig.plane.view().counters.commits > 0)
  })
}

for (const state of await seriesStates()) {
  const name = `${state.name} ${state.series}`
  if (!isFull && !everyDay.includes(name)) continue
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  test(`${name}: a client that waits for replicas itself is told of what it wrote`, {
    skip,
  }, async (t) => {
    const program = state.kind === 'missing' ? { command: [] } : state.program
    const rig = await start(t, program, {})
    const client = await rig.client()
    assert.equal(await client.ask('SET', 'a', '1'), '+OK\r\n')
    assert.equal(await client.ask('WAIT', '2', '20000'), ':2\r\n')
    rig.halt()
    assert.equal(await client.ask('SET', 'a', '2'), '+OK\r\n')
    assert.equal(await client.ask('WAIT', '1', '50'), ':0\r\n')
  })
}

test('a changed rule holds from the next write on, and what waits is given up with its connection', async (t) => {
  const servers = await startReplicated()
  t.after(() => servers.stop())
  const plane = await startPlane(t, configOf(servers, {}))
  const client = await connect(t, portOf(plane))
  for (const replica of servers.replicas) servers.pause(replica)
  assert.equal(await client.ask('SET', 'a', '1'), '+OK\r\n')
  await plane.apply({ ...configOf(servers, { writes: hasty }), version: 2 })
  assert.equal(await client.ask('SET', 'a', '2'), unconfirmed(0, 1))
  await plane.apply({
    ...configOf(servers, { writes: { ...patient, waitTimeoutMs: 60_000 } }),
    version: 3,
  })
  client.send(encodeCommand(['SET', 'a', '3']))
  await until(
    'it was run',
    async () => (await servers.primary.command('GET', 'a')) === '$1\r\n3\r\n',
  )
  assert.equal(client.text(), '')
  await servers.primary.kill()
  assert.match(await client.reply(), /^-PROXY RM_UPSTREAM_LOST/)
})
