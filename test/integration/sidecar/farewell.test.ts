/** What a client sees, and may still do, when the sidecar ends its connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRig, until } from './harness.ts'

test('a client that sends on after its protocol error is told and cut soon', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  one.socket.removeAllListeners('end')
  one.send('*x\r\n')
  await until('it is told why', () => one.text().endsWith('\r\n'))
  assert.match(one.text(), /^-ERR Protocol error/)
  const sendOn = () => {
    if (!one.isClosed && one.socket.write(Buffer.alloc(4096, 0x41))) setImmediate(sendOn)
    else if (!one.isClosed) one.socket.once('drain', sendOn)
  }
  sendOn()
  await until('it is cut', () => one.isClosed, 3000)
})

test('a session is over as soon as both sides said so', async (t) => {
  const { client, plane } = await startRig(t)
  const one = await client()
  one.send('*x\r\n')
  assert.match(await one.rest(), /^-ERR Protocol error/)
  await until('it is forgotten', () => plane.view().clients === 0, 1000)
})

test('all replies before QUIT arrive, however much is sent after it', async (t) => {
  const { client } = await startRig(t)
  const one = await client()
  const value = 'v'.repeat(100_000)
  assert.equal(await one.ask('SET', 'k', value), '+OK\r\n')
  const tail = 'PING\r\n'.repeat(200_000)
  one.send(`${'GET k\r\n'.repeat(50)}QUIT\r\n${tail}`)
  const expected = `${`$100000\r\n${value}\r\n`.repeat(50)}+OK\r\n`
  await until('all replies come', () => one.received.length >= expected.length)
  assert.ok(one.text() === expected)
})
