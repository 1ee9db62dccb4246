import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
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
