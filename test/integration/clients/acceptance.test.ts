/** Cases that other proxies are known to fail, each beside the server itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, encodeCommand, startRig, until } from '../sidecar/harness.ts'

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
const mark = 'the end'
const end = `$${mark.length}\r\n${mark}\r\n`

/** All that comes back for these bytes, sent in pieces of `size`. */
async function answered(open: () => Promise<Client>, bytes: Buffer, size = bytes.length) {
  const one = await open()
  const whole = Buffer.concat([bytes, Buffer.from(encodeCommand(['ECHO', mark]))])
  for (let at = 0; at < whole.length; at += size) {
    one.socket.write(whole.subarray(at, at + size))
    if (size < bytes.length) await new Promise(setImmediate)
  }
  await until('all is answered', () => one.text().endsWith(end))
  one.socket.destroy()
  return one.text()
}

test('lines, empty lines and frames get the same bytes, one byte at a time and at once', async (t) => {
  const { client, direct } = await startRig(t)
  const lines = 'PING\r\n\r\n\nping x\nECHO "a\\x00b" \r\nSET k v\r\nGET k\r\nNO-SUCH a\r\n'
  const bytes = Buffer.from(`${lines}${encodeCommand(['STRLEN', 'k'])}*0\r\nPING\r\n`)
  const expected = await answered(direct, bytes)
  assert.equal(await answered(client, bytes), expected)
  assert.equal(await answered(client, bytes, 1), expected)
})

test('a SET behind a GET in one chunk reaches the server, with every byte in key and value', async (t) => {
  const { client, direct } = await startRig(t)
  const size = Buffer.from('$256\r\n')
  const crlf = Buffer.from('\r\n')
  const argument = Buffer.concat([size, allBytes, crlf])
  const get = Buffer.concat([Buffer.from('*2\r\n$3\r\nGET\r\n'), argument])
  const set = Buffer.concat([Buffer.from('*3\r\n$3\r\nSET\r\n'), argument, argument])
  const found = await answered(client, Buffer.concat([get, set, get]))
  const value = argument.toString('latin1')
  assert.equal(found, `$-1\r\n+OK\r\n${value}${end}`)
  assert.equal(await answered(direct, get), `${value}${end}`)
})

test('unknown commands and sub-commands have the server’s text, so that clients fall back', async (t) => {
  const { client, direct } = await startRig(t)
  const commands = [
    ['NO-SUCH'],
    ['no-such', 'a', 'b c', 'x'.repeat(300), 'y'.repeat(300)],
    ['CLIENT', 'NO-SUCH', 'x'],
    ['COMMAND', 'NO-SUCH'],
    ['HELLO', '4'],
    ['HELLO', 'x'],
    ['HELLO', '3', 'NO-SUCH'],
    ['FT.SEARCH', 'index', '*'],
    ['CLIENT'],
  ]
  const bytes = Buffer.from(commands.map(encodeCommand).join(''))
  assert.equal(await answered(client, bytes), await answered(direct, bytes))
})

test('without a server every command gets one whole line, in order, and the connection stays', async (t) => {
  const { client, server } = await startRig(t, { timing: { holdTimeoutMs: 200 } })
  const one = await client()
  assert.equal(await one.ask('PING'), '+PONG\r\n')
  await server.kill()
  const commands = [
    ['GET', 'a'],
    ['CLIENT', 'SETNAME', 'me'],
    ['SET', 'a', 'b'],
    ['CLIENT', 'GETNAME'],
  ]
  one.send(commands.map(encodeCommand).join(''))
  const [first, second, third, fourth] = await one.replies(4)
  for (const reply of [first, third]) assert.match(reply ?? '', /^-PROXY RM_[A-Z_]+ [^\r\n]+\r\n$/)
  assert.deepEqual([second, fourth], ['+OK\r\n', '$2\r\nme\r\n'])
  await server.restart()
  await until('it is served again', async () => (await one.ask('ECHO', 'x')) === '$1\r\nx\r\n')
})

test('what the server gets besides clients’ commands is little', async (t) => {
  const { client, server } = await startRig(t)
  const one = await client()
  const commandCount = 20_000
  const before = Number(await server.info('total_commands_processed'))
  one.send(encodeCommand(['SET', 'k', 'v']).repeat(commandCount))
  await until('all is answered', () => one.received.length === 5 * commandCount)
  const processed = Number(await server.info('total_commands_processed')) - before
  assert.ok(processed >= commandCount)
  assert.ok(processed - commandCount < commandCount / 100, `${processed} for ${commandCount}`)
})
