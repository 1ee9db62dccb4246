/** Publish and subscribe as a server counts it, and how much of it outlives a connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { subscriptionsMax } from '../../../common/limits.ts'
import { encodeCommand, startRig, until } from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

for (const protocol of ['2', '3'] as const) {
  test(`every subscriber is counted by the server and told once, in RESP${protocol}`, async (t) => {
    const { client, server, plane } = await startRig(t)
    const subscribers = await Promise.all(Array.from({ length: 20 }, client))
    const mark = protocol === '3' ? '>' : '*'
    for (const [index, one] of subscribers.entries()) {
      await one.ask('HELLO', protocol)
      one.send(encodeCommand(['SUBSCRIBE', 'all', `own:${index}`]) + encodeCommand(['PING', 'x']))
      assert.match((await one.replies(3)).at(-1) ?? '', /x\r\n$/)
    }
    assert.equal(await server.command('PUBLISH', 'all', 'hello'), ':20\r\n')
    assert.equal(await server.command('PUBSUB', 'NUMSUB', 'own:7'), `*2\r\n${bulk('own:7')}:1\r\n`)
    for (const one of subscribers) {
      assert.equal(
        await one.reply(),
        `${mark}3\r\n${bulk('message')}${bulk('all')}${bulk('hello')}`,
      )
    }
    for (const one of subscribers) one.send(encodeCommand(['UNSUBSCRIBE']))
    for (const one of subscribers) await one.replies(2)
    await until('their connections are given back', () => plane.view().pinnedConnections === 0)
    for (const one of subscribers) assert.equal(one.text(), '')
  })

  test(`all that is subscribed up to the bound comes back, in RESP${protocol}`, async (t) => {
    const { client, server } = await startRig(t)
    const one = await client()
    await one.ask('HELLO', protocol)
    const names = Array.from({ length: subscriptionsMax }, (_, index) => `c${index}`)
    for (let at = 0; at < names.length; at += 1000) {
      const before = one.received.length
      one.send(encodeCommand(['SUBSCRIBE', ...names.slice(at, at + 1000)]))
      await until('they are confirmed', () => one.text().endsWith(`:${at + 1000}\r\n`))
      assert.ok(one.received.length > before)
    }
    one.received = Buffer.alloc(0)
    await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const last = names.at(-1) ?? ''
    await until(
      'it is subscribed',
      async () => (await server.command('PUBLISH', last, 'x')) === ':1\r\n',
    )
    assert.match(await one.reply(), new RegExp(`${last}\r\n`))
    assert.equal(await server.command('PUBLISH', 'c0', 'y'), ':1\r\n')
    assert.match(await one.reply(), /\r\nc0\r\n/)
    const more = await one.ask('SUBSCRIBE', 'one more')
    assert.match(more, new RegExp(`:${subscriptionsMax + 1}\r\n$`))
    await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await one.rest()
  })
}

test('a subscriber that is in the middle of a message when the connection ends is closed', async (t) => {
  const { client, server } = await startRig(t, { limits: { clientOutputBytesMax: 4096 } })
  const one = await client()
  await one.ask('SUBSCRIBE', 'c')
  one.socket.pause()
  for (let index = 0; index < 6; index += 1) {
    await server.command('PUBLISH', 'c', 'x'.repeat(4 * 2 ** 20))
  }
  await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
  one.socket.resume()
  await one.rest()
})
