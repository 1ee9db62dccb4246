import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { TerminalError } from '../../common/errors.ts'
import { silentLog } from '../../common/log.ts'
import { WorkQueue, type WorkResult } from './queue.ts'

function queueOf(work: (key: string) => Promise<WorkResult>): WorkQueue {
  return new WorkQueue({ work, clock: systemClock, log: silentLog, random: () => 0 })
}

/** Resolves at the n-th call of the function that it returns. */
function counter(goal: number) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const calls: string[] = []
  const note = (key: string) => {
    calls.push(key)
    if (calls.length === goal) resolve()
  }
  return { promise, calls, note }
}

test('a key that is added often before its turn is worked on once', async () => {
  const { promise, calls, note } = counter(2)
  const queue = queueOf(async (key) => {
    note(key)
    return {}
  })
  queue.addAfter('a', 20)
  queue.addAfter('a', 10)
  queue.addAfter('a', 30)
  queue.addAfter('b', 40)
  await promise
  assert.deepEqual(calls, ['a', 'b'])
  await queue.stop()
})

test('a key is never worked on twice at once, and once more if it was added meanwhile', async () => {
  const [first, second] = [counter(1), counter(2)]
  const gate = Promise.withResolvers<void>()
  let active = 0
  const queue = queueOf(async (key) => {
    active += 1
    assert.equal(active, 1)
    first.note(key)
    second.note(key)
    await gate.promise
    active -= 1
    return {}
  })
  queue.add('a')
  await first.promise
  queue.add('a')
  queue.add('a')
  gate.resolve()
  await second.promise
  await queue.stop()
})

test('whoever comes in together is worked on together', async () => {
  const { promise, calls, note } = counter(2)
  const queue = queueOf(async (key) => {
    note(key)
    return {}
  })
  queue.add('a')
  // A promise that resolves is no new turn of the event loop: what was begun is under way before the next.
  await Promise.resolve()
  queue.add('a')
  assert.deepEqual(calls, [])
  queue.add('b')
  await promise
  assert.deepEqual(calls, ['a', 'b'])
  await queue.stop()
})

test('different keys are worked on side by side', async () => {
  const both = counter(2)
  const queue = queueOf(async (key) => {
    both.note(key)
    await both.promise
    return {}
  })
  queue.add('a')
  queue.add('b')
  await both.promise
  await queue.stop()
})

test('a failure is tried again, and a result is asked for again when it says so', async () => {
  const { promise, calls, note } = counter(4)
  const queue = queueOf(async (key) => {
    note(key)
    if (calls.length < 3) throw new Error('not yet')
    return calls.length === 3 ? { requeueAfterMs: 1 } : {}
  })
  queue.add('a')
  await promise
  await queue.stop()
})

test('a terminal error is not tried again by itself', async () => {
  const first = counter(1)
  const other = counter(1)
  const queue = queueOf(async (key) => {
    if (key === 'b') {
      other.note(key)
      return {}
    }
    first.note(key)
    throw new TerminalError('RM_CONFIG_INVALID', 'no')
  })
  queue.add('a')
  await first.promise
  queue.addAfter('b', 120)
  await other.promise
  assert.equal(first.calls.length, 1)
  await queue.stop()
})

test('stop waits for the work under way and starts no more', async () => {
  const gate = Promise.withResolvers<void>()
  const started = counter(1)
  let isDone = false
  const queue = queueOf(async (key) => {
    started.note(key)
    await gate.promise
    isDone = true
    return { requeueAfterMs: 0 }
  })
  queue.add('a')
  await started.promise
  const stopped = queue.stop()
  queue.add('b')
  gate.resolve()
  await stopped
  assert.equal(isDone, true)
  assert.equal(started.calls.length, 1)
})
