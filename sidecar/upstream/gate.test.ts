import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gate } from './gate.ts'

function task() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const state = { isRunning: false, end: resolve }
  const run = async () => {
    state.isRunning = true
    await promise
    state.isRunning = false
  }
  return { state, run }
}

test('so many pass at a time, and those who came first go first', async () => {
  const gate = new Gate(2)
  const { signal } = new AbortController()
  const tasks = Array.from({ length: 5 }, task)
  const passed = tasks.map(({ run }) => gate.pass(run, signal))
  const running = () => tasks.map(({ state }) => (state.isRunning ? 1 : 0)).join('')
  await Promise.resolve()
  assert.equal(running(), '11000')
  tasks[1]?.state.end()
  await passed[1]
  assert.equal(running(), '10100')
  tasks[0]?.state.end()
  await passed[0]
  assert.equal(running(), '00110')
  for (const { state } of tasks) state.end()
  await Promise.all(passed)
})

test('who gives up while waiting takes no place, and one that fails leaves its own', async () => {
  const gate = new Gate(1)
  const { signal } = new AbortController()
  const [first, last] = [task(), task()]
  const passed = gate.pass(first.run, signal)
  const abort = new AbortController()
  const given = gate.pass(() => Promise.reject(new Error('it ran')), abort.signal)
  const failed = gate.pass(() => Promise.reject(new Error('it failed')), signal)
  const third = gate.pass(last.run, signal)
  abort.abort(new Error('given up'))
  await assert.rejects(given, /given up/)
  await assert.rejects(gate.pass(last.run, abort.signal), /given up/)
  first.state.end()
  await passed
  await assert.rejects(failed, /it failed/)
  last.state.end()
  await third
})
