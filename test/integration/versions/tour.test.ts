/** Through a sidecar every version of the servers answers as it does without one, byte by byte. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ServerProgram, seriesStates } from '../../support/server-versions.ts'
import { startServer } from '../../support/servers.ts'
import {
  type Client,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'
import { type Scene, commandsOf, scenes } from './tour.ts'

/** Opens a client in the protocol of the tour. */
type Open = () => Promise<Client>
type Side = { readonly open: Open; readonly blockedClients: () => Promise<string> }

for (const state of await seriesStates()) {
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  for (const protocol of ['2', '3']) {
    const name = `${state.name} ${state.series} answers in RESP${protocol} as without a sidecar`
    test(name, { skip }, async (t) => {
      assert.equal(state.kind, 'found')
      if (state.kind === 'found') await tour(t, state.program, protocol)
    })
  }
}

async function tour(t: TestContext, program: ServerProgram, protocol: string): Promise<void> {
  const [direct, behind] = [await startServer({ program }), await startServer({ program })]
  t.after(() => Promise.all([direct.stop(), behind.stop()]))
  const plane = await startPlane(t, configFor(behind))
  await until('the primary is there', () => plane.view().primary === 'ok')
  const side = (port: number, server: typeof direct): Side => ({
    open: () => openClient(t, port, protocol),
    blockedClients: () => server.info('blocked_clients'),
  })
  const sides = [side(direct.port, direct), side(portOf(plane), behind)] as const
  for (const scene of scenes) await same(sides, scene.name, ({ open }) => play(open, scene))
  await same(sides, 'blocking commands', playBlocking)
  await same(sides, 'messages', playMessages)
}

async function same(
  sides: readonly [Side, Side],
  what: string,
  run: (side: Side) => Promise<readonly string[]>,
): Promise<void> {
  const expected = await run(sides[0])
  assert.deepEqual(await run(sides[1]), expected, what)
}

async function openClient(t: TestContext, port: number, protocol: string): Promise<Client> {
  const client = await connect(t, port)
  assert.match(await client.ask('HELLO', protocol), /proto\r\n:[23]\r\n/)
  return client
}

async function play(open: Open, scene: Scene): Promise<readonly string[]> {
  const client = await open()
  const commands = commandsOf(scene)
  client.send(commands.map(encodeCommand).join(''))
  const replies = await client.replies(commands.length)
  return replies.map((reply, index) => `${commands[index]?.join(' ')} → ${reply}`)
}

async function playBlocking({ open, blockedClients }: Side): Promise<readonly string[]> {
  const [waiting, giving] = [await open(), await open()]
  const replies: string[] = []
  const waits = [
    [
      ['BLPOP', 'q', '0'],
      ['RPUSH', 'q', 'v'],
    ],
    [
      ['BLMOVE', 'q', 'p', 'LEFT', 'RIGHT', '0'],
      ['RPUSH', 'q', 'v'],
    ],
    [
      ['BLMPOP', '0', '1', 'q', 'LEFT'],
      ['RPUSH', 'q', 'v', 'w'],
    ],
    [
      ['BZPOPMIN', 'zq', '0'],
      ['ZADD', 'zq', '1.5', 'v'],
    ],
    [
      ['BZMPOP', '0', '1', 'zq', 'MAX'],
      ['ZADD', 'zq', '1.5', 'v'],
    ],
    [
      ['XREAD', 'BLOCK', '0', 'STREAMS', 'sq', '$'],
      ['XADD', 'sq', '9-9', 'f', 'v'],
    ],
  ] as const
  for (const [wait, give] of waits) {
    waiting.send(encodeCommand(wait))
    await until('it waits', async () => (await blockedClients()) === '1')
    replies.push(await giving.ask(...give), await waiting.reply())
  }
  replies.push(await waiting.ask('BLPOP', 'nothing', '0.01'))
  return replies
}

async function playMessages({ open }: Side): Promise<readonly string[]> {
  const [listening, telling] = [await open(), await open()]
  listening.send(encodeCommand(['SUBSCRIBE', 'a', 'b']) + encodeCommand(['PSUBSCRIBE', 'n*']))
  const replies = await listening.replies(3)
  for (const channel of ['a', 'news', 'c']) replies.push(await telling.ask('PUBLISH', channel, 'm'))
  replies.push(...(await listening.replies(2)))
  replies.push(await listening.ask('SSUBSCRIBE', 's'), await telling.ask('SPUBLISH', 's', 'm'))
  replies.push(await listening.reply(), await listening.ask('PING'))
  const ends = [['UNSUBSCRIBE', 'a'], ['UNSUBSCRIBE'], ['PUNSUBSCRIBE', 'n*']]
  listening.send(ends.map(encodeCommand).join(''))
  replies.push(...(await listening.replies(3)), await listening.ask('SUNSUBSCRIBE', 's'))
  replies.push(await listening.ask('GET', 'none'))
  return replies
}
