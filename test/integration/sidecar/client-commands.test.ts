/** CLIENT and other commands about connections, scripts that run, and commands of unusual size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, encodeCommand, startRig, until } from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

test('SCRIPT LOAD, FUNCTION LOAD and WATCH may be larger than what is gathered', async (t) => {
  const { client } = await startRig(t)
  const [one, other] = [await client(), await client()]
  const comment = `--${'x'.repeat(400_000)}\n`
  const hash = /[0-9a-f]{40}/.exec(await one.ask('SCRIPT', 'LOAD', `${comment}return 5`))?.[0] ?? ''
  assert.equal(await one.ask('EVALSHA', hash, '0'), ':5\r\n')
  const code = `#!lua name=big\n${comment}redis.register_function('six', function() return 6 end)`
  assert.equal(await one.ask('FUNCTION', 'LOAD', code), bulk('big'))
  assert.equal(await one.ask('FCALL', 'six', '0'), ':6\r\n')
  const keys = Array.from({ length: 5000 }, (_, index) => `${'k'.repeat(100)}${index}`)
  assert.equal(await one.ask('WATCH', ...keys), '+OK\r\n')
  await other.ask('SET', keys.at(-1) ?? '', 'touched')
  await one.ask('MULTI')
  await one.ask('PING')
  assert.equal(await one.ask('EXEC'), '*-1\r\n')
})

const idOf = (text: string) => /id=(\d+)/.exec(text)?.[1]
const numberOf = (reply: string) => reply.slice(1, -2)

for (const isolation of ['shared', 'perClient'] as const) {
  test(`a client has one id, from HELLO to its end: ${isolation}`, async (t) => {
    const commands = { allow: ['client|kill'] }
    const { client, server } = await startRig(t, { commands, upstream: { isolation } })
    const [one, other] = [await client(), await client()]
    const id = numberOf(await one.ask('CLIENT', 'ID'))
    const hello = await one.ask('HELLO', '3')
    assert.match(hello, new RegExp(`\\$2\\r\\nid\\r\\n:${id}\\r\\n`))
    assert.equal(idOf(await one.ask('CLIENT', 'INFO')), id)
    assert.match(await one.ask('CLIENT', 'LIST'), new RegExp(`id=${id} `))
    assert.equal(idOf(await one.ask('CLIENT', 'LIST', 'ID', id)), id)
    await one.ask('SUBSCRIBE', 'c')
    await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal')
    await until(
      'it is subscribed',
      async () => !(await server.command('PUBLISH', 'c', '')).startsWith(':0'),
    )
    assert.match(await one.reply(), /message/)
    assert.equal(numberOf(await one.ask('CLIENT', 'ID')), id)
    assert.equal(idOf(await one.ask('CLIENT', 'INFO')), id)
    assert.notEqual(numberOf(await other.ask('CLIENT', 'ID')), id)
    assert.equal(await one.ask('CLIENT', 'KILL', 'ID', id), ':0\r\n')
    assert.equal(await other.ask('CLIENT', 'KILL', 'ID', id), ':1\r\n')
    await one.rest()
    assert.equal(await other.ask('CLIENT', 'KILL', 'ID', id), ':0\r\n')
  })
}

test('CLIENT UNBLOCK ends what the client with that id waits for', async (t) => {
  const { client, server } = await startRig(t)
  const [one, other] = [await client(), await client()]
  const id = numberOf(await one.ask('CLIENT', 'ID'))
  assert.equal(await other.ask('CLIENT', 'UNBLOCK', id), ':0\r\n')
  one.send(encodeCommand(['BLPOP', 'list', '0']))
  await until('it blocks', async () => (await server.info('blocked_clients')) === '1')
  assert.equal(await other.ask('CLIENT', 'UNBLOCK', id, 'ERROR'), ':1\r\n')
  assert.match(await one.reply(), /^-UNBLOCKED/)
})

for (const isSubscribedFirst of [true, false]) {
  const when = isSubscribedFirst ? 'before' : 'after'
  test(`invalidations go to the client with the id, subscribed ${when} the tracking began`, async (t) => {
    const { client, server } = await startRig(t)
    const [data, told] = [await client(), await client()]
    const id = numberOf(await told.ask('CLIENT', 'ID'))
    if (isSubscribedFirst) await told.ask('SUBSCRIBE', '__redis__:invalidate')
    assert.equal(await data.ask('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id), '+OK\r\n')
    if (!isSubscribedFirst) await told.ask('SUBSCRIBE', '__redis__:invalidate')
    assert.equal(await data.ask('CLIENT', 'GETREDIR'), `:${id}\r\n`)
    assert.match(await data.ask('CLIENT', 'TRACKINGINFO'), new RegExp(`redirect\\r\\n:${id}\\r\\n`))
    await data.ask('GET', 'k')
    await server.command('SET', 'k', '1')
    const message = `*3\r\n${bulk('message')}${bulk('__redis__:invalidate')}*1\r\n${bulk('k')}`
    assert.equal(await told.reply(), message)
  })
}

test('CLIENT REPLY silences replies, on a shared connection too, and a pause still counts', async (t) => {
  const { client, server, plane } = await startRig(t, { timing: { drainTimeoutMs: 5000 } })
  const one: Client = await client()
  one.send(encodeCommand(['CLIENT', 'REPLY', 'OFF']) + encodeCommand(['INCR', 'n']).repeat(1000))
  one.send(encodeCommand(['SELECT', '1']) + encodeCommand(['MULTI']) + encodeCommand(['EXEC']))
  one.send(encodeCommand(['SELECT', '0']) + encodeCommand(['CLIENT', 'REPLY', 'ON']))
  assert.equal(await one.reply(), '+OK\r\n')
  one.send(encodeCommand(['CLIENT', 'REPLY', 'SKIP']) + encodeCommand(['GET', 'n']))
  assert.equal(await one.ask('INCR', 'n'), ':1001\r\n')
  one.send(encodeCommand(['CLIENT', 'REPLY', 'SKIP']) + encodeCommand(['CLIENT', 'ID']))
  assert.equal(await one.ask('CLIENT', 'REPLY', 'x'), '-ERR syntax error\r\n')
  one.send(encodeCommand(['CLIENT', 'REPLY', 'OFF']) + encodeCommand(['WAIT', '1', '300']))
  await until('it is in flight', () => plane.view().inFlightCommands === 1)
  await plane.pause()
  assert.equal(await server.info('blocked_clients'), '0')
  plane.resume()
  assert.equal(await one.ask('CLIENT', 'REPLY', 'ON'), '+OK\r\n')
})

test('messages reach a subscriber whose replies are silenced', async (t) => {
  const { client, server } = await startRig(t)
  const one = await client()
  await one.ask('HELLO', '3')
  await one.ask('SUBSCRIBE', 'c')
  one.send(encodeCommand(['CLIENT', 'REPLY', 'OFF']) + encodeCommand(['ECHO', 'x']))
  await server.command('PUBLISH', 'c', 'hi')
  assert.match(await one.reply(), /message/)
  assert.equal(await one.ask('CLIENT', 'REPLY', 'ON'), '+OK\r\n')
})

test('a subscriber in RESP2 may do as much as the server lets it, and HELLO once it is none', async (t) => {
  const { client, direct } = await startRig(t)
  const [one, server] = [await client(), await direct()]
  for (const words of [
    ['SUBSCRIBE', 'a'],
    ['PING'],
    ['PING', 'x'],
    ['GET', 'k'],
    ['MULTI'],
    ['SUBSCRIBE'],
    ['SELECT', '1'],
    ['CLIENT', 'ID'],
    ['CLIENT', 'SETNAME', 'x'],
    ['HELLO', '3'],
    ['HELLO'],
    ['AUTH', 'x'],
    ['UNSUBSCRIBE'],
    ['UNSUBSCRIBE'],
    ['PUNSUBSCRIBE', 'x'],
    ['GET', 'k'],
    ['CLIENT', 'GETNAME'],
  ]) {
    assert.equal(await one.ask(...words), await server.ask(...words), words.join(' '))
  }
  assert.match(await one.ask('HELLO', '3'), /^%/)
  assert.equal(await one.ask('GET', 'k'), '_\r\n')
})

test('reads pass while CLIENT PAUSE holds the writes of others', async (t) => {
  const { client, server } = await startRig(t, {
    commands: { allow: ['client|pause', 'client|unpause'] },
  })
  const [writer, reader, other] = [await client(), await client(), await client()]
  await reader.ask('GET', 'k')
  assert.equal(await other.ask('CLIENT', 'PAUSE', '60000', 'WRITE'), '+OK\r\n')
  writer.send(encodeCommand(['SET', 'k', 'v']))
  await until('the write waits', async () => (await server.info('blocked_clients')) === '1')
  assert.equal(await reader.ask('GET', 'k'), '$-1\r\n')
  assert.equal(await other.ask('CLIENT', 'UNPAUSE'), '+OK\r\n')
  assert.equal(await writer.reply(), '+OK\r\n')
})

for (const protocol of ['2', '3'] as const) {
  test(`FUNCTION STATS tells of the function that runs, in RESP${protocol}`, async (t) => {
    const { client, direct, server } = await startRig(t)
    await server.command('CONFIG', 'SET', 'lua-time-limit', '10')
    const [runner, one, oracle] = [await client(), await client(), await direct()]
    for (const each of [one, oracle]) await each.ask('HELLO', protocol)
    assert.equal(await one.ask('FUNCTION', 'STATS'), await oracle.ask('FUNCTION', 'STATS'))
    const code = `#!lua name=l\nredis.register_function('endless', function() while true do end end)`
    await runner.ask('FUNCTION', 'LOAD', code)
    runner.send(encodeCommand(['FCALL', 'endless', '0', 'x']))
    await until('the server is busy', async () => (await oracle.ask('PING')).startsWith('-BUSY'))
    const sameTime = (reply: string) => reply.replace(/(duration_ms\r\n:)\d+/, '$1')
    const told = await one.ask('FUNCTION', 'STATS')
    assert.equal(sameTime(told), sameTime(await oracle.ask('FUNCTION', 'STATS')))
    assert.match(told, /endless/)
    assert.equal(await one.ask('FUNCTION', 'KILL'), '+OK\r\n')
    assert.match(await runner.reply(), /^-/)
  })
}

test('who needs a connection while a script runs is told that the server is busy', async (t) => {
  const { client, direct, server } = await startRig(t)
  await server.command('CONFIG', 'SET', 'lua-time-limit', '10')
  const [runner, one, oracle] = [await client(), await client(), await direct()]
  await one.ask('SET', 'k', '1')
  runner.send(encodeCommand(['EVAL', 'while true do end', '0']))
  await until('the server is busy', async () => (await oracle.ask('PING')).startsWith('-BUSY'))
  assert.match(await one.ask('MULTI'), /^-BUSY /)
  assert.equal(await one.ask('SCRIPT', 'KILL'), '+OK\r\n')
  assert.match(await runner.reply(), /^-/)
  await until('the server is free', async () => (await one.ask('MULTI')) === '+OK\r\n')
  assert.equal(await one.ask('INCR', 'k'), '+QUEUED\r\n')
  assert.equal(await one.ask('EXEC'), '*1\r\n:2\r\n')
})

test('AUTH and HELLO within a transaction are queued, checked here, and answered by EXEC', async (t) => {
  const { client, direct } = await startRig(t)
  const [one, server] = [await client(), await direct()]
  for (const words of [
    ['MULTI'],
    ['AUTH', 'x'],
    ['AUTH', 'default', 'any'],
    ['AUTH', 'nobody', 'any'],
    ['AUTH', 'a', 'b', 'c'],
    ['HELLO', 'x'],
    ['HELLO', '2', 'NOSUCH'],
    ['ECHO', 'n'],
    ['EXEC'],
    ['MULTI'],
    ['AUTH'],
    ['EXEC'],
  ]) {
    assert.equal(await one.ask(...words), await server.ask(...words), words.join(' '))
  }
  await one.ask('MULTI')
  assert.equal(await one.ask('HELLO', '2', 'AUTH', 'default', 'any'), '+QUEUED\r\n')
  assert.match(await one.ask('EXEC'), /^\*1\r\n\*14\r\n\$6\r\nserver\r\n/)
  await one.ask('MULTI')
  assert.match(await one.ask('HELLO', '3'), /^-ERR Command not allowed inside a transaction/)
  assert.match(await one.ask('EXEC'), /^-EXECABORT/)
})

test('a client that is told of what others’ caches lose is closed rather than left deaf', async (t) => {
  const { client, server } = await startRig(t)
  const [data, told] = [await client(), await client()]
  const id = numberOf(await told.ask('CLIENT', 'ID'))
  await told.ask('SUBSCRIBE', '__redis__:invalidate')
  assert.equal(await data.ask('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id), '+OK\r\n')
  await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await told.rest()
})

test('CLIENT REPLY SKIP silences a command that goes in pieces, and only that one', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const commands = [
    ['CLIENT', 'REPLY', 'SKIP'],
    ['SET', 'k', 'x'.repeat(1_000_000)],
    ['STRLEN', 'k'],
    ['CLIENT', 'REPLY', 'SKIP'],
    ['SET', 'k', 'y'],
    ['GET', 'k'],
  ]
  one.send(commands.map(encodeCommand).join(''))
  assert.deepEqual(await one.replies(2), [':1000000\r\n', '$1\r\ny\r\n'])
})

test('a name that a transaction set is told', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  await one.ask('MULTI')
  assert.equal(await one.ask('CLIENT', 'SETNAME', 'other'), '+QUEUED\r\n')
  assert.equal(await one.ask('EXEC'), '*1\r\n+OK\r\n')
  assert.equal(await one.ask('CLIENT', 'GETNAME'), '$5\r\nother\r\n')
})
