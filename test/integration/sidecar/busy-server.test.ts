/** While the server is occupied by one client: what ends that must get through from another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCommand, startRig, until } from './harness.ts'

const endless = 'while true do end'

test('SCRIPT KILL ends a script although it came over the same shared connection', async (t) => {
  const { client, direct, server } = await startRig(t)
  await server.command('CONFIG', 'SET', 'lua-time-limit', '10')
  const runner = await client()
  const other = await client()
  const witness = await direct()
  assert.match(await other.ask('SCRIPT', 'KILL'), /^-NOTBUSY /)
  runner.send(encodeCommand(['EVAL', endless, '0']))
  await until('the server is busy', async () => (await witness.ask('PING')).startsWith('-BUSY'))
  // The server still says that it is busy for a moment.
  other.send(encodeCommand(['script', 'kill']) + encodeCommand(['PING']))
  assert.equal(await other.reply(), '+OK\r\n')
  assert.match(await other.reply(), /^\+PONG|^-BUSY/)
  assert.match(await runner.reply(), /^-ERR Error running script|^-ERR .*script killed/i)
})

test('FUNCTION KILL ends a function, for clients with RESP3 too', async (t) => {
  const { client, direct, server } = await startRig(t)
  await server.command('CONFIG', 'SET', 'lua-time-limit', '10')
  const runner = await client()
  assert.match(await runner.ask('HELLO', '3'), /^%/)
  const code = `#!lua name=busy\nredis.register_function('endless', function() ${endless} end)`
  assert.equal(await runner.ask('FUNCTION', 'LOAD', code), '$4\r\nbusy\r\n')
  const other = await client()
  assert.match(await other.ask('HELLO', '3'), /^%/)
  assert.match(await other.ask('FUNCTION', 'LIST'), /^\*1/)
  const witness = await direct()
  runner.send(encodeCommand(['FCALL', 'endless', '0']))
  await until('the server is busy', async () => (await witness.ask('PING')).startsWith('-BUSY'))
  assert.equal(await other.ask('FUNCTION', 'KILL'), '+OK\r\n')
  assert.match(await runner.reply(), /^-/)
})

test('CLIENT UNPAUSE gets past a write that waits', async (t) => {
  const { client, server } = await startRig(t, { commands: { allow: ['client'] } })
  const writer = await client()
  const other = await client()
  assert.equal(await other.ask('CLIENT', 'PAUSE', '60000', 'WRITE'), '+OK\r\n')
  writer.send(encodeCommand(['SET', 'k', 'v']))
  await until('the write waits', async () => (await server.info('blocked_clients')) === '1')
  assert.equal(await other.ask('CLIENT', 'UNPAUSE'), '+OK\r\n')
  assert.equal(await writer.reply(), '+OK\r\n')
})

test('while a script runs without end the others are told that the server is busy', async (t) => {
  const { client, server } = await startRig(t)
  await server.command('CONFIG', 'SET', 'lua-time-limit', '10')
  const other = await client()
  assert.equal(await other.ask('PING'), '+PONG\r\n')
  const runner = await client()
  runner.send(encodeCommand(['EVAL', endless, '0']))
  await until('the server is busy', async () => (await other.ask('PING')).startsWith('-BUSY'))
  assert.equal(await other.ask('SCRIPT', 'KILL'), '+OK\r\n')
  assert.match(await runner.reply(), /^-/)
  await until('the server is free', async () => (await other.ask('PING')) === '+PONG\r\n')
})

test('scripts and other commands of one client keep their order', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const count = 200
  const commands = Array.from({ length: count }, (_, index) => [
    ['SET', 'k', String(index)],
    ['EVAL', "return redis.call('GET', KEYS[1])", '1', 'k'],
    ['eval_ro', "return redis.call('GET', KEYS[1])", '1', 'k'],
    ['GET', 'k'],
  ])
  one.send(commands.flat().map(encodeCommand).join(''))
  const expected = Array.from({ length: count }, (_, index) => {
    const value = `$${String(index).length}\r\n${index}\r\n`
    return `+OK\r\n${value}${value}${value}`
  }).join('')
  await until('all replies come', () => one.text().length >= expected.length)
  assert.equal(one.text(), expected)
})

test('many blocking commands in turn leave no listeners behind', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const { client, server } = await startRig(t)
  for (let index = 0; index < 30; index += 1) {
    const one = await client()
    await server.command('RPUSH', 'list', 'x')
    assert.match(await one.ask('BLPOP', 'list', '0'), /^\*2/)
    one.socket.destroy()
  }
  assert.deepEqual(warnings, [])
})
