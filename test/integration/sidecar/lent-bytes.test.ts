/** Memory that reads share: whatever clients send at once, in whatever pieces, each gets its own bytes back. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, createConnection } from 'node:net'
import { type TestContext, test } from 'node:test'
import { startRig } from './harness.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const clientCount = isFull ? 100 : 30
const stepCount = isFull ? 400 : 60
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Within a read, over several, and larger than is gathered. */
const sizes = [0, 1, 64, 64, 64, 900, 5000, 17_000, 70_000, 300_000]

/** Numbers from 0 to 1 that depend on `state` only. */
function randomFrom(state: number): () => number {
  let value = state
  return () => {
    value = (Math.imul(value, 1_664_525) + 1_013_904_223) >>> 0
    return value / 2 ** 32
  }
}

interface Program {
  readonly request: Buffer
  readonly reply: Buffer
}

/** Sets and reads values that no other client has, some in transactions. */
function programOf(id: number, random: () => number): Program {
  const request: string[] = []
  const reply: string[] = []
  for (let step = 0; step < stepCount; step += 1) {
    const size = sizes[Math.floor(random() * sizes.length)] ?? 0
    const value = `<${id}.${step}>`.repeat(size / 6 + 1).slice(0, size)
    const bulk = `$${value.length}\r\n${value}\r\n`
    const set = `*3\r\n$3\r\nSET\r\n${bulkOf(`key-${id}`)}${bulk}`
    const get = `*2\r\n$3\r\nGET\r\n${bulkOf(`key-${id}`)}`
    const isTransaction = random() < 0.1
    if (isTransaction) {
      request.push('*1\r\n$5\r\nMULTI\r\n', set, get, '*1\r\n$4\r\nEXEC\r\n')
      reply.push('+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n', bulk)
    } else {
      request.push(set, get, `*2\r\n$4\r\nECHO\r\n${bulkOf(`${id}`)}`)
      reply.push('+OK\r\n', bulk, bulkOf(`${id}`))
    }
  }
  return { request: Buffer.from(request.join('')), reply: Buffer.from(reply.join('')) }
}

function bulkOf(word: string): string {
  return `$${word.length}\r\n${word}\r\n`
}

async function send(socket: Socket, bytes: Buffer, random: () => number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(random() ** 4 * 200_000)
    const isTaken = socket.write(bytes.subarray(at, at + size))
    at += size
    if (!isTaken) await once(socket, 'drain')
    else if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve))
  }
}

async function receive(socket: Socket, expected: Buffer, random: () => number): Promise<void> {
  let at = 0
  for await (const chunk of socket) {
    const bytes = chunk as Buffer
    const wanted = expected.subarray(at, at + bytes.length)
    if (!bytes.equals(wanted)) {
      const off = bytes.findIndex((byte, index) => byte !== wanted[index])
      assert.fail(`at ${at + off}: ${bytes.toString('latin1', off, off + 60)}`)
    }
    at += bytes.length
    if (at >= expected.length) return
    if (random() < 0.05) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.fail(`the connection ended after ${at} of ${expected.length} bytes`)
}

async function converse(t: TestContext, port: number, id: number): Promise<void> {
  const random = randomFrom(seed + id)
  const { request, reply } = programOf(id, random)
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())
  await Promise.all([send(socket, request, random), receive(socket, reply, random)])
}

for (const isolation of ['shared', 'perClient'] as const) {
  test(`each client gets its own bytes, ${isolation} (FUZZ_SEED=${seed})`, async (t) => {
    const { port } = await startRig(t, { upstream: { isolation } })
    const clients = Array.from({ length: clientCount }, (_, id) => converse(t, port, id))
    await Promise.all(clients)
  })
}
