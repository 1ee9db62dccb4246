import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  replicaIdlePollMs,
  replicaPollMs,
  replicaPollReadsMin,
  replicaPollSoonMs,
} from '../../../common/limits.ts'
import { PollPace } from './poll-pace.ts'

/** Time that passes only when it is told to. */
function paceFor(t: TestContext, lagMsMax = 60_000) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  let isOwed = false
  const polls: number[] = []
  const clock = { monotonicMs: () => nowMs, wallMs: () => nowMs }
  const pace = new PollPace(
    clock,
    () => polls.push(nowMs),
    () => isOwed,
  )
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 1) {
      nowMs += 1
      t.mock.timers.tick(1)
    }
  }
  const owe = () => {
    isOwed = true
  }
  pace.start(lagMsMax)
  return { pace, polls, pass, owe, now: () => nowMs }
}

test('while nobody reads it asks now and then', (t) => {
  const { polls, pass } = paceFor(t)
  pass(3 * replicaIdlePollMs)
  assert.deepEqual(
    polls,
    [0, 1, 2, 3].map((count) => count * replicaIdlePollMs),
  )
})

test('a read that comes while nobody read has it ask at its pace', (t) => {
  const { pace, polls, pass, now } = paceFor(t)
  pass(replicaPollMs / 2)
  pace.noteRead(now())
  pass(replicaPollMs / 2)
  assert.deepEqual(polls, [0, replicaPollMs])
  pass(replicaPollMs)
  assert.deepEqual(polls, [0, replicaPollMs, 2 * replicaPollMs])
})

test('what is owed keeps it at its pace although nobody reads', (t) => {
  const { polls, pass, owe } = paceFor(t)
  pass(replicaIdlePollMs)
  owe()
  pass(replicaIdlePollMs)
  const before = polls.length
  pass(3 * replicaPollMs)
  assert.equal(polls.length, before + 3)
})

test('reads that are refused have it ask soon, but only many, and not all the time', (t) => {
  const { pace, polls, pass, now } = paceFor(t)
  const refuse = (count: number) => {
    for (let done = 0; done < count; done += 1) pace.noteRefused(now(), 3)
  }
  pass(replicaPollSoonMs)
  refuse(3 * replicaPollReadsMin - 1)
  assert.equal(polls.length, 1)
  refuse(1)
  assert.equal(polls.length, 2)
  refuse(1000)
  assert.equal(polls.length, 2)
  pass(replicaPollSoonMs)
  assert.equal(polls.length, 3)
})

test('a tight bound on lag has it ask more often', (t) => {
  const { polls, pass } = paceFor(t, 1000)
  pass(2000)
  assert.equal(polls.length, 1 + 4)
})

test('once it is stopped it asks nobody', (t) => {
  const { pace, polls, pass, now } = paceFor(t)
  pace.stop()
  pass(2 * replicaIdlePollMs)
  pace.noteRead(now())
  pace.soon()
  assert.deepEqual(polls, [0])
})
