/** redis-cli (or valkey-cli) through a sidecar process, as a person or a script uses it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cli, skip, tourRedisCli } from './redis-cli-tour.ts'
import { login, startProxied } from './support.ts'

test('redis-cli runs commands, scripts of them and transactions', { skip }, async (t) => {
  await tourRedisCli(await startProxied(t))
})

test('redis-cli loads 50,000 commands through its pipe mode', { skip }, async (t) => {
  const { port, server } = await startProxied(t)
  const commands = Array.from({ length: 50_000 }, (_, index) => `SET k:${index} ${index}\r\n`)
  const printed = await cli(['-p', String(port), '--pipe'], commands.join(''))
  assert.match(printed, /errors: 0, replies: 50000/)
  assert.equal(await server.info('db0').then((text) => text.split(',')[0]), 'keys=50000')
})

test('redis-cli logs in with a user and learns of a wrong password', { skip }, async (t) => {
  const { port } = await startProxied(t, { hasLogin: true })
  const at = ['-p', String(port), '--no-auth-warning', '--user', login.username]
  assert.match(await cli(['-p', String(port), 'PING']), /NOAUTH/)
  assert.match(await cli([...at, '--pass', 'wrong', 'PING']), /WRONGPASS/)
  for (const version of ['-2', '-3']) {
    assert.equal(await cli([...at, '--pass', login.password, version, 'PING']), 'PONG\n')
  }
})
