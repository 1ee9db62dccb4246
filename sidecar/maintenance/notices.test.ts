import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeMoving, encodeState, endpointFor } from './notices.ts'

test('what begins tells for how long, what ended does not', () => {
  const text = (bytes: Buffer) => bytes.toString('latin1')
  assert.equal(
    text(encodeState('MIGRATING', 7, 5)),
    '>4\r\n$9\r\nMIGRATING\r\n:7\r\n:5\r\n$1\r\n1\r\n',
  )
  assert.equal(text(encodeState('MIGRATED', 8, 5)), '>3\r\n$8\r\nMIGRATED\r\n:8\r\n$1\r\n1\r\n')
  assert.equal(
    text(encodeState('FAILING_OVER', 1, 1)),
    '>4\r\n$12\r\nFAILING_OVER\r\n:1\r\n:1\r\n$1\r\n1\r\n',
  )
  assert.equal(
    text(encodeMoving(2, 15, '127.0.0.1:6379')),
    '>4\r\n$6\r\nMOVING\r\n:2\r\n:15\r\n$14\r\n127.0.0.1:6379\r\n',
  )
  assert.equal(text(encodeMoving(2, 1, null)), '>4\r\n$6\r\nMOVING\r\n:2\r\n:1\r\n_\r\n')
})

test('a client is sent to where it reached the sidecar, as far as that can be told', () => {
  const socket = { localAddress: '::ffff:127.0.0.1', localPort: 16379 }
  assert.equal(endpointFor('none', socket), null)
  assert.equal(endpointFor('internal-ip', socket), '127.0.0.1:16379')
  assert.equal(endpointFor('external-fqdn', socket), '127.0.0.1:16379')
  const named = { ...socket, servername: 'redis.test' }
  assert.equal(endpointFor('internal-fqdn', named), 'redis.test:16379')
  assert.equal(endpointFor('internal-ip', named), '127.0.0.1:16379')
  assert.equal(endpointFor('internal-ip', { localAddress: '::1', localPort: 1 }), undefined)
  assert.equal(endpointFor('internal-ip', {}), undefined)
})
