/**
 * Three servers, over which keys are spread as over the slots of a cluster, answer like one: what is planned, split and
 * merged for them is compared with what a fourth server replies that has all keys, byte by byte, in both protocols.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keySlot } from '../../../common/redis/slots.ts'
import { readCommandFile } from '../../../scripts/generate/commands.ts'
import { factsIn } from '../../../scripts/generate/commands-model.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { mergeReplies } from '../../../sidecar/route/merge/merge-replies.ts'
import { RoutePlanner } from '../../../sidecar/route/plan.ts'
import { planScan, type ScanPlace, scanReply } from '../../../sidecar/route/scan.ts'
import { keyOrder, splitCommand } from '../../../sidecar/route/split.ts'
import { Random } from '../../sim/random.ts'
import { type ServerProgram, seriesStates } from '../../support/server-versions.ts'
import { startServer } from '../../support/servers.ts'
import { type Client, connect } from '../sidecar/harness.ts'

const seed = 1 + Math.floor(Date.now() % 1_000_000)
const commandCount = process.env['RESPMESH_TEST_SIZE'] === 'full' ? 5000 : 250
const shardCount = 3
const file = await readCommandFile()
const places = {
  kind: 'cluster' as const,
  hashOf: keySlot,
  isTogether: (hash: number, other: number) => hash === other,
  shardOf: (slot: number) => slot % shardCount,
}

for (const state of await seriesStates()) {
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  const name = `three of ${state.name} ${state.series} answer like one (seed ${seed})`
  test(name, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind === 'found') await compare(t, state.program, `${state.name} ${state.series}`)
  })
}

async function compare(t: TestContext, program: ServerProgram, series: string): Promise<void> {
  const servers = []
  for (let index = 0; index <= shardCount; index += 1) {
    const server = await startServer({ program, args: ['--slowlog-log-slower-than', '-1'] })
    t.after(() => server.stop())
    servers.push(server)
  }
  const random = new Random(seed)
  const hasMsetex = factsIn(file, series).has('msetex')
  for (const protocol of ['2', '3']) {
    const clients: Client[] = []
    for (const { port } of servers) {
      const client = await connect(t, port)
      await client.ask('HELLO', protocol)
      await client.ask('FLUSHALL')
      clients.push(client)
    }
    const [one, ...shards] = clients as [Client, ...Client[]]
    const commands = Array.from({ length: commandCount }, () => drawCommand(random, hasMsetex))
    const expected = await askOne(one, commands)
    const backend = new Shards(shards)
    const told = await backend.ask(commands)
    for (const [index, words] of commands.entries()) {
      const replies = [told[index] ?? '', expected[index] ?? ''].map((reply) =>
        comparable(words, reply),
      )
      assert.equal(replies[0], replies[1], `${index}: ${words.join(' ')}`)
    }
    await compareScan(one, backend)
    assert.ok(backend.splitCount > commandCount / 5, 'most commands are split')
  }
}

async function compareScan(one: Client, backend: Shards): Promise<void> {
  const keys = ['a', 'b', 'c', '1', '2', '3', '4', '5', '6'].flatMap((name) => [name, 'v'])
  await askOne(one, [['MSET', ...keys]])
  await backend.ask([['MSET', ...keys]])
  const found: string[] = []
  let cursor = '0'
  do {
    const [reply = ''] = await backend.ask([['SCAN', cursor, 'COUNT', '3']])
    const [told = '', ...some] = bulksOf(reply)
    found.push(...some)
    cursor = told
  } while (cursor !== '0')
  const [all = ''] = await askOne(one, [['KEYS', '*']])
  assert.deepEqual([...new Set(found)].toSorted(), bulksOf(all).toSorted())
}

/** What is sent for a command, and what becomes of the replies. */
interface Sent {
  readonly parts: readonly {
    readonly shard: number
    readonly bytes: Buffer
    readonly count: number
  }[]
  readonly join: (replies: readonly Buffer[]) => Buffer | undefined
}

class Shards {
  splitCount = 0
  private readonly clients: readonly Client[]
  private readonly planner = new RoutePlanner()

  constructor(clients: readonly Client[]) {
    this.clients = clients
  }

  /** Sends all, then waits for the replies. */
  async ask(commands: readonly (readonly string[])[]): Promise<readonly string[]> {
    const sent = commands.map((words) => this.plan(words))
    for (const { shard, bytes } of sent.flatMap(({ parts }) => parts))
      this.clients[shard]?.send(bytes)
    const told: string[] = []
    for (const [index, { parts, join }] of sent.entries()) {
      const replies: Buffer[] = []
      for (const { shard, count } of parts) {
        const some = (await this.clients[shard]?.replies(count)) ?? []
        replies.push(Buffer.from(some.join(''), 'latin1'))
      }
      const merged = join(replies)
      assert.ok(merged, `${commands[index]?.join(' ')}: ${replies.join(' ')}`)
      told.push(merged.toString('latin1'))
    }
    return told
  }

