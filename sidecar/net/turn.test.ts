import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import { turnMemory } from './turn-memory.ts'
import { Turn } from './turn.ts'

test('a turn wakes, writes requests, then replies, and each once', async () => {
  const turn = new Turn()
  const done: string[] = []
  turn.addClient({ flush: () => done.push('client') })
  turn.addUpstream({ flush: () => done.push('upstream') })
  turn.addWake({ wake: () => done.push('wake') })
  turn.addClient({ flush: () => done.push('other client') })
  assert.deepEqual(done, [])
  await immediate()
  assert.deepEqual(done, ['wake', 'upstream', 'client', 'other client'])
  await immediate()
  assert.equal(done.length, 4)
})

test('what comes up while a turn ends is done in it or in the next', async () => {
  const turn = new Turn()
  const done: string[] = []
  const again = { flush: () => done.push('again') }
  turn.addWake({
    wake: () => {
      done.push('wake')
      turn.addUpstream({ flush: () => done.push('upstream') })
    },
  })
  turn.addClient({
    flush: () => {
      done.push('client')
      turn.addClient(again)
    },
  })
  await immediate()
  assert.deepEqual(done, ['wake', 'upstream', 'client'])
  await immediate()
  assert.deepEqual(done, ['wake', 'upstream', 'client', 'again'])
  turn.addClient(again)
  await immediate()
  assert.equal(done.length, 5)
})

test('the end of one turn leaves another what it has in memory', async () => {
  const [one, other] = [new Turn(), new Turn()]
  turnMemory.reset()
  const bytes = turnMemory.copy(Buffer.from('needed'))
  let seen = ''
  one.addClient({ flush: () => {} })
  other.addClient({
    flush: () => {
      turnMemory.copy(Buffer.from('others'))
      seen = String(bytes)
    },
  })
  await immediate()
  assert.equal(seen, 'needed')
  const next = turnMemory.copy(Buffer.from('of the next turn'))
  assert.equal(next.byteOffset, bytes.byteOffset)
})

test('who waits for something to be written is told, or told after a while', async () => {
  const turn = new Turn()
  const done: string[] = []
  const told = turn.next(10_000).then(() => done.push('told'))
  turn.addClient({ flush: () => done.push('client') })
  await told
  assert.deepEqual(done, ['client', 'told'])
  await turn.next(1)
})
