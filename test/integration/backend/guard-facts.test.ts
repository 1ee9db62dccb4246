/** How a server is set up, asked while it is being changed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerConnection } from '../../../operator/backend/connection.ts'
import { GuardReader } from '../../../operator/backend/guard-facts.ts'
import { startServer } from '../../support/servers.ts'

test('what was asked for before a change is asked for again', async (context) => {
  const server = await startServer()
  context.after(() => server.stop())
  const { host, port } = server
  const connection = new ServerConnection({ host, port })
  await connection.open(() => {})
  context.after(() => connection.close())
  const guards = new GuardReader({ host, port })
  const nowMs = 1000

  const asked = guards.read(connection, nowMs)
  // Its reply is read with those of the question: whoever told the server hears of it first.
  const told = connection.call('CONFIG', 'SET', 'masteruser', 'respmesh-e1')
  await told.then(() => guards.changed())
  assert.equal((await asked)?.sourceUser, '')
  assert.equal((await guards.read(connection, nowMs))?.sourceUser, 'respmesh-e1')
})
