/**
 * Transactions of random commands, while the slots of their keys go from shard to shard: every reply must be the one
 * that a single server gives, and so must be what is stored in the end.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { startServer } from '../../support/servers.ts'
import { type Client, connect, encodeCommand } from '../sidecar/harness.ts'
import { rigBefore, wantedProgram } from './rig.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const transactionCount = isFull ? 2000 : 60
const clientCount = 3
const tagCount = isFull ? 100 : 12

/** The same numbers for the same seed. */
function randomOf(seed: number): (max: number) => number {
  let state = seed
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * max)
  }
}

type Words = readonly string[]

function commandOf(random: (max: number) => number, tag: string): Words {
  const key = (name: string) => `{${tag}}${name}${random(2)}`
  const number = String(random(100))
  const choices: readonly Words[] = [
    ['INCRBY', key('n'), number],
    ['RPUSH', key('l'), number],
    ['LRANGE', key('l'), '0', '-1'],
    ['MSET', key('s'), number, key('s'), 'x'],
    ['MGET', `{${tag}}s0`, `{${tag}}s1`],
    ['DEL', key('l')],
    ['ECHO', number],
    ['PING'],
    ['LPUSH', key('n'), 'of the wrong type'],
    ['EVAL', "return redis.call('INCR', KEYS[1])", '1', key('n')],
    ['BLPOP', key('l'), '0'],
    ['SETRANGE', key('s'), '3', 'y'.repeat(random(200))],
  ]
  return choices[random(choices.length)] ?? ['PING']
}

/** What spoils a transaction, now and then. */
function faultOf(random: (max: number) => number): readonly Words[] {
  const faults: readonly Words[] = [['GET'], ['NOSUCH', 'a'], ['MULTI'], ['WATCH', 'k']]
  return random(8) === 0 ? [faults[random(faults.length)] ?? ['GET']] : []
}

function transactionOf(random: (max: number) => number, tag: string): readonly Words[] {
  const commands = Array.from({ length: random(5) }, () => commandOf(random, tag))
  commands.splice(random(commands.length + 1), 0, ...faultOf(random))
  return [['MULTI'], ...commands, [random(8) === 0 ? 'DISCARD' : 'EXEC']]
}

/** Sends in pieces that end anywhere, some of them answered before the next is sent. */
async function run(
  client: Client,
  commands: readonly Words[],
  random: (max: number) => number,
): Promise<string[]> {
  const replies: string[] = []
  for (let at = 0; at < commands.length; ) {
    const count = 1 + random(commands.length - at)
    const bytes = commands
      .slice(at, at + count)
      .map(encodeCommand)
      .join('')
    const cut = random(bytes.length)
    client.send(bytes.slice(0, cut))
    client.send(bytes.slice(cut))
    replies.push(...(await client.replies(count)))
    at += count
  }
  return replies
}

/**
 * Whether no node has the slot: servers whose slots move in quick succession come to disagree now and then, each of two
 * naming the other, and nothing can be run there.
 */
async function isNobodys(cluster: RedisCluster, tag: string): Promise<boolean> {
  const slot = await cluster.slotOf(`{${tag}}`)
  const own = await Promise.all(
    cluster.nodes.map(async (node) => (await node.view()).find(({ id }) => id === node.id)),
  )
  return !own.some((view) => view?.slots.some(([first, last]) => first <= slot && slot <= last))
}

test('a transaction that goes over between shards is answered as by one server', async (t) => {
  const cluster = await startCluster({ replicasPerPrimary: 0, ...(await wantedProgram()) })
  t.after(() => cluster.stop())
  const rig = await rigBefore(t, cluster)
  const model = await startServer(await wantedProgram())
  t.after(() => model.stop())
  const seed = Number(process.env['RESPMESH_TEST_SEED'] ?? Date.now() % 1_000_000)
  t.diagnostic(`seed ${seed}`)
  const over = new AbortController()
  let moveCount = 0
  const lost = new Set<string>()

  const compare = async (number: number) => {
    const random = randomOf(seed + number)
    const [client, direct] = [await rig.client(), await connect(t, model.port)]
    for (let left = transactionCount; left > 0; left -= 1) {
      const tag = `t${number + clientCount * random(tagCount)}`
      if (lost.has(tag)) continue
      const commands = transactionOf(random, tag)
      const expected = await run(direct, commands, random)
      const given = await run(client, commands, random)
      const isAborted = given.at(-1)?.startsWith('-EXECABORT') === true
      if (isAborted && (await isNobodys(cluster, tag))) {
        lost.add(tag)
        continue
      }
      assert.deepEqual(given, expected, `seed ${seed}, ${JSON.stringify(commands)}`)
    }
  }

  const move = async () => {
    for (let number = 0; number < clientCount * tagCount && !over.signal.aborted; number += 1) {
      const slot = await cluster.slotOf(`{t${number}}`)
      const from = (await cluster.ownerOf(slot)).shard
      await cluster.moveSlots(from, (from + 1) % 3, [slot])
      moveCount += 1
    }
  }

  const moving = move()
  const clients = Array.from({ length: clientCount }, (_, number) => compare(number))
  const results = await Promise.allSettled(clients)
  over.abort()
  await moving
  for (const result of results) if (result.status === 'rejected') throw result.reason
  assert.ok(moveCount > 0 && lost.size < tagCount, `${moveCount} moves, ${lost.size} lost`)
  t.diagnostic(`${moveCount} moves`)
})
