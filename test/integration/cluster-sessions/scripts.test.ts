/** Scripts, before a cluster and before a ring of servers that know nothing of each other. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import { configFor, connect, encodeCommand, portOf, startPlane, until } from '../sidecar/harness.ts'
import { startClusterRig } from './rig.ts'

test('scripts run where their keys are, and are known to all servers', async (t) => {
  const rig = await startClusterRig(t, { args: ['--busy-reply-threshold', '200'] })
  const { cluster } = rig
  const client = await rig.client()
  const set = "return redis.call('SET', KEYS[1], ARGV[1])"
  const sha = (await client.ask('SCRIPT', 'LOAD', set)).split('\r\n')[1] ?? ''
  const keys = await Promise.all([0, 1, 2].map((shard) => rig.keyOf(shard)))
  for (const [shard, key] of keys.entries()) {
    assert.equal(await client.ask('EVALSHA', sha, '1', key, `v${shard}`), '+OK\r\n')
    assert.equal(await (await cluster.primaryOf(shard)).ask('GET', key), `v${shard}`)
  }
  assert.equal(await client.ask('EVAL', 'return 7', '0'), ':7\r\n')
  const [one = '', two = ''] = keys
  const apart = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
  assert.equal(await client.ask('EVAL', set, '2', one, two, 'x'), apart)
  await cluster.moveSlots(0, 1, [await cluster.slotOf(one)])
  assert.equal(await client.ask('EVALSHA', sha, '1', one, 'moved'), '+OK\r\n')
  assert.equal(await (await cluster.primaryOf(1)).ask('GET', one), 'moved')

  const library =
    "#!lua name=lib\nredis.register_function('put', function(k, a) return redis.call('SET', k[1], a[1]) end)"
  assert.equal(await client.ask('FUNCTION', 'LOAD', library), '$3\r\nlib\r\n')
  for (const key of keys) assert.equal(await client.ask('FCALL', 'put', '1', key, 'f'), '+OK\r\n')
  assert.equal(
    await client.ask('SCRIPT', 'KILL'),
    '-NOTBUSY No scripts in execution right now.\r\n',
  )

  // One that has no end is ended wherever it runs, and its neighbours run on.
  const other = await rig.client()
  other.send(encodeCommand(['EVAL', 'while true do end', '1', two]))
  const killer = await rig.client()
  await until('it was ended', async () => (await killer.ask('SCRIPT', 'KILL')) === '+OK\r\n')
  assert.match(await other.reply(), /^-ERR Error running script|^-ERR .*[Ss]cript killed/)
  assert.equal(await client.ask('SCRIPT', 'FLUSH'), '+OK\r\n')
  assert.match(await client.ask('EVALSHA', sha, '1', one, 'x'), /^-NOSCRIPT/)
})

test('before a ring, what needs a connection of its own goes to the server of its key', async (t) => {
  const servers = await Promise.all([startServer(), startServer(), startServer()])
  for (const server of servers) t.after(() => server.stop())
  const [first] = servers
  const members = servers.map(({ host, port }) => ({ host, port, role: 'unknown' as const }))
  const upstream = { mode: 'ring', discovery: 'self', members } as const
  const plane = await startPlane(t, configFor(first, { upstream }))
  const open = () => connect(t, portOf(plane))
  const [client, other] = [await open(), await open()]
  // Names that differ in a digit only are mostly neighbours on the ring.
  const keys = Array.from({ length: 40 }, (_, index) => {
    return `k${createHash('md5').update(String(index)).digest('hex')}`
  })
  for (const key of keys) {
    client.send([['MULTI'], ['ECHO', 'a'], ['SET', key, '1'], ['EXEC']].map(encodeCommand).join(''))
    assert.equal((await client.replies(4))[3], '*2\r\n$1\r\na\r\n+OK\r\n')
    assert.equal(await other.ask('GET', key), '$1\r\n1\r\n')
    client.send(encodeCommand(['BLPOP', `l${key}`, '0']))
    await other.ask('RPUSH', `l${key}`, 'x')
    assert.match(await client.reply(), /x\r\n$/)
  }
  const counts = await Promise.all(servers.map((server) => server.command('DBSIZE')))
  assert.ok(
    counts.every((count) => count !== ':0\r\n'),
    counts.join(''),
  )

  const [subscriber, patterns] = [await open(), await open()]
  subscriber.send(encodeCommand(['SUBSCRIBE', ...keys]))
  assert.match((await subscriber.replies(keys.length)).at(-1) ?? '', /:40\r\n$/)
  assert.match(await patterns.ask('PSUBSCRIBE', 'k*'), /:1\r\n$/)
  for (const key of keys) {
    assert.equal(await client.ask('PUBLISH', key, 'm'), ':2\r\n')
    assert.match(await subscriber.reply(), new RegExp(`message\r\n\\$\\d+\r\n${key}\r\n`))
    assert.match(
      await patterns.reply(),
      new RegExp(`pmessage\r\n\\$2\r\nk\\*\r\n\\$\\d+\r\n${key}\r\n`),
    )
  }
  assert.equal(await client.ask('SELECT', '1'), '-ERR DB index is out of range\r\n')
})
