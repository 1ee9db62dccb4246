import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authFailuresFree, authForgetMs, authSlowMs } from '../../common/limits.ts'
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

test('an address that guesses is slowed, others are not, and it is forgotten', () => {
  const throttle = new AuthThrottle()
  for (let index = 0; index < authFailuresFree; index += 1) {
    assert.equal(throttle.delayMs('a', 0), 0)
    throttle.noteFailure('a', 0)
  }
  throttle.noteFailure('a', 1)
  const delays = [throttle.delayMs('a', 1), throttle.delayMs('a', 1), throttle.delayMs('a', 1)]
  assert.deepEqual(delays, [authSlowMs, 2 * authSlowMs, 3 * authSlowMs])
  assert.equal(throttle.delayMs('b', 1), 0)
  assert.equal(throttle.delayMs('a', authForgetMs + 2), 0)
})
