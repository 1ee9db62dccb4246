/** CLIENT and other commands about connections, scripts that run, and commands of unusual size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRig } from './harness.ts'

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

test('SCRIPT LOAD, FUNCTION LOAD and WATCH may be larger than what is gathered', async (t) => {
  const { client } = await startRig(t)
  const [one, other] = [await client(), await client()]
  const comment = `--${'x'.repeat(400_000)}\n`
  const hash = /[0-9a-f]{40}/.exec(await one.ask('SCRIPT', 'LOAD', `${comment}return 5`))?.[0] ?? ''
  assert.equal(await one.ask('EVALSHA', hash, '0'), ':5\r\n')
  const code = `#!lua name=big\n${comment}redis.register_function('six', function() return 6 end)`
  assert.equal(await one.ask('FUNCTION', 'LOAD', code), bulk('big'))
  assert.equal(await one.ask('FCALL', 'six', '0'), ':6\r\n')
  const keys = Array.from({ length: 5000 }, (_, index) => `${'k'.repeat(100)}${index}`)
  assert.equal(await one.ask('WATCH', ...keys), '+OK\r\n')
  await other.ask('SET', keys.at(-1) ?? '', 'touched')
  await one.ask('MULTI')
  await one.ask('PING')
  assert.equal(await one.ask('EXEC'), '*-1\r\n')
})
