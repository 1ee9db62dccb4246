import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTimeLooks } from '../../common/limits.ts'
import { ReadTimeLimit } from './read-time-limit.ts'

const limitMs = 1000
const lookMs = limitMs / readTimeLooks

function client() {
  return {
    inFlight: 0,
    answeredCount: 0,
    large: undefined as unknown,
    isCut: false,
    cutFor() {
      this.isCut = true
    },
  }
}

test('a command that is not answered in time ends its client, at most one look late', () => {
  const limit = new ReadTimeLimit()
  const one = client()
  one.inFlight = 1
  let now = 5000
  for (; !one.isCut && now < 10_000; now += lookMs) limit.tick(now, limitMs, [one])
  const tookMs = now - lookMs - 5000
  assert.ok(tookMs >= limitMs && tookMs <= limitMs + lookMs, `${tookMs}`)
})

test('who is answered all the time is never cut, however much is in flight', () => {
  const limit = new ReadTimeLimit()
  const one = client()
  one.inFlight = 100
  for (let now = 0; now < 20 * limitMs; now += lookMs) {
    limit.tick(now, limitMs, [one])
    one.answeredCount += 20
  }
  assert.equal(one.isCut, false)
})

test('the oldest command counts, not those that were sent after it', () => {
  const limit = new ReadTimeLimit()
  const one = client()
  one.inFlight = 1
  let now = 0
  for (; !one.isCut && now < 5 * limitMs; now += lookMs) {
    limit.tick(now, limitMs, [one])
    one.inFlight += 1
  }
  assert.ok(now - lookMs <= limitMs + lookMs)
})

test('commands that ended without a reply do not make later ones look old', () => {
  const limit = new ReadTimeLimit()
  const one = client()
  one.inFlight = 5
  limit.tick(0, limitMs, [one])
  limit.tick(limitMs - lookMs, limitMs, [one])
  one.answeredCount += 5
  one.inFlight = 1
  limit.tick(limitMs, limitMs, [one])
  limit.tick(2 * limitMs - lookMs, limitMs, [one])
  assert.equal(one.isCut, false)
})

test('an upload is timed from its end on, and no limit is none', () => {
  const limit = new ReadTimeLimit()
  const one = client()
  one.inFlight = 1
  one.large = {}
  for (let now = 0; now < 5 * limitMs; now += lookMs) limit.tick(now, limitMs, [one])
  one.large = undefined
  for (let now = 0; now < 5 * limitMs; now += lookMs) limit.tick(now, 0, [one])
  assert.equal(one.isCut, false)
})