  private plan(words: readonly string[]): Sent {
    const { planner } = this
    const bytes = encodeCommand(words)
    const kind = planner.plan(places, bytes, 0, bytes.length)
    const { traits, frame, hash } = planner
    assert.ok(traits, words.join(' '))
    const { merge } = traits
    const one = ([reply]: readonly Buffer[]) => reply
    const ofOne = (shard: number): Sent => ({ parts: [{ shard, bytes, count: 1 }], join: one })
    if (kind === 'shard') return ofOne(places.shardOf(hash))
    if (kind === 'anywhere') return ofOne(0)
    if (kind === 'scan') return scanned(planScan(frame, shardCount))
    if (kind === 'split') {
      this.splitCount += 1
      const split = splitCommand(frame, traits, places)
      const parts = split.map((part) => ({
        ...part,
        shard: part.shard ?? 0,
        count: part.commands.length,
      }))
      return {
        parts,
        join: (replies) => mergeReplies(merge, replies, { keyOrder: keyOrder(split) }),
      }
    }
    assert.match(kind, /^(allShards|allNodes)$/, words.join(' '))
    const parts = this.clients.map((_, shard) => ({ shard, bytes, count: 1 }))
    return { parts, join: (replies) => mergeReplies(merge, replies) }
  }
}

function scanned(place: ScanPlace | undefined): Sent {
  assert.ok(place)
  const { shard } = place
  return {
    parts: [{ ...place, count: 1 }],
    join: ([reply]) => reply && scanReply(reply, shard, shardCount),
  }
}

function askOne(
  client: Client,
  commands: readonly (readonly string[])[],
): Promise<readonly string[]> {
  client.send(Buffer.concat(commands.map(encodeCommand)))
  return client.replies(commands.length)
}

const script = 'return 1'
const sha = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db'
const library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"

function drawCommand(random: Random, hasMsetex: boolean): readonly string[] {
  const key = () =>
    random.pick(['a', 'b', 'c', '{a}1', '{b}\r\n', '', 'k1', 'k2', 'k3', '{}', '\0\xff'])
  const keys = () => Array.from({ length: 1 + random.below(8) }, key)
  const pairs = () => keys().flatMap((name) => [name, random.pick(['', 'v', '\r\n$-1\r\n', '12'])])
  const chance = random.next()
  if (chance < 0.25) return ['MGET', ...keys()]
  if (chance < 0.45) return ['mset', ...pairs()]
  if (chance < 0.65) return [random.pick(['EXISTS', 'TOUCH', 'EXISTS', 'DEL', 'UNLINK']), ...keys()]
  if (chance < 0.75)
    return random.pick([
      ['SET', key(), 'v'],
      ['GET', key()],
      ['LPUSH', key(), 'x'],
    ])
  if (chance < 0.8 && hasMsetex) {
    const all = pairs()
    return ['MSETEX', String(all.length / 2), ...all, 'EX', '1000']
  }
  return random.pick([
    ['DBSIZE'],
    ['KEYS', '*'],
    ['KEYS', random.pick(['k?', 'none'])],
    ['SCRIPT', 'LOAD', script],
    ['SCRIPT', 'EXISTS', sha, 'f'.repeat(40)],
    ['SCRIPT', 'FLUSH'],
    ['SCRIPT', 'KILL'],
    ['FUNCTION', 'LOAD', 'REPLACE', library],
    ['FUNCTION', 'LOAD', library],
    ['FUNCTION', 'STATS'],
    ['FUNCTION', 'FLUSH'],
    ['FUNCTION', 'DELETE', 'lib'],
    ['PUBSUB', 'CHANNELS'],
    ['PUBSUB', 'NUMSUB', 'a', 'b'],
    ['PUBSUB', 'NUMPAT'],
    ['CONFIG', 'SET', 'slowlog-log-slower-than', '-1'],
    ['SLOWLOG', 'RESET'],
    ['SLOWLOG', 'LEN'],
    ['WAIT', '0', '0'],
    ['FLUSHALL'],
    ['FLUSHALL', 'nonsense'],
    ['MGET'],
    ['PING'],
  ])
}

/** Keys are told in any order. */
function comparable(words: readonly string[], reply: string): string {
  const isAnyOrder = words[0] === 'KEYS' && !reply.startsWith('-')
  return isAnyOrder ? bulksOf(reply).toSorted().join('\n') : reply
}

/** Every bulk of a reply, in order. */
function bulksOf(reply: string): readonly string[] {
  const found: string[] = []
  let at = 0
  while (at < reply.length) {
    const lineEnd = reply.indexOf('\r\n', at)
    if (reply[at] === '$') {
      const length = Number(reply.slice(at + 1, lineEnd))
      found.push(reply.slice(lineEnd + 2, lineEnd + 2 + length))
      at = lineEnd + length + 4
    } else at = lineEnd + 2
  }
  return found
}
