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

test('a unix socket is its path, with or without scheme, user and database 0', () => {
  for (const text of [
    '/run/redis.sock',
    'unix:/run/redis.sock',
    'unix:///run/redis.sock',
    'UNIX:///run/redis.sock?db=0',
  ]) {
    assert.deepEqual(parseServerUrl(text), { host: '/run/redis.sock', port: 0, isTls: false }, text)
  }
  const url = parseServerUrl('unix://app:p%40ss@/run/a%20b.sock?db=0')
  assert.deepEqual(
    [url.host, url.username, url.password?.reveal()],
    ['/run/a b.sock', 'app', 'p@ss'],
  )
  assert.equal(formatHostPort(url), '/run/a b.sock')
})

const refused: readonly (readonly [text: string, why: RegExp])[] = [
  ['http://h', /the scheme must be redis, rediss/],
  ['redis://', /the host is missing/],
  ['redis://h:0', /port 0/],
  ['redis://h:99999', /not a URL or host:port/],
  ['redis://h/3', /clients SELECT their own/],
  ['redis://h?db=3', /clients SELECT their own/],
  ['redis://h/0?db=0&timeout=3', /\?timeout is not supported; remove it/],
  ['rediss://h?ssl_ca_certs=/ca.pem', /\?ssl_ca_certs .* TLS by the RESPMESH_UPSTREAM_TLS_…/],
  ['redis://h?password=hunter2', /\?password is not supported; write USER:PASSWORD@/],
  ['redis://h#x', /after #/],
  ['redis://%zz@h', /the user has a % that begins no %XX/],
  ['redis://:%zz@h', /the password has a %/],
  ['a b', /not a URL/],
  ['unix://run/redis.sock', /path from the root/],
  ['unix:', /path from the root/],
  ['unix:///', /not that of a socket/],
  [`/${'x'.repeat(107)}`, /at most 107 bytes/],
  ['unix:///s.sock?db=1', /clients SELECT their own/],
]
for (const [text, why] of refused) {
  test(`"${text}" is refused with a reason`, () => {
    assert.throws(() => parseServerUrl(text), { code: 'RM_ENDPOINT_INVALID', message: why })
  })
}

test('a refused address does not show its password, even where that cuts the address apart', () => {
  for (const text of [
    'http://user:hunter2@host',
    'redis://user:hun/ter2@host',
    'redis://user:hunter2#@host',
    'unix://user:hunter2@run',
    'unix:user:hunter2@/run',
    'redis://host?password=hunter2',
  ]) {
    assert.throws(
      () => parseServerUrl(text),
      (error) => error instanceof Error && !/hun|ter2/.test(error.message),
      text,
    )
  }
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
