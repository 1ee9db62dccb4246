/** What becomes of commands when servers of a cluster stop, end or do not answer. */
import assert from 'node:assert/strict'
import { type TestContext, after, before, test } from 'node:test'
import type { ClusterNode, RedisCluster } from '../../support/cluster.ts'
import { startCluster } from '../../support/cluster.ts'
import { encodeCommand, startServer, until } from '../../support/servers.ts'
import { type Client, configFor } from '../sidecar/harness.ts'
import { planeBefore } from './rig.ts'

const shardCount = 3
let cluster: RedisCluster
let nodes: readonly ClusterNode[]
let keys: readonly string[]

before(async () => {
  // Nobody is to be called failed here.
  cluster = await startCluster({
    primaries: shardCount,
    replicasPerPrimary: 0,
    nodeTimeoutMs: 60_000,
  })
  nodes = cluster.nodes
  keys = await Promise.all(nodes.map((_, shard) => cluster.keyOf(shard)))
})
after(() => cluster.stop())

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const [first, second, third] = [0, 1, 2].map((shard) => () => keys[shard] as string) as [
  () => string,
  () => string,
  () => string,
]

/** Stops a server until the function is called, or the test ends. */
function stop(t: TestContext, shard: number): () => void {
  const { server } = nodes[shard] as ClusterNode
  server.signal('SIGSTOP')
  const goOn = () => server.signal('SIGCONT')
  t.after(goOn)
  return goOn
}

/** Has the sidecar know that the client's replies are small. */
async function practise(client: Client): Promise<void> {
  for (let round = 0; round < 10; round += 1) {
    client.send(
      keys
        .map((key) => encodeCommand(['EXISTS', key]))
        .join('')
        .repeat(8),
    )
    await client.replies(24)
  }
}

async function endConnections(node: ClusterNode): Promise<void> {
  await node.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
}

test('one shard that stops delays nobody who asks the others', async (t) => {
  const { client } = await planeBefore(t, cluster)
  const [waiting, one] = [await client(), await client()]
  await waiting.ask('SET', first(), 'x')
  await one.ask('SET', second(), 'y')
  const goOn = stop(t, 0)
  waiting.send(encodeCommand(['GET', first()]) + encodeCommand(['GET', second()]))
  for (let round = 0; round < 40; round += 1) {
    assert.equal(await one.ask('GET', second()), bulk('y'))
    assert.equal(await one.ask('SET', third(), String(round)), '+OK\r\n')
  }
  assert.equal(waiting.text(), '', 'replies keep their order')
  goOn()
  assert.deepEqual(await waiting.replies(2), [bulk('x'), bulk('y')])
})

test('what a stopped server does not take is refused in time, and the rest is not', async (t) => {
  const { client, plane } = await planeBefore(t, cluster, { timing: { queueTimeoutMs: 300 } })
  const [waiting, one] = [await client(), await client()]
  await waiting.ask('SET', first(), 'x')
  await practise(one)
  stop(t, 0)
  waiting.send(encodeCommand(['GET', first()]))
  await until('it is found silent', () => plane.view().counters.upstreamStalls === 1)
  one.send(encodeCommand(['SET', second(), 'y']) + encodeCommand(['GET', first()]))
  assert.equal(await one.reply(), '+OK\r\n')
  assert.match(await one.reply(), /^-PROXY RM_OVERLOADED /)
  assert.equal(await one.ask('GET', second()), bulk('y'))
})

