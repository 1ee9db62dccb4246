/** What belongs to a session outlives its connection to the server, however that ended. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type RedisServer, startServer } from '../../support/servers.ts'
import {
  type Client,
  type ConfigChanges,
  type Rig,
  configFor,
  encodeCommand,
  startRig,
  until,
} from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const lost = /^-PROXY RM_UPSTREAM_LOST /

/** Ways to lose the connections to a server; each gives the server that is the primary then. */
const ways = {
  'its connections were killed': async (_t: TestContext, { server }: Rig) => {
    for (const type of ['normal', 'pubsub']) await server.command('CLIENT', 'KILL', 'TYPE', type)
    return server
  },
  'the server was started again': async (_t: TestContext, { server }: Rig) => {
    await server.kill()
    await server.restart()
    return server
  },
  'another server became the primary': async (
    t: TestContext,
    { plane }: Rig,
    changes: ConfigChanges,
  ) => {
    const next = await startServer()
    t.after(() => next.stop())
    await plane.apply({
      ...configFor(next, changes),
      listeners: [{ host: '127.0.0.1', port: 0 }],
      epoch: 1,
    })
    return next
  },
} as const

type Lose = (t: TestContext, rig: Rig, changes: ConfigChanges) => Promise<RedisServer>

const field = (info: string, name: string) => new RegExp(` ${name}=(\\S*)`).exec(info)?.[1]

/** Has the client seen by the server under a name, and gives the line. */
async function lineOf(server: RedisServer, name: string): Promise<string> {
  const list = await server.command('CLIENT', 'LIST')
  return list.split('\n').find((line) => line.includes(` name=${name} `)) ?? ''
}

async function channelCount(server: RedisServer, ...words: string[]): Promise<string> {
  return server.command('PUBSUB', ...words)
}

const cases = (Object.entries(ways) as [string, Lose][]).flatMap(([way, lose]) =>
  (['shared', 'perClient'] as const).map((isolation) => ({
    way: isolation === 'shared' ? way : `${way} (perClient)`,
    lose,
    changes: { upstream: { isolation } },
  })),
)

