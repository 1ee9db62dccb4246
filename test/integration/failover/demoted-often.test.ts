/**
 * A primary that is made a replica and a primary again, many times, under clients that pipeline what they like: nobody
 * hears of it, every write is run once, and in the order of its client.
 */
import assert from 'node:assert/strict'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Random } from '../../sim/random.ts'
import { type Client, until } from '../sidecar/harness.ts'
import { type DemotedScene, demotedScene, nowhere, pipeline, warmUp } from './demoted-scene.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const demotions = isFull ? 100 : 8
const clientCount = 12
const pipelineMax = 60

/** Passes bytes on, those of the server in small pieces, so that replies come torn. */
async function tearing(t: TestContext, port: number, random: Random): Promise<number> {
  const relay = createServer((client) => {
    const server = createConnection({ port, host: '127.0.0.1', noDelay: true })
    client.setNoDelay(true)
    client.pipe(server)
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
    let queue = Buffer.alloc(0)
    let isRunning = false
    const run = () => {
      isRunning = queue.length > 0
      if (!isRunning) return
      const length = 1 + random.below(40)
      client.write(queue.subarray(0, length))
      queue = queue.subarray(length)
      setImmediate(run)
    }
    server.on('data', (chunk: Buffer) => {
      queue = Buffer.concat([queue, chunk])
      if (!isRunning) run()
    })
  })
  relay.listen(0, '127.0.0.1')
  await new Promise((resolve) => relay.once('listening', resolve))
  t.after(() => relay.close())
  return (relay.address() as AddressInfo).port
}

/** Sends pipelines until `isOver`, and checks each reply against what one server that never changes would say. */
async function work(client: Client, key: string, random: Random, isOver: () => boolean) {
  let length = 0
  while (!isOver()) {
    const commands: string[][] = []
    const expected: string[] = []
    const count = 1 + random.below(pipelineMax)
    for (let index = 0; index < count; index += 1) {
      const kind = random.below(4)
      if (kind < 2) {
        length += 1
        commands.push(['RPUSH', key, String(length)])
        expected.push(`:${length}\r\n`)
      } else if (kind === 2) {
        commands.push(['LLEN', key])
        expected.push(`:${length}\r\n`)
      } else {
        commands.push(['LINDEX', key, '-1'])
        const last = String(length)
        expected.push(length === 0 ? '$-1\r\n' : `$${last.length}\r\n${last}\r\n`)
      }
    }
    client.send(pipeline(...commands))
    assert.deepEqual(await client.replies(count), expected)
  }
  return length
}

async function disturb({ first, plane }: DemotedScene): Promise<void> {
  for (let count = 0; count < demotions; count += 1) {
    const before = plane.view().counters.commands
    await until('clients go on', () => plane.view().counters.commands > before + 1000)
    await first.command('REPLICAOF', ...nowhere)
    await until('it is found out', () => plane.view().primary === 'failing')
    await first.command('REPLICAOF', 'NO', 'ONE')
    await until('it is taken back', () => plane.view().primary === 'ok')
  }
}

for (const isolation of ['shared', 'perClient'] as const) {
  test(`clients that pipeline hear nothing of a primary that is demoted again and again, ${isolation}`, async (t) => {
    const seed = Number(process.env['RESPMESH_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.diagnostic(`RESPMESH_TEST_SEED=${seed}`)
    const random = new Random(seed)
    const scene = await demotedScene(t, { upstream: { isolation } }, (port) =>
      tearing(t, port, random),
    )
    const clients = await Promise.all(Array.from({ length: clientCount }, scene.client))
    await Promise.all(clients.map((client) => warmUp(client, pipelineMax)))
    let isOver = false
    const working = Promise.all(
      clients.map((client, index) => work(client, `list:${index}`, random, () => isOver)),
    )
    const disturbed = disturb(scene).finally(() => {
      isOver = true
    })
    const [lengths] = await Promise.all([working, disturbed])
    for (const [index, length] of lengths.entries()) {
      const list = await scene.first.command('LRANGE', `list:${index}`, '0', '-1')
      const found = list.split('\r\n').filter((_line, at) => at > 0 && at % 2 === 0)
      assert.deepEqual(
        found.filter((word) => word !== ''),
        Array.from({ length }, (_, at) => String(at + 1)),
      )
    }
    const { commandsLost, refusedByState } = scene.plane.view().counters
    assert.equal(commandsLost, 0)
    assert.ok(refusedByState > 0)
  })
}
