import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  authAddressesMax,
  authBacklogMs,
  authFailuresFree,
  authForgetMs,
  authSlowMs,
  authSlowStepMs,
  authSpacingMs,
} from '../../common/limits.ts'
import { Secret } from '../../common/secret.ts'
import { AuthThrottle, Authenticator } from './authentication.ts'

const users = new Authenticator([
  { password: new Secret('först') },
  { username: new Secret('anna'), password: new Secret('second') },
])

test('each user is accepted with its own password only', () => {
  const accepts = (name: string | undefined, password: string) =>
    users.accepts(name === undefined ? undefined : Buffer.from(name), Buffer.from(password))
  assert.ok(accepts(undefined, 'först'))
  assert.ok(accepts('default', 'först'))
  assert.ok(accepts('anna', 'second'))
  for (const [name, password] of [
    [undefined, 'second'],
    ['anna', 'först'],
    ['ann', 'asecond'],
    ['anna', ''],
    ['', 'först'],
    ['anna', 'second '],
  ] as const) {
    assert.ok(!accepts(name, password), `${name} ${password}`)
  }
})

test('answers to wrong passwords of an address are spaced, those of a connection wait ever longer', () => {
  const throttle = new AuthThrottle()
  const failAt = (nowMs: number, count = 1, address = 'a') =>
    throttle.failureDelayMs(address, count, nowMs)
  for (let index = 0; index < authFailuresFree; index += 1) assert.equal(failAt(0), 0)
  assert.deepEqual([failAt(1), failAt(1), failAt(1)], [0, authSpacingMs, 2 * authSpacingMs])
  assert.equal(throttle.waitMs('a', 1), 0)
  assert.equal(failAt(1, 1, 'b'), 0)
  for (const [index, count] of [11, 12, 32].entries()) {
    const expected = authSlowMs + (count - 11) * authSlowStepMs
    assert.equal(failAt(0, count, `c${index}`), expected)
  }
  assert.equal(failAt(authForgetMs + 2), 0)
})

test('who does not wait for answers may not guess faster', () => {
  const throttle = new AuthThrottle()
  let lookedAt = 0
  const seconds = 60
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += 1) {
    // Every millisecond a new connection, which is gone before its answer.
    if (throttle.waitMs('a', nowMs) > 0) continue
    throttle.failureDelayMs('a', 1, nowMs)
    lookedAt += 1
  }
  const burst = authFailuresFree + authBacklogMs / authSpacingMs
  assert.ok(lookedAt < seconds * 500, 'the bound is not reached')
  assert.ok(lookedAt <= burst + (seconds * 1000) / authSpacingMs + 2, `${lookedAt} guesses`)
})

test('addresses that are remembered are bounded', () => {
  const throttle = new AuthThrottle()
  for (let index = 0; index < authFailuresFree + 2; index += 1) {
    throttle.failureDelayMs('first', 1, 0)
  }
  assert.ok(throttle.failureDelayMs('first', 1, 0) > 0)
  for (let index = 0; index < authAddressesMax; index += 1) {
    throttle.failureDelayMs(`other${index}`, 1, 0)
  }
  assert.equal(throttle.failureDelayMs('first', 1, 0), 0)
})

/** Welch’s t of two samples. */
function tOf(one: readonly number[], other: readonly number[]): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const spread = (values: readonly number[]) => {
    const middle = mean(values)
    return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
  }
  const error = Math.sqrt(spread(one) / one.length + spread(other) / other.length)
  return (mean(one) - mean(other)) / error
}

/** Times of both, taken in turns that differ in their order, less what a pause of the collector made slow. */
function timesOf(one: () => void, other: () => void, count: number): [number[], number[]] {
  const timeOf = (run: () => void) => {
    const start = process.hrtime.bigint()
    run()
    return Number(process.hrtime.bigint() - start)
  }
  const [ofOne, ofOther]: [number[], number[]] = [[], []]
  for (let index = 0; index < count; index += 1) {
    const isFirst = Math.random() < 0.5
    if (isFirst) ofOne.push(timeOf(one))
    ofOther.push(timeOf(other))
    if (!isFirst) ofOne.push(timeOf(one))
  }
  const sorted = [...ofOne, ...ofOther].sort((a, b) => a - b)
  const bound = sorted[Math.floor(sorted.length * 0.95)] ?? 0
  const below = (values: readonly number[]) => values.filter((ns) => ns < bound)
  return [below(ofOne), below(ofOther)]
}

test('how long a wrong password takes does not tell how much of it is right', () => {
  const right = 'correct horse battery staple and more'
  const secret = new Authenticator([{ password: new Secret(right) }])
  const almost = Buffer.from(`${right.slice(0, -1)}X`)
  const nothing = Buffer.from('X'.repeat(right.length))
  const count = 10_000
  // What the machine does meanwhile is no difference of ours: one quiet round of several will do.
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 6 && least > 2.58; round += 1) {
    const times = timesOf(
      () => secret.accepts(undefined, almost),
      () => secret.accepts(undefined, nothing),
      count,
    )
    least = Math.min(least, Math.abs(tOf(...times)))
  }
  assert.ok(least < 2.58, `t = ${least}: a difference at p < 0.01`)
})