for (const { way, lose, changes } of cases) {
  for (const protocol of ['2', '3'] as const) {
    test(`subscriptions are there again after ${way}, in RESP${protocol}`, async (t) => {
      const rig = await startRig(t, changes)
      const one = await rig.client()
      await one.ask('HELLO', protocol)
      const mark = protocol === '3' ? '>' : '*'
      await one.ask('CLIENT', 'SETNAME', 'listener')
      one.send(encodeCommand(['SUBSCRIBE', 'a', 'b']) + encodeCommand(['PSUBSCRIBE', 'p*']))
      one.send(encodeCommand(['SSUBSCRIBE', 's']) + encodeCommand(['UNSUBSCRIBE', 'b']))
      assert.equal(
        (await one.replies(5)).at(-1),
        `${mark}3\r\n${bulk('unsubscribe')}${bulk('b')}:2\r\n`,
      )
      const next = await lose(t, rig, changes)
      await until('it is subscribed', async () => {
        const line = await lineOf(next, 'listener')
        return field(line, 'sub') === '1' && field(line, 'psub') === '1'
      })
      await until(
        'shards too',
        async () => (await channelCount(next, 'SHARDCHANNELS')) !== '*0\r\n',
      )
      await until('the sidecar goes on', () => rig.plane.view().pinnedConnections === 1)
      await next.command('PUBLISH', 'b', 'nothing')
      await next.command('PUBLISH', 'a', 'one')
      await next.command('PUBLISH', 'px', 'two')
      await next.command('SPUBLISH', 's', 'three')
      assert.deepEqual(await one.replies(3), [
        `${mark}3\r\n${bulk('message')}${bulk('a')}${bulk('one')}`,
        `${mark}4\r\n${bulk('pmessage')}${bulk('p*')}${bulk('px')}${bulk('two')}`,
        `${mark}3\r\n${bulk('smessage')}${bulk('s')}${bulk('three')}`,
      ])
      one.send(encodeCommand(['UNSUBSCRIBE']) + encodeCommand(['PUNSUBSCRIBE', 'p*']))
      one.send(encodeCommand(['SUNSUBSCRIBE']) + encodeCommand(['ECHO', 'back']))
      assert.deepEqual(await one.replies(4), [
        `${mark}3\r\n${bulk('unsubscribe')}${bulk('a')}:1\r\n`,
        `${mark}3\r\n${bulk('punsubscribe')}${bulk('p*')}:0\r\n`,
        `${mark}3\r\n${bulk('sunsubscribe')}${bulk('s')}:0\r\n`,
        bulk('back'),
      ])
      assert.equal(one.isClosed, false)
    })
  }

  test(`database, name, RESP version and flags are there again after ${way}`, async (t) => {
    const rig = await startRig(t, changes)
    const one = await rig.client()
    await one.ask('HELLO', '3')
    await one.ask('CLIENT', 'SETNAME', 'me')
    await one.ask('SELECT', '3')
    assert.equal(await one.ask('CLIENT', 'NO-EVICT', 'ON'), '+OK\r\n')
    const next = await lose(t, rig, changes)
    await until('it is there again', async () => field(await lineOf(next, 'me'), 'db') === '3')
    await until('the sidecar goes on', () => rig.plane.view().pinnedConnections === 1)
    const line = await lineOf(next, 'me')
    const direct = await rig.direct()
    await direct.ask('CLIENT', 'NO-EVICT', 'ON')
    assert.equal(field(line, 'flags'), field(await direct.ask('CLIENT', 'INFO'), 'flags'))
    assert.equal(field(line, 'resp'), '3')
    assert.equal(await one.ask('GET', 'nothing'), '_\r\n')
    assert.equal(await one.ask('SET', 'where', 'three'), '+OK\r\n')
    assert.match(await next.command('DBSIZE'), /^:0/)
  })

  test(`a tracking client drops what it knew and is told of changes again after ${way}`, async (t) => {
    const rig = await startRig(t, changes)
    const one = await rig.client()
    await one.ask('HELLO', '3')
    await one.ask('CLIENT', 'SETNAME', 'cache')
    const on = ['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX']
    assert.equal(await one.ask(...on, 'x:', 'NOLOOP'), '+OK\r\n')
    assert.equal(await one.ask(...on, 'y:', 'NOLOOP'), '+OK\r\n')
    const next = await lose(t, rig, changes)
    assert.equal(await one.reply(), `>2\r\n${bulk('invalidate')}_\r\n`)
    await until('it tracks', async () =>
      /t/.test(field(await lineOf(next, 'cache'), 'flags') ?? ''),
    )
    for (const key of ['z:1', 'x:1', 'y:1']) {
      await next.command('SET', key, '1')
      if (key !== 'z:1')
        assert.equal(await one.reply(), `>2\r\n${bulk('invalidate')}*1\r\n${bulk(key)}`)
    }
    await until('the sidecar goes on', () => rig.plane.view().pinnedConnections === 1)
    assert.equal(await one.ask('SET', 'x:2', '1'), '+OK\r\n')
    assert.equal(await one.ask('CLIENT', 'TRACKING', 'OFF'), '+OK\r\n')
  })

  test(`MONITOR goes on after ${way}`, async (t) => {
    const commands = { allow: ['monitor'] }
    const rig = await startRig(t, { ...changes, commands })
    const one = await rig.client()
    assert.equal(await one.ask('MONITOR'), '+OK\r\n')
    const next = await lose(t, rig, changes)
    let count = 0
    await until('it shows what is done', async () => {
      count += 1
      await next.command('SET', 'seen', String(count))
      return one.text().includes(`"SET" "seen" "${count}"`)
    })
    assert.doesNotMatch(one.text(), /^\+OK/m)
    one.send(encodeCommand(['RESET']) + encodeCommand(['ECHO', 'back']))
    await until('it is an ordinary client again', () => one.text().endsWith(bulk('back')))
  })

  test(`scripts are known again after ${way}`, async (t) => {
    const rig = await startRig(t, changes)
    const one = await rig.client()
    const loaded = await one.ask('SCRIPT', 'LOAD', 'return ARGV[1]')
    const hash = /[0-9a-f]{40}/.exec(loaded)?.[0] ?? ''
    assert.equal(await one.ask('EVAL', 'return 7', '0'), ':7\r\n')
    await lose(t, rig, changes)
    const others = await Promise.all([rig.client(), rig.client()])
    assert.match(await others[0].ask('SCRIPT', 'LOAD', 'return 1'), /^\$40/)
    const sha = 'd0f0e4a2d3d9ee6b6fd5d9ba3f4c5d2c1f2fd2aa'
    const again = ['EVALSHA', hash, '0', 'x']
    others[0].send(
      encodeCommand(again) + encodeCommand(['EVALSHA', sha, '0']) + encodeCommand(again),
    )
    const [first, unknown, last] = await others[0].replies(3)
    assert.deepEqual([first, last], [bulk('x'), bulk('x')])
    assert.match(unknown ?? '', /^-NOSCRIPT/)
    await others[1].ask('MULTI')
    assert.equal(await others[1].ask(...again), '+QUEUED\r\n')
    assert.equal(await others[1].ask('EXEC'), `*1\r\n${bulk('x')}`)
    const run = createHash('sha1').update('return 7').digest('hex')
    assert.equal(await others[1].ask('EVALSHA', run, '0'), ':7\r\n')
  })
}

