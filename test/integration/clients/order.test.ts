/** Replies come in the order of the commands, whatever connections they came over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configFor, encodeCommand, startRig, until } from '../sidecar/harness.ts'

test('replies keep their order when the number of shared connections changes', async (t) => {
  const { client, plane, server } = await startRig(t)
  const clients = await Promise.all(Array.from({ length: 8 }, client))
  for (const one of clients) {
    one.send(encodeCommand(['PING']).repeat(32))
    await one.replies(32)
  }
  const more = configFor(server, { upstream: { connectionsMax: 4 } })
  await plane.apply(more)
  for (const one of clients) assert.equal(await one.ask('PING'), '+PONG\r\n')
  await plane.apply(configFor(server))
  // A paused write stops its connection at the server; a read on another passes.
  await server.command('CLIENT', 'PAUSE', '60000', 'WRITE')
  for (const one of clients) one.send(encodeCommand(['SET', 'k', 'v']))
  await until('they are in flight', () => plane.view().inFlightCommands === clients.length)
  await plane.apply(more)
  for (const one of clients) one.send(encodeCommand(['ECHO', 'second']))
  // One of these is carried by the paused connection, the others show that their replies could have come.
  const later = await Promise.all([1, 2, 3, 4].map(client))
  for (const one of later) one.send(encodeCommand(['PING']))
  await until(
    'three are answered',
    () => later.filter((one) => one.received.length > 0).length >= 3,
  )
  await server.command('CLIENT', 'UNPAUSE')
  for (const one of clients) {
    assert.deepEqual(await one.replies(2), ['+OK\r\n', '$6\r\nsecond\r\n'])
  }
})

test('commands between the messages of a RESP3 subscriber are answered in order', async (t) => {
  const { client, server } = await startRig(t)
  const one = await client()
  assert.match(await one.ask('HELLO', '3'), /^%/)
  assert.match(await one.ask('SUBSCRIBE', 'news'), /^>3/)
  for (let round = 0; round < 20; round += 1) {
    one.send(
      [
        ['ECHO', `a${round % 10}`],
        ['AUTH', 'default', 'x'],
        ['ECHO', `b${round % 10}`],
        ['SHUTDOWN'],
        ['ECHO', `c${round % 10}`],
        ['HELLO', '3'],
        ['ECHO', `d${round % 10}`],
      ]
        .map(encodeCommand)
        .join(''),
    )
    const replies = await one.replies(7)
    assert.deepEqual(
      replies.map((reply) => reply.replace(/\r\n[^]*/, '').slice(0, 7)),
      ['$2', '+OK', '$2', '-NOPERM', '$2', '%7', '$2'].map((start) => start.slice(0, 7)),
      JSON.stringify(replies),
    )
    await server.command('PUBLISH', 'news', String(round))
    assert.match(await one.reply(), /^>3\r\n\$7\r\nmessage/)
  }
})

test('a message that ends like the reply to RESET is not taken for it', async (t) => {
  const { client, server } = await startRig(t)
  await server.command('CONFIG', 'SET', 'notify-keyspace-events', 'Em')
  const one = await client()
  const other = await client()
  assert.match(await one.ask('HELLO', '3'), /^%/)
  assert.match(await one.ask('SUBSCRIBE', '__keyevent@0__:keymiss'), /^>3/)
  // A paused write keeps the RESET behind it waiting at the server; a read that misses makes a message.
  await server.command('CLIENT', 'PAUSE', '60000', 'WRITE')
  one.send(encodeCommand(['SET', 'k', 'v']) + encodeCommand(['RESET']) + encodeCommand(['PING']))
  await until('it waits', async () => (await server.info('blocked_clients')) === '1')
  assert.equal(await other.ask('GET', 'x+RESET'), '$-1\r\n')
  assert.match(await one.reply(), /^>3\r\n\$7\r\nmessage[^]*x\+RESET\r\n$/)
  await server.command('CLIENT', 'UNPAUSE')
  assert.deepEqual(await one.replies(3), ['+OK\r\n', '+RESET\r\n', '+PONG\r\n'])
})

test('shared, own and shared again: every reply is at its place', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const commands: string[][] = []
  const expected: string[] = []
  const add = (reply: string, ...words: string[]) => {
    commands.push(words)
    expected.push(reply)
  }
  for (let round = 0; round < 60; round += 1) {
    const text = `r${round}`
    add(`$${text.length}\r\n${text}\r\n`, 'ECHO', text)
    add('+OK\r\n', 'WATCH', `w${round}`)
    add('+OK\r\n', 'MULTI')
    add('+QUEUED\r\n', 'SET', `k${round}`, text)
    add('*1\r\n+OK\r\n', 'EXEC')
    add(`$${text.length}\r\n${text}\r\n`, 'GET', `k${round}`)
    if (round % 10 === 0) add('*-1\r\n', 'BLPOP', `none${round}`, '0.001')
    add('+OK\r\n', 'SELECT', String(round % 3))
    add('+OK\r\n', 'SELECT', '0')
    add('-ERR EXEC without MULTI\r\n', 'EXEC')
    add('+OK\r\n', 'CLIENT', 'SETNAME', text)
    add(':1\r\n', 'RPUSH', `q${round}`, 'x')
    add(`*2\r\n$${text.length}\r\nq${round}\r\n$1\r\nx\r\n`, 'BLPOP', `q${round}`, '0')
    add(`$${text.length}\r\n${text}\r\n`, 'CLIENT', 'GETNAME')
    add('+RESET\r\n', 'RESET')
  }
  one.send(commands.map(encodeCommand).join(''))
  const replies = await one.replies(expected.length)
  assert.deepEqual(replies, expected)
})

test('a frame of 1 MB that comes in small pieces among small ones keeps its place', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const big = 'x'.repeat(1 << 20)
  const bytes = Buffer.from(
    [
      ['ECHO', 'a'],
      ['SET', 'big', big],
      ['ECHO', 'b'],
      ['GET', 'big'],
      ['ECHO', 'c'],
    ]
      .map(encodeCommand)
      .join(''),
  )
  for (let at = 0; at < bytes.length; ) {
    // Single bytes at the joints, larger pieces within the value.
    const isJoint = at < 200 || (at > big.length && at < big.length + 300)
    const size = isJoint ? 1 : 7919
    const isTaken = one.socket.write(bytes.subarray(at, at + size))
    at += size
    if (!isTaken || isJoint) await new Promise(setImmediate)
  }
  const expected = [
    '$1\r\na\r\n',
    '+OK\r\n',
    '$1\r\nb\r\n',
    `$${big.length}\r\n${big}\r\n`,
    '$1\r\nc\r\n',
  ].join('')
  await until('all replies came', () => one.received.length >= expected.length)
  assert.ok(one.text() === expected)
})