test('a read whose connection ends is sent again, a write is not', async (t) => {
  const { client, plane } = await planeBefore(t, cluster)
  const one = await client()
  await one.ask('SET', first(), 'x')
  await one.ask('SET', second(), 'y')
  await practise(one)
  const counter = `{${first()}}count`
  const frames = [
    ['GET', first()],
    ['INCR', counter],
    ['GET', first()],
    ['GET', second()],
  ]
  let counted = 0
  let lost = 0
  for (let round = 0; round < 3; round += 1) {
    const goOn = stop(t, 0)
    one.send(frames.map((words) => encodeCommand(words)).join(''))
    const { upstreamBytesWritten } = plane.view().counters
    // The one for the other server may have been answered by then.
    await until('they are sent', () => {
      const view = plane.view()
      return view.inFlightCommands >= 3 && view.counters.upstreamBytesWritten > upstreamBytesWritten
    })
    const ended = endConnections(nodes[0] as ClusterNode)
    goOn()
    await ended
    const [a, count, b, c] = await one.replies(4)
    assert.deepEqual([a, b, c], [bulk('x'), bulk('x'), bulk('y')])
    assert.match(String(count), /^(:\d+\r\n|-PROXY RM_UPSTREAM_LOST )/)
    if (String(count).startsWith(':')) counted += 1
    else lost += 1
  }
  const total = Number(/\d+/.exec((await one.ask('GET', counter)).split('\r\n')[1] ?? '0')?.[0])
  assert.ok(total >= counted && total <= counted + lost, `${total} of ${counted} and ${lost}`)
})

test('a server that cannot be reached costs its own commands an error and no others', async (t) => {
  const { client } = await planeBefore(t, cluster, { timing: { holdTimeoutMs: 300 } })
  const one = await client()
  for (const key of keys) await one.ask('SET', key, key)
  await practise(one)
  const gone = nodes[2] as ClusterNode
  await gone.server.kill()
  t.after(() => gone.server.restart())
  const commands = [first(), third(), second(), third(), first()]
  one.send(commands.map((key) => encodeCommand(['GET', key])).join(''))
  const replies = await one.replies(5)
  for (const [at, key] of commands.entries()) {
    if (key === third()) assert.match(replies[at] as string, /^-(PROXY|CLUSTERDOWN) /)
    else assert.equal(replies[at], bulk(key))
  }
  assert.equal(await one.ask('GET', first()), bulk(first()))
})

test('large values of all shards come whole and in order, at the pace of who reads them', async (t) => {
  const limits = { clientOutputBytesMax: 64 * 1024 }
  const { client, plane } = await planeBefore(t, cluster, { limits })
  const [one, other] = [await client(), await client()]
  const values = keys.slice(0, 2).map((_, at) => String(at).repeat(300_000))
  for (const at of [0, 1]) await one.ask('SET', `{${keys[at]}}large`, values[at] as string)
  await practise(one)
  one.socket.pause()
  const order = Array.from({ length: 40 }, (_, at) => at % 2)
  one.send(order.map((at) => encodeCommand(['GET', `{${keys[at]}}large`])).join(''))
  await until('replies come', () => plane.view().counters.upstreamBytesRead > 600_000)
  for (let round = 0; round < 40; round += 1) {
    assert.equal(await other.ask('SET', keys[round % 2] as string, 'x'), '+OK\r\n')
  }
  one.socket.resume()
  for (const at of order) assert.equal(await one.reply(), bulk(values[at] as string))
})

test('clients go from a cluster to one server and back without an error', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const { client, plane, config } = await planeBefore(t, cluster)
  const clients = await Promise.all(Array.from({ length: 4 }, () => client()))
  const moving = { isOver: false }
  const work = clients.map(async (one, number) => {
    for (let round = 0; !moving.isOver; round += 1) {
      const frames = keys.map((key) => encodeCommand(['SET', `{${key}}${number}`, String(round)]))
      one.send(frames.join('') + encodeCommand(['PING']))
      assert.deepEqual(await one.replies(4), ['+OK\r\n', '+OK\r\n', '+OK\r\n', '+PONG\r\n'])
    }
  })
  for (let version = 1; version <= 6; version += 1) {
    const next = version % 2 === 1 ? configFor(server) : config
    await plane.switchTo({ ...next, version })
    const { commands } = plane.view().counters
    await until('commands pass', () => plane.view().counters.commands > commands + 50)
  }
  moving.isOver = true
  await Promise.all(work)
  assert.equal(plane.view().counters.commandsLost, 0)
})
