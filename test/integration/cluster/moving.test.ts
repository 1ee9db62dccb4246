/** A cluster that changes under a client that knows nothing of it: half moved slots, and other primaries. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { encodeCommand } from '../../support/servers.ts'
import { planeBefore } from './rig.ts'

let cluster: RedisCluster
before(async () => {
  cluster = await startCluster({ primaries: 3, replicasPerPrimary: 1 })
})
after(() => cluster.stop())

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

test('pipelines to a slot that stays half moved are answered as by one server', async (t) => {
  const { client, plane } = await planeBefore(t, cluster)
  const clients = await Promise.all([client(), client(), client()])
  const tag = await cluster.keyOf(0, 'half')
  const key = (index: number) => `{${tag}}-${index}`
  const keyCount = 24
  const [one] = clients
  // The last third is created while the slot is half moved.
  for (let index = 0; index < 16; index += 1) await one?.ask('SET', key(index), '0')
  const move = await cluster.slotMove(await cluster.slotOf(tag), 1)
  await move.open()
  await move.moveKeys(8)
  const rounds = 12
  const play = async (at: number) => {
    const { [at]: own } = clients
    if (own === undefined) return
    const keys = Array.from({ length: keyCount / 3 }, (_, index) => key(3 * index + at))
    for (let round = 0; round < rounds; round += 1) {
      const commands: string[] = []
      const expected: string[] = []
      const add = (reply: string, ...words: string[]) => {
        commands.push(encodeCommand(words))
        expected.push(reply)
      }
      for (const name of keys) {
        add(`:${2 * round + 1}\r\n`, 'INCR', name)
        add(`:${2 * round + 2}\r\n`, 'INCR', name)
        add(bulk(String(2 * round + 2)), 'GET', name)
      }
      for (const name of keys) {
        add(':1\r\n', 'DEL', name)
        add('$-1\r\n', 'GET', name)
        add('+OK\r\n', 'SET', name, String(2 * round + 2))
      }
      own.send(commands.join(''))
      assert.deepEqual(await own.replies(commands.length), expected)
    }
  }
  const before = plane.view().counters.refusedAsk
  await Promise.all(clients.map((_, at) => play(at)))
  assert.ok(plane.view().counters.refusedAsk > before + rounds)
  while (await move.moveKeys()) {
    // Until there is none.
  }
  await move.close()
  const { [keyCount - 1]: last } = Array.from({ length: keyCount }, (_, index) => key(index))
  assert.equal(await one?.ask('GET', last ?? ''), bulk(String(2 * rounds)))
})

test('what all shards are told is told to those that become primaries meanwhile', async (t) => {
  const { client, plane } = await planeBefore(t, cluster)
  const one = await client()
  const library = '#!lua name=told\nredis.register_function("told", function() return 1 end)'
  const digest = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db'
  const asked: readonly (readonly [string, ...string[]])[] = [
    [bulk('told'), 'FUNCTION', 'LOAD', 'REPLACE', library],
    ['+OK\r\n', 'FUNCTION', 'DELETE', 'told'],
    ['+OK\r\n', 'FUNCTION', 'FLUSH'],
    ['+OK\r\n', 'FLUSHALL'],
    [bulk(digest), 'SCRIPT', 'LOAD', 'return 1'],
    ["-ERR wrong number of arguments for 'mset' command\r\n", 'MSET', 'a', '1', 'b'],
    ['+OK\r\n', 'FLUSHDB', 'ASYNC'],
    [':0\r\n', 'DBSIZE'],
    ['*0\r\n', 'KEYS', '*'],
  ]
  const state = { isOver: false }
  let rounds = 0
  const asking = (async () => {
    while (!state.isOver) {
      // In one pipeline what the old primary still ran may come before what it refused, which is an error then.
      for (const [expected, ...words] of asked) {
        one.send(encodeCommand(words))
        assert.deepEqual([words, await one.replies(1)], [words, [expected]])
      }
      rounds += 1
    }
  })()
  try {
    for (const shard of [0, 1, 2]) await cluster.failOver(shard)
  } finally {
    state.isOver = true
  }
  await asking
  assert.ok(rounds > 0)
  const { refusedByState, commandsLost } = plane.view().counters
  assert.equal(commandsLost, 0)
  t.diagnostic(`${rounds} rounds, ${refusedByState} parts refused by a replica`)
})
