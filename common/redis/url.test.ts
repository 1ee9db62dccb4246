import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import { formatHostPort, parseHostPort, parseServerUrl } from './url.ts'

test('the four schemes, a bare host and a bare host with a port are understood', () => {
  const read = (text: string) => {
    const { host, port, isTls } = parseServerUrl(text)
    return [host, port, isTls]
  }
  assert.deepEqual(read('redis://r.example:7000'), ['r.example', 7000, false])
  assert.deepEqual(read('valkey://r.example'), ['r.example', 6379, false])
  assert.deepEqual(read('rediss://r.example'), ['r.example', 6379, true])
  assert.deepEqual(read('valkeys://r.example:1/0'), ['r.example', 1, true])
  assert.deepEqual(read('127.0.0.1:6380'), ['127.0.0.1', 6380, false])
  assert.deepEqual(read('redis://[::1]:6380'), ['::1', 6380, false])
})

test('credentials are decoded and do not show when printed', () => {
  const url = parseServerUrl('redis://app:p%40ss@host')
  assert.equal(url.username, 'app')
  assert.equal(url.password?.reveal(), 'p@ss')
  for (const shown of [inspect(url), JSON.stringify(url), String(url.password)]) {
    assert.ok(!shown.includes('p@ss'), shown)
  }
})

for (const text of [
  'http://h',
  'redis://',
  'redis://h:0',
  'redis://h:99999',
  'redis://h/3',
  'a b',
]) {
  test(`"${text}" is refused with a reason`, () => {
    assert.throws(() => parseServerUrl(text), { code: 'RM_ENDPOINT_INVALID' })
  })
}

test('a refused address does not show its password', () => {
  assert.throws(
    () => parseServerUrl('http://user:hunter2@host'),
    (error) => error instanceof Error && !error.message.includes('hunter2'),
  )
})

test('listen addresses keep IPv6 apart from the port, and survive being written back', () => {
  for (const text of ['127.0.0.1:16379', '[::1]:16379', 'localhost:0']) {
    assert.equal(formatHostPort(parseHostPort(text)), text)
  }
  assert.deepEqual(parseHostPort(':16379'), { host: '0.0.0.0', port: 16379 })
  for (const text of ['16379', '::1:16379', 'h:65536', 'h:', '']) {
    assert.throws(() => parseHostPort(text), { code: 'RM_ENDPOINT_INVALID' }, text)
  }
})
