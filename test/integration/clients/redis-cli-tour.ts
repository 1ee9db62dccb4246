/** What people and scripts do with redis-cli (or valkey-cli) and one server, or what it takes for one. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled } from '../../support/servers.ts'
import { type Proxied, hasDatabases } from './support.ts'

const program = ['redis-cli', 'valkey-cli'].find(isInstalled)
export const skip =
  program === undefined ? 'redis-cli: neither it nor valkey-cli is installed' : false

/** What it prints, given `input` on its standard input. */
export async function cli(args: readonly string[], input: string | Buffer = ''): Promise<string> {
  const child = spawn(program ?? '', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  }
  // One that has done what its arguments say may end before it is given nothing.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  await new Promise((resolve) => child.once('close', resolve))
  return printed
}

/** `login`: arguments by which it logs in. */
export async function tourRedisCli(proxied: Proxied, login: readonly string[] = []): Promise<void> {
  const { port, server, topology } = proxied
  const at = ['-p', String(port), ...login]
  await proxied.disturb()
  assert.equal(await cli([...at, 'SET', 'k', 'v']), 'OK\n')
  assert.equal(await cli([...at, '-3', 'HSET', 'h', 'a', '1']), '1\n')
  assert.equal(await cli([...at, '-3', '--json', 'HGETALL', 'h']), '{"a":"1"}\n')
  if (hasDatabases(topology)) assert.equal(await cli([...at, '-n', '3', 'DBSIZE']), '0\n')
  const transaction = 'MULTI\nSET t 1\nINCR t\nEXEC\n'
  assert.equal(await cli(at, transaction), 'OK\nQUEUED\nQUEUED\nOK\n2\n')
  if (hasDatabases(topology)) {
    const lines = 'SELECT 4\nSET t four\nGET t\nSELECT 0\nGET t\n'
    assert.equal(await cli(at, lines), 'OK\nOK\nfour\nOK\n2\n')
  }
  // It forgets who it is.
  if (login.length === 0) assert.equal(await cli(at, 'RESET\nGET t\n'), 'RESET\n2\n')
  assert.match(await cli([...at, 'SHUTDOWN']), /NOPERM/)
  assert.equal(await cli([...at, 'MSET', 'm:1', '1', 'm:2', '2', 'm:3', '3']), 'OK\n')
  assert.equal(await cli([...at, 'MGET', 'm:3', 'm:1', 'm:2']), '3\n1\n2\n')
  assert.equal(await cli([...at, 'DEL', 'm:1', 'm:2', 'm:3']), '3\n')
  const script = join(server.directory, 'script.lua')
  writeFileSync(script, 'return {KEYS[1], ARGV[1]}')
  assert.equal(await cli([...at, '--eval', script, 'k', ',', 'x']), 'k\nx\n')
  const commands = Array.from({ length: 10_000 }, (_, index) => `SET p:${index} ${index}\r\n`)
  assert.match(await cli([...at, '--pipe'], commands.join('')), /errors: 0, replies: 10000/)
  await proxied.calm()
  // A large value is sent on as it comes: were its slot moved unseen, it would get TRYAGAIN.
  assert.equal(await cli([...at, 'DEL', 'big']), '0\n')
  assert.equal(await cli([...at, '-x', 'SET', 'big'], 'x'.repeat(8 << 20)), 'OK\n')
  assert.equal(await cli([...at, 'STRLEN', 'big']), `${8 << 20}\n`)
  assert.equal(await cli([...at, 'DBSIZE']), '10004\n')
  assert.match(await cli([...at, '--scan', '--pattern', '[kht]']), /^([kht])\n([kht])\n([kht])\n$/)
  assert.match(await cli([...at, '--bigkeys', '-i', '0']), /Biggest string found.*big/)
}