test('a command about subscriptions that was under way is confirmed once the server is back', async (t) => {
  const { client, server, plane } = await startRig(t)
  const clients = await Promise.all([client(), client()])
  for (const [index, one] of clients.entries()) {
    await one.ask('HELLO', String(2 + index))
    await one.ask('SUBSCRIBE', 'first')
  }
  server.signal('SIGSTOP')
  for (const one of clients) one.send(encodeCommand(['SUBSCRIBE', 'a', 'b']))
  await until('they are under way', () => plane.view().inFlightCommands === 2)
  await server.kill()
  await server.restart()
  for (const [index, one] of clients.entries()) {
    const mark = '*>'[index]
    assert.deepEqual(await one.replies(2), [
      `${mark}3\r\n${bulk('subscribe')}${bulk('a')}:2\r\n`,
      `${mark}3\r\n${bulk('subscribe')}${bulk('b')}:3\r\n`,
    ])
    one.send(encodeCommand(['UNSUBSCRIBE']) + encodeCommand(['ECHO', 'back']))
    await one.replies(3)
    assert.equal(await one.reply(), bulk('back'))
  }
})

test('a subscriber outlives a time without a primary that is longer than commands are held', async (t) => {
  const { client, server, plane } = await startRig(t, { timing: { holdTimeoutMs: 100 } })
  const one = await client()
  await one.ask('HELLO', '3')
  await one.ask('SUBSCRIBE', 'a')
  await server.kill()
  await until('it is noticed', () => plane.view().primary === 'failing')
  assert.match(await one.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
  assert.match(await one.ask('PSUBSCRIBE', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
  await server.restart()
  await until(
    'it is subscribed',
    async () => (await server.command('PUBLISH', 'a', 'x')) === ':1\r\n',
  )
  assert.match(await one.reply(), /message/)
  assert.equal(await one.ask('GET', 'k'), '_\r\n')
})

test('what a blocked client was to be given is never taken in silence', async (t) => {
  const { client, server, plane } = await startRig(t)
  const one: Client = await client()
  one.send(encodeCommand(['BLPOP', 'list', '0']) + encodeCommand(['ECHO', 'after']))
  await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
  await server.command('CLIENT', 'KILL', 'TYPE', 'normal')
  assert.match(await one.reply(), lost)
  assert.equal(await one.reply(), bulk('after'))
  await until('nobody blocks', () => plane.view().inFlightCommands === 0)
  assert.match(await server.command('RPUSH', 'list', 'kept'), /^:1/)
  assert.match(await server.command('LLEN', 'list'), /^:1/)
})

test('a transaction is aborted and a WATCH fails its EXEC after the server was started again', async (t) => {
  const { client, server } = await startRig(t)
  const [queued, watching] = [await client(), await client()]
  await queued.ask('MULTI')
  await queued.ask('SET', 'half', '1')
  await watching.ask('WATCH', 'k')
  await server.kill()
  await server.restart()
  assert.match(await queued.ask('SET', 'half', '2'), lost)
  assert.match(await queued.ask('EXEC'), /^-EXECABORT /)
  assert.equal(await watching.ask('MULTI'), '+OK\r\n')
  assert.equal(await watching.ask('SET', 'k', '1'), '+QUEUED\r\n')
  assert.equal(await watching.ask('EXEC'), '*-1\r\n')
  assert.match(await server.command('EXISTS', 'half', 'k'), /^:0/)
})

test('a script that a client had the server forget is not known again', async (t) => {
  const { client, server } = await startRig(t)
  const one = await client()
  const hash = /[0-9a-f]{40}/.exec(await one.ask('SCRIPT', 'LOAD', 'return 5'))?.[0] ?? ''
  assert.equal(await one.ask('EVALSHA', hash, '0'), ':5\r\n')
  assert.equal(await one.ask('SCRIPT', 'FLUSH'), '+OK\r\n')
  await server.kill()
  await server.restart()
  assert.match(await one.ask('EVALSHA', hash, '0'), /^-NOSCRIPT/)
})
