/** Commands that were sent to a primary that never answered: which are sent again to the next one, and which are not. */
import assert from 'node:assert/strict'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { sentPieceBytesMax } from '../../../common/limits.ts'
import { type RedisServer, startServer } from '../../support/servers.ts'
import {
  type Client,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'

const lost = /^-PROXY RM_UPSTREAM_LOST /
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

/** Servers that tell their names, and a sidecar before the first of them. */
async function scene(t: TestContext) {
  const servers = await Promise.all([startServer(), startServer()])
  for (const [index, server] of servers.entries()) {
    t.after(() => server.stop())
    await server.command('SET', 'who', `server${index}`)
  }
  const [first, second] = servers
  const plane = await startPlane(t, configFor(first))
  await until('the primary is there', () => plane.view().primary === 'ok')
  let epoch = 0
  const goOver = (server: RedisServer) => {
    epoch += 1
    void plane.apply({ ...configFor(server), epoch })
  }
  const inFlight = (wanted: number) =>
    until('they are in flight', () => plane.view().inFlightCommands === wanted)
  const client = async (): Promise<Client> => {
    const made = await connect(t, portOf(plane))
    // The first reply lets it send several at once.
    for (let index = 0; index < 4; index += 1) {
      made.send(encodeCommand(['PING']).repeat(32))
      await made.replies(32)
    }
    return made
  }
  return { first, second, plane, goOver, inFlight, client }
}

const get = encodeCommand(['GET', 'who'])
const set = encodeCommand(['SET', 'k', 'v'])

test('reads that were not answered are answered by the next primary, without an error', async (t) => {
  const { first, second, plane, goOver, inFlight, client } = await scene(t)
  const clients = await Promise.all(Array.from({ length: 10 }, client))
  first.signal('SIGSTOP')
  for (const one of clients) one.send(get.repeat(5))
  await inFlight(50)
  goOver(second)
  for (const one of clients) {
    assert.deepEqual(
      await one.replies(5),
      Array.from({ length: 5 }, () => bulk('server1')),
    )
  }
  const { commandsLost, commandsSentAgain } = plane.view().counters
  assert.deepEqual([commandsLost, commandsSentAgain], [0, 50])
})

test('so are they when the server is killed, and its successor is named later', async (t) => {
  const { first, second, plane, goOver, inFlight, client } = await scene(t)
  const one = await client()
  first.signal('SIGSTOP')
  one.send(get)
  await inFlight(1)
  await first.kill()
  await until('it is held', () => plane.view().heldCommands === 1)
  goOver(second)
  assert.equal(await one.reply(), bulk('server1'))
})

test('writes get one error each, and what comes behind them goes on', async (t) => {
  const { first, second, plane, goOver, inFlight, client } = await scene(t)
  const one = await client()
  first.signal('SIGSTOP')
  one.send(set + set + get + get)
  await inFlight(4)
  goOver(second)
  one.send(encodeCommand(['ECHO', 'later']))
  const replies = await one.replies(5)
  for (const reply of replies.slice(0, 2)) assert.match(reply, lost)
  assert.deepEqual(replies.slice(2), [bulk('server1'), bulk('server1'), bulk('later')])
  assert.equal(await second.command('EXISTS', 'k'), ':0\r\n', 'a write was not sent again')
  assert.equal(plane.view().counters.commandsLost, 2)
})

test('a read in front of a write that may have been run is not sent behind it', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const one = await client()
  first.signal('SIGSTOP')
  one.send(get + set + get)
  await inFlight(3)
  goOver(second)
  const [read, written, again] = await one.replies(3)
  assert.match(read ?? '', lost)
  assert.match(written ?? '', lost)
  assert.equal(again, bulk('server1'))
})

test('what was answered is not sent again, and what was not sent goes on in its place', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const [one, other] = [await client(), await client()]
  assert.equal(await one.ask('GET', 'who'), bulk('server0'))
  other.send(encodeCommand(['INCR', 'n']))
  assert.equal(await other.reply(), ':1\r\n')
  first.signal('SIGSTOP')
  one.send(get)
  await inFlight(1)
  goOver(second)
  one.send(encodeCommand(['INCR', 'n']) + get)
  other.send(encodeCommand(['INCR', 'n']))
  assert.deepEqual(await one.replies(3).then((all) => [all[0], all[2]]), [
    bulk('server1'),
    bulk('server1'),
  ])
  await other.reply()
  assert.equal(await second.command('GET', 'n'), bulk('2'))
})

test('a read is sent again once: what ends one server shall not end all', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  let endedCount = 0
  const fragile = createServer((near) => {
    const far = createConnection({ port: server.port, host: '127.0.0.1' })
    for (const socket of [near, far]) {
      t.after(() => socket.destroy())
      socket.on('error', () => {})
      socket.on('close', () => (socket === near ? far : near).destroy())
    }
    far.pipe(near)
    near.on('data', (chunk) => {
      if (chunk.includes('GET')) {
        endedCount += 1
        near.destroy()
      } else far.write(chunk)
    })
  })
  await new Promise<void>((resolve) => {
    fragile.listen(0, '127.0.0.1', resolve)
  })
  t.after(() => fragile.close())
  const { port } = fragile.address() as AddressInfo
  const plane = await startPlane(t, configFor({ host: '127.0.0.1', port }))
  const one = await connect(t, portOf(plane))
  one.send(get)
  assert.match(await one.reply(), lost)
  assert.equal(endedCount, 2)
  assert.equal(await one.ask('PING'), '+PONG\r\n')
})

test('the same holds for who has a connection of its own, in another database say', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const [one, other] = [await client(), await client()]
  for (const each of [one, other]) assert.equal(await each.ask('SELECT', '2'), '+OK\r\n')
  assert.equal(
    await second.command('EVAL', "redis.call('SELECT', 2) redis.call('SET', 'a', 'b')", '0'),
    '$-1\r\n',
  )
  first.signal('SIGSTOP')
  one.send(encodeCommand(['GET', 'a']).repeat(2))
  other.send(set + encodeCommand(['GET', 'a']))
  await inFlight(4)
  goOver(second)
  assert.deepEqual(await one.replies(2), [bulk('b'), bulk('b')])
  assert.match(await other.reply(), lost)
  assert.equal(await other.reply(), bulk('b'))
})

test('a read within a transaction, or behind WATCH, is not sent again', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const [queued, watching] = [await client(), await client()]
  assert.equal(await queued.ask('MULTI'), '+OK\r\n')
  assert.equal(await watching.ask('WATCH', 'who'), '+OK\r\n')
  first.signal('SIGSTOP')
  for (const each of [queued, watching]) each.send(get)
  await inFlight(2)
  goOver(second)
  assert.match(await queued.reply(), lost)
  assert.match(await watching.reply(), lost)
})

test('reads whose bytes are not kept get the error', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const one = await client()
  first.signal('SIGSTOP')
  one.send(encodeCommand(['GET', 'x'.repeat(sentPieceBytesMax)]))
  await inFlight(1)
  goOver(second)
  assert.match(await one.reply(), lost)
})

test('a client that wants no replies to some commands is sent none twice', async (t) => {
  const { first, second, goOver, inFlight, client } = await scene(t)
  const one = await client()
  first.signal('SIGSTOP')
  one.send(encodeCommand(['CLIENT', 'REPLY', 'SKIP']) + get + get)
  await inFlight(1)
  goOver(second)
  // The first of them is lost without a word.
  assert.equal(await one.reply(), bulk('server1'))
})
