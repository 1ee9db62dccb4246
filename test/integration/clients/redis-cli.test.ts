/** redis-cli (or valkey-cli) through a sidecar process, as a person or a script uses it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isInstalled } from '../../support/servers.ts'
import { login, startProxied } from './support.ts'

const program = ['redis-cli', 'valkey-cli'].find(isInstalled)
const skip = program === undefined ? 'redis-cli: neither it nor valkey-cli is installed' : false

/** What it prints, given `input` on its standard input. */
async function cli(args: readonly string[], input: string | Buffer = ''): Promise<string> {
  const child = spawn(program ?? '', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  }
  child.stdin.end(input)
  await new Promise((resolve) => child.once('close', resolve))
  return printed
}

test('redis-cli runs commands, scripts of them and transactions', { skip }, async (t) => {
  const { port, server } = await startProxied(t)
  const at = ['-p', String(port)]
  assert.equal(await cli([...at, 'SET', 'k', 'v']), 'OK\n')
  assert.equal(await cli([...at, '-3', 'HSET', 'h', 'a', '1']), '1\n')
  assert.equal(await cli([...at, '-3', '--json', 'HGETALL', 'h']), '{"a":"1"}\n')
  assert.equal(await cli([...at, '-n', '3', 'DBSIZE']), '0\n')
  const lines =
    'MULTI\nSET t 1\nINCR t\nEXEC\nSELECT 4\nSET t four\nGET t\nSELECT 0\nGET t\nRESET\nGET t\n'
  const replies = ['OK', 'QUEUED', 'QUEUED', 'OK', '2', 'OK', 'OK', 'four', 'OK', '2', 'RESET', '2']
  assert.equal(await cli(at, lines), `${replies.join('\n')}\n`)
  assert.match(await cli([...at, 'SHUTDOWN']), /NOPERM/)
  assert.match(await cli([...at, '--scan']), /^(k|h|t)\n(k|h|t)\n(k|h|t)\n$/)
  assert.equal(await cli([...at, '-x', 'SET', 'big'], 'x'.repeat(8 << 20)), 'OK\n')
  assert.equal(await cli([...at, 'STRLEN', 'big']), `${8 << 20}\n`)
  assert.match(await cli([...at, '--bigkeys', '-i', '0']), /Biggest string found.*big/)
  const script = join(server.directory, 'script.lua')
  writeFileSync(script, 'return {KEYS[1], ARGV[1]}')
  assert.equal(await cli([...at, '--eval', script, 'k', ',', 'x']), 'k\nx\n')
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
