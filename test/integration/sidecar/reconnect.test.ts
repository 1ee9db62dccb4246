/** Many clients with connections of their own come back after a restart of the server, a few at a time. */
import assert from 'node:assert/strict'
import { type Server, type Socket, createConnection, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pinnedOpeningMax } from '../../../common/limits.ts'
import { startServer } from '../../support/servers.ts'
import { configFor, connect, encodeCommand, portOf, startPlane, until } from './harness.ts'

const subscriberCount = 500
/** The shared connection, the one in reserve, and one that asks who the server is. */
const othersMax = 4

/** Passes connections on to `port`, and knows how many at once had no answer yet. */
class Relay {
  opening = 0
  openingMax = 0
  openedCount = 0
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  constructor(t: TestContext, port: number) {
    this.server = createServer((near) => this.pass(near, port))
    t.after(() => {
      this.server.close()
      for (const socket of this.sockets) socket.destroy()
    })
  }

  async listen(): Promise<{ host: string; port: number }> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.server.listen(0, '127.0.0.1', resolve)
    await promise
    const address = this.server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return { host: '127.0.0.1', port: address.port }
  }

  private pass(near: Socket, port: number): void {
    const far = createConnection({ host: '127.0.0.1', port })
    this.openedCount += 1
    this.opening += 1
    this.openingMax = Math.max(this.openingMax, this.opening)
    let isOpening = true
    const answered = () => {
      if (isOpening) this.opening -= 1
      isOpening = false
    }
    far.once('data', answered)
    for (const socket of [near, far]) {
      this.sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        answered()
        this.sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}

test('500 subscribers are back soon after a restart, and came a few at a time', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const relay = new Relay(t, server.port)
  const plane = await startPlane(t, configFor(await relay.listen()))
  const clients = await Promise.all(
    Array.from({ length: subscriberCount }, () => connect(t, portOf(plane))),
  )
  for (const [index, one] of clients.entries()) {
    one.send(encodeCommand(['SUBSCRIBE', 'all', `own-${index}`]))
  }
  for (const one of clients) await one.replies(2)
  assert.ok(relay.openingMax <= pinnedOpeningMax + othersMax, `${relay.openingMax} at first`)
  relay.openingMax = 0
  await server.kill()
  await until('its end is noticed', () => plane.view().primary === 'failing')
  const before = relay.openedCount
  await server.restart()
  const subscribed = `*4\r\n$3\r\nall\r\n:${subscriberCount}\r\n$7\r\nown-499\r\n:1\r\n`
  await until(
    'all are subscribed again',
    async () => (await server.command('PUBSUB', 'NUMSUB', 'all', 'own-499')) === subscribed,
    30_000,
  )
  await server.command('PUBLISH', 'all', 'now')
  for (const one of clients) assert.match(await one.reply(), /\$7\r\nmessage\r\n\$3\r\nall\r\n/)
  assert.ok(relay.openingMax <= pinnedOpeningMax + othersMax, `${relay.openingMax} at once`)
  const tries = relay.openedCount - before
  assert.ok(tries < 2 * subscriberCount, `${tries} connections for ${subscriberCount} clients`)
})
