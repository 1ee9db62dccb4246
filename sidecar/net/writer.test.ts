import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, createConnection, createServer } from 'node:net'
import { test } from 'node:test'
import { capabilities } from './node-internals.ts'
import { Outbox } from './outbox.ts'
import { readBytes } from './reader.ts'
import { ownBytes, readBuffer, turnBytes, turnMemory } from './turn-memory.ts'
import { SocketWriter } from './writer.ts'

/** Two ends of a TCP connection. */
async function withPair(use: (near: Socket, far: Socket) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const far = createConnection({ port: address.port, host: '127.0.0.1', allowHalfOpen: true })
  const [near] = (await once(server, 'connection')) as [Socket]
  try {
    await use(near, far)
  } finally {
    near.destroy()
    far.destroy()
    server.close()
  }
}

test('the pinned Node is written to and read from directly', () => {
  assert.deepEqual(capabilities, { writesDirectly: true, readsInPlace: true })
})

test('what a slow reader is sent arrives whole and in order, and drains', async () => {
  await withPair(async (near, far) => {
    const writer = new SocketWriter(near)
    let drainCount = 0
    writer.onDrain = () => {
      drainCount += 1
    }
    far.pause()
    const expected: Buffer[] = []
    for (let index = 0; !writer.isFull || index < 100; index += 1) {
      const bytes = turnMemory.take(1 + ((index * 7919) % 40_000))
      bytes.fill(index)
      expected.push(Buffer.from(bytes))
      writer.write(bytes)
      turnMemory.reset()
      turnMemory.take(1000).fill(255)
      turnMemory.reset()
    }
    assert.ok(writer.backlogBytes > 0)
    assert.equal(drainCount, 0)
    near.end()
    const received: Buffer[] = []
    far.on('data', (chunk: Buffer) => received.push(chunk)).resume()
    await once(far, 'end')
    assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)))
    assert.equal(drainCount, 1)
    assert.equal(writer.backlogBytes, 0)
  })
})

test('what the system takes at once leaves nothing behind', async () => {
  await withPair(async (near, far) => {
    const writer = new SocketWriter(near)
    assert.equal(writer.write(Buffer.from('now')), true)
    assert.equal(writer.backlogBytes, 0)
    assert.equal(writer.isFull, false)
    assert.equal(String((await once(far, 'data'))[0]), 'now')
  })
})

test('a socket whose other end is gone is destroyed by a write', async () => {
  await withPair(async (near, far) => {
    const writer = new SocketWriter(near)
    near.on('error', () => {}).pause()
    far.resetAndDestroy()
    await until(() => {
      writer.write(Buffer.alloc(1000))
      return near.destroyed
    })
    assert.equal(writer.write(Buffer.from('late')), true)
  })
})

test('bytes are lent for one call, and reading stops and goes on', async () => {
  await withPair(async (near, far) => {
    let received = ''
    let isLent = true
    readBytes(near, (bytes) => {
      received += bytes.toString()
      isLent &&= bytes.buffer === readBuffer.buffer
    })
    const ended = once(near, 'end')
    far.write('one ')
    await until(() => received === 'one ')
    near.pause()
    far.write('two ')
    const other = await echoed(far, near)
    assert.equal(received, 'one ')
    near.resume()
    await until(() => received === 'one two ')
    far.end('three')
    await ended
    assert.equal(received, 'one two three')
    assert.equal(other, 'back')
    assert.ok(isLent)
  })
})

test('copies are made of what is lent, and only of that', () => {
  const lent = readBuffer.subarray(0, 4)
  lent.write('lent')
  const forTurn = turnBytes(lent)
  const forGood = ownBytes(forTurn)
  readBuffer.fill(0)
  assert.equal(forTurn.toString(), 'lent')
  turnMemory.reset()
  turnMemory.take(4).fill(0)
  turnMemory.reset()
  assert.equal(forGood.toString(), 'lent')
  assert.equal(turnBytes(forGood), forGood)
  assert.equal(ownBytes(forGood), forGood)
})

/** A round trip the other way: by then what was written before has come. */
async function echoed(far: Socket, near: Socket): Promise<string> {
  near.write('back')
  return String((await once(far, 'data'))[0])
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

test('parts of large values pass through the same few chunks, whole and in order', async () => {
  await withPair(async (near, far) => {
    const writer = new SocketWriter(near)
    const outbox = new Outbox(writer, () => {})
    const received: Buffer[] = []
    far.on('data', (chunk: Buffer) => received.push(chunk)).pause()
    const expected: Buffer[] = []
    for (let index = 0; index < 300; index += 1) {
      const lent = readBuffer.subarray(0, index % 3 === 0 ? 100 : readBuffer.length - index)
      lent.fill(index)
      expected.push(Buffer.from(lent))
      outbox.push(lent)
      if (index % 7 === 0) outbox.flush()
      if (index === 150) far.resume()
      if (index > 150) await new Promise((resolve) => setImmediate(resolve))
    }
    outbox.flush()
    near.end()
    await once(far, 'end')
    assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)))
    assert.equal(writer.backlogBytes, 0)
  })
})
