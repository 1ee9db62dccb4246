/** Cases that fail somewhere today, by their numbers in the design: pauses, switches and commands that block. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RedisServer, startServer } from '../../support/servers.ts'
import {
  type Client,
  type ConfigChanges,
  configFor,
  encodeCommand,
  startRig,
  until,
} from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

function switchTo(server: RedisServer, changes: ConfigChanges = {}) {
  return { ...configFor(server, changes), listeners: [{ host: '127.0.0.1', port: 0 }], epoch: 1 }
}

for (const isolation of ['shared', 'perClient'] as const) {
  const upstream = { isolation }

  test(`10: a pause has a bounded drain even with BLPOP 0 in flight: ${isolation}`, async (t) => {
    const rig = await startRig(t, { upstream, timing: { drainTimeoutMs: 10_000 } })
    const { client, plane, server } = rig
    const next = await startServer()
    t.after(() => next.stop())
    const commands = [
      ['BLPOP', 'l0', '0'],
      ['BLMOVE', 'l1', 'd', 'LEFT', 'RIGHT', '60'],
      ['BLMPOP', '0', '1', 'l2', 'LEFT'],
      ['BZPOPMIN', 'z3', '0.0'],
      ['XREAD', 'BLOCK', '60000', 'STREAMS', 's4', '0-0'],
    ]
    const blocked: Client[] = []
    for (const words of commands) {
      const one = await client()
      one.send(encodeCommand(words) + encodeCommand(['ECHO', 'after']))
      blocked.push(one)
    }
    const isBlocked = async (one: RedisServer) => (await one.info('blocked_clients')) === '5'
    await until('they block', () => isBlocked(server))
    await plane.pause()
    assert.equal(plane.view().inFlightCommands, 0)
    assert.equal(plane.view().heldCommands, 10)
    await server.command('RPUSH', 'l0', 'too late')
    await plane.apply(switchTo(next, { upstream }))
    plane.resume()
    await until('they block at the new primary', () => isBlocked(next))
    for (const list of ['l0', 'l1', 'l2']) await next.command('RPUSH', list, 'v')
    await next.command('ZADD', 'z3', '1', 'v')
    await next.command('XADD', 's4', '1-1', 'f', 'v')
    for (const one of blocked) {
      assert.match(await one.reply(), /\$1\r\nv\r\n/)
      assert.equal(await one.reply(), bulk('after'))
    }
    assert.match(await server.command('LLEN', 'l0'), /^:1/)
  })

  test(`11: MULTI queued before a switch ends in EXECABORT and never in a part: ${isolation}`, async (t) => {
    const { client, plane, server } = await startRig(t, { upstream })
    const next = await startServer()
    t.after(() => next.stop())
    const one = await client()
    await one.ask('MULTI')
    for (const key of ['a', 'b']) assert.equal(await one.ask('SET', key, '1'), '+QUEUED\r\n')
    await plane.apply(switchTo(next, { upstream }))
    one.send(encodeCommand(['SET', 'c', '1']) + encodeCommand(['EXEC']) + encodeCommand(['PING']))
    const replies = await one.replies(3)
    assert.match(replies[0] ?? '', /^-PROXY RM_UPSTREAM_LOST /)
    assert.match(replies[1] ?? '', /^-EXECABORT /)
    assert.equal(replies[2], '+PONG\r\n')
    for (const each of [server, next]) assert.match(await each.command('DBSIZE'), /^:0/)
    await one.ask('MULTI')
    await one.ask('SET', 'a', '1')
    assert.equal(await one.ask('EXEC'), '*1\r\n+OK\r\n')
  })

  test(`12: SELECT, name, RESP3, subscriptions, WATCH and scripts survive a switch: ${isolation}`, async (t) => {
    const { client, plane } = await startRig(t, { upstream })
    const next = await startServer()
    t.after(() => next.stop())
    const [one, subscriber, watching] = [await client(), await client(), await client()]
    await one.ask('HELLO', '3', 'SETNAME', 'me')
    await one.ask('SELECT', '7')
    const hash = /[0-9a-f]{40}/.exec(await one.ask('SCRIPT', 'LOAD', 'return 9'))?.[0] ?? ''
    await subscriber.ask('SUBSCRIBE', 'c')
    await watching.ask('WATCH', 'k')
    await plane.apply(switchTo(next, { upstream }))
    assert.equal(await one.ask('GET', 'k'), '_\r\n')
    assert.match(await one.ask('CLIENT', 'INFO'), / name=me .* db=7 .* resp=3/)
    assert.equal(await one.ask('EVALSHA', hash, '0'), ':9\r\n')
    await until(
      'it is subscribed',
      async () => (await next.command('PUBLISH', 'c', 'x')) === ':1\r\n',
    )
    assert.equal(await subscriber.reply(), `*3\r\n${bulk('message')}${bulk('c')}${bulk('x')}`)
    await watching.ask('MULTI')
    await watching.ask('SET', 'k', '1')
    assert.equal(await watching.ask('EXEC'), '*-1\r\n')
  })

  test(`15: BRPOPLPUSH, BLMOVE, BZMPOP, WAIT and XREAD BLOCK delay no other client: ${isolation}`, async (t) => {
    const { client, server, plane } = await startRig(t, { upstream })
    const commands = [
      ['BRPOPLPUSH', 'l', 'd', '0'],
      ['BLMOVE', 'l', 'd', 'LEFT', 'LEFT', '0'],
      ['BZMPOP', '0', '1', 'z', 'MIN'],
      ['WAIT', '1', '0'],
      ['WAITAOF', '1', '0', '0'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$'],
    ]
    const hasWaitAof = /waitaof/i.test(await server.command('COMMAND', 'INFO', 'WAITAOF'))
    const known = commands.filter(([name]) => hasWaitAof || name !== 'WAITAOF')
    const blocked = await Promise.all(known.map(() => client()))
    for (const [index, one] of blocked.entries()) one.send(encodeCommand(known[index] ?? []))
    const count = known.length
    await until('all are in flight', () => plane.view().inFlightCommands === count)
    const other = await client()
    for (let index = 0; index < 200; index += 1)
      assert.equal(await other.ask('INCR', 'n'), `:${index + 1}\r\n`)
    assert.equal(plane.view().inFlightCommands, count)
    for (const one of blocked) assert.equal(one.text(), '')
  })
}

test('a client that blocks for a time waits no longer because of a pause', async (t) => {
  const { client, plane, server } = await startRig(t, { timing: { drainTimeoutMs: 5000 } })
  const one = await client()
  const start = performance.now()
  one.send(encodeCommand(['BLPOP', 'l', '0.5']))
  await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
  await plane.pause()
  await until('time passes', () => performance.now() - start > 300)
  plane.resume()
  assert.equal(await one.reply(), '*-1\r\n')
  assert.ok(performance.now() - start > 450)
})
