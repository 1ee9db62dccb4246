/**
 * Memory that is lent is overwritten the moment that its time is over (see `poison.ts`), while clients that come and
 * go ask in every way: whoever keeps a slice for too long answers somebody with it, and is found out.
 */
import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises'
import { type TestContext, test } from 'node:test'
import { poison, poisoned } from '../../support/poison.ts'
import { startServer } from '../../support/servers.ts'
import { readBuffer, turnMemory } from '../../../sidecar/net/turn-memory.ts'
import { ReplyPath } from '../../../sidecar/session/reply-path.ts'
import { randomProgram } from '../../fuzz/program.ts'
import { Control } from '../../fuzz/control.ts'
import { runDirectly, runThrough } from '../../fuzz/run.ts'
import { configFor, portOf, startPlane, startRig } from '../../integration/sidecar/harness.ts'
import { Random } from '../fuzz/random.ts'
import { ask, command, open } from '../wire.ts'
import { AlignmentClient, keyCount, keyOf, newTally, valueOf } from './client.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
const alignmentMs = isFull ? 60_000 : 2500
const programsMs = isFull ? 60_000 : 2500
const clientCount = 32
const killEveryMs = 500
/** Clients that ask for all and read little by little, of a server that stands still again and again. */
const slowClientCount = isFull ? 40 : 10
const slowBytes = isFull ? 30_000_000 : 3_000_000
/** Of one client and the next. */
const slowValueBytes = [
  [30, 900, 3000],
  [30, 900, 9000, 30_000, 100_000],
]
const stopEveryMs = 60
const slowReadMs = 2

test('memory is overwritten when its time is over, and not before', async () => {
  const ofTurn = turnMemory.copy(Buffer.from('turn'))
  const left = turnMemory.copy(Buffer.alloc(10_000, 'x'))
  turnMemory.leave(left)
  const read = readBuffer.subarray(0, 4)
  read.write('read')
  assert.equal(String(read) + String(ofTurn), 'readturn')
  await Promise.resolve()
  assert.equal(read[0], 'r'.charCodeAt(0))
  await immediate()
  assert.equal(read[0], poison)
  turnMemory.reset()
  assert.equal(ofTurn[0], poison)
  assert.equal(left[0], 'x'.charCodeAt(0))
})

test('a reply that is changed when it is whole is not overwritten before', async () => {
  const path = new ReplyPath()
  path.rewriteNext((reply) => reply.toUpperCase())
  const part = (text: string) => readBuffer.subarray(0, readBuffer.write(text))
  assert.equal(path.pass(part('some'), 0).length, 0)
  await immediate()
  assert.equal(String(path.pass(part('thing'), 1)), 'SOMETHING')
})

for (const isolation of ['shared', 'perClient'] as const) {
  test(`no reply holds what was overwritten, ${isolation} (FUZZ_SEED=${seed})`, async (t) => {
    const { server, port } = await startRig(t, { upstream: { isolation } })
    const ids = Array.from({ length: clientCount }, (_, index) => `c${index + 100}`)
    await load(server.port, ids)
    const tally = newTally()
    const deadline = performance.now() + alignmentMs
    const isOver = () => performance.now() > deadline
    const kills = setInterval(() => {
      ask(server.port, 'CLIENT', 'KILL', 'TYPE', 'normal').catch(() => {})
    }, killEveryMs)
    t.after(() => clearInterval(kills))
    await Promise.all(
      ids.map((id, index) =>
        new AlignmentClient({ port, id, random: new Random(seed + index), tally, isOver }).work(),
      ),
    )
    t.diagnostic(`${tally.right} replies, ${tally.errors} errors, ${tally.connections} connections`)
    assert.equal(tally.foreign, 0, tally.example)
    assert.equal(tally.hangs, 0)
    assert.ok(tally.right > clientCount * 10)
  })
}

