import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { Session } from '../session.ts'
import { serverNamed } from './redirects.ts'

/** Whom a command that was sent to `server` is for, when it is looked at again. */
function named(server: Partial<ServerConnections>): Partial<ServerConnections> | undefined {
  const redirect = { server, isAsking: false, attempt: 1, sinceMs: 0 }
  return serverNamed({ redirect } as unknown as Session['pinning'])
}

test('a server that was named is waited for, unless it cannot be reached or was left', () => {
  const server = { isReady: true, failure: undefined, address: '127.0.0.1:1' }
  assert.equal(named(server), server)
  const connecting = { ...server, isReady: false }
  assert.equal(named(connecting), connecting)
  assert.equal(named({ ...connecting, failure: 'RM_UPSTREAM_CONNECT' }), undefined)
  assert.equal(named({ ...connecting, address: undefined }), undefined)
})