for (const isolation of ['shared', 'perClient'] as const) {
  test(`what waits for a slow end is not overwritten, ${isolation}`, async (t) => {
    const server = await startServer()
    t.after(() => server.stop())
    // These hold little before a write has to wait.
    const unixPath = join(server.directory, 'sidecar.sock')
    const changes = { listeners: [{ unixPath }], upstream: { isolation } }
    await startPlane(t, configFor({ host: server.unixPath, port: 0 }, changes))
    let isStopped = false
    const stops = setInterval(() => {
      isStopped = !isStopped
      process.kill(server.pid, isStopped ? 'SIGSTOP' : 'SIGCONT')
    }, stopEveryMs)
    const ids = Array.from({ length: slowClientCount }, (_, index) => `s${index + 100}`)
    try {
      await Promise.all(
        ids.map((id, index) => readSlowly(t, unixPath, id, slowValueBytes[index % 2])),
      )
    } finally {
      clearInterval(stops)
      process.kill(server.pid, 'SIGCONT')
    }
  })
}

test(`random programs give the server’s own replies (FUZZ_SEED=${seed})`, async (t) => {
  const deadlines = { silenceMs: 2000, replyMs: 10_000 }
  const [oracle, oracleControl] = await startControlled(t)
  const [server, control] = await startControlled(t)
  const plane = await startPlane(t, { ...configFor(server), commands: { allow: ['*'] } })
  const deadline = performance.now() + programsMs
  for (let next = seed; performance.now() < deadline; next += 1) {
    const program = randomProgram(next)
    const transcript = await runDirectly(oracle.port, oracleControl, program, deadlines)
    const found = await runThrough(portOf(plane), control, transcript, deadlines)
    assert.equal(found, undefined, `of FUZZ_SEED=${next}: ${JSON.stringify(found)}`)
  }
})

test('all kinds of memory were overwritten', () => {
  for (const [kind, count] of Object.entries(poisoned)) assert.ok(count > 0, kind)
})

/** Sets and gets values that bear its name, all at once, and looks at every byte. */
async function readSlowly(
  t: TestContext,
  path: string,
  id: string,
  sizes: readonly number[] = [],
): Promise<void> {
  const socket = createConnection({ path })
  t.after(() => socket.destroy())
  const requests: Buffer[] = []
  const replies: string[] = []
  for (let [step, byteCount] = [0, 0]; byteCount < slowBytes; step += 1) {
    const size = sizes[step % sizes.length] ?? 0
    byteCount += size
    const value = `<${id}.${step}>`.repeat(size / 8 + 1)
    requests.push(command('SET', id, value), command('GET', id))
    replies.push('+OK\r\n', `$${value.length}\r\n${value}\r\n`)
  }
  const expected = Buffer.from(replies.join(''))
  socket.write(Buffer.concat(requests))
  let at = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const wanted = expected.subarray(at, at + chunk.length)
    const off = chunk.equals(wanted) ? -1 : chunk.findIndex((byte, index) => byte !== wanted[index])
    assert.equal(off, -1, `at ${at + off} of ${id}: ${chunk.toString('latin1', off, off + 60)}`)
    at += chunk.length
    if (at === expected.length) return
    // Its own pace is what it is slow by.
    await delay(slowReadMs)
  }
  assert.fail(`the connection of ${id} ended after ${at} of ${expected.length} bytes`)
}

async function load(port: number, ids: readonly string[]): Promise<void> {
  const wire = await open(port)
  for (const id of ids) {
    for (let index = 0; index < keyCount; index += 1) {
      wire.send(command('SET', keyOf(id, index), valueOf(id, index)))
    }
  }
  wire.socket.end()
  await new Promise((resolve) => wire.socket.once('close', resolve))
}

async function startControlled(t: TestContext) {
  const server = await startServer({ args: ['--hz', '500', '--notify-keyspace-events', 'KEA'] })
  const control = await Control.open(server.port)
  t.after(async () => {
    control.close()
    await server.stop()
  })
  return [server, control] as const
}
