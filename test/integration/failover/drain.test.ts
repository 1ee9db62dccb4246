/** What a primary sent before it ended is in its replica, though it was not when the operator found the primary dead. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { startServer } from '../../support/servers.ts'
import { Harness } from './harness.ts'

const valueBytes = 40
const count = 2000

test('a replica that is behind takes what it was sent by a process that is gone', async (context) => {
  const primary = await startServer()
  const replica = await startServer({ replicaOf: primary })
  const harness = new Harness([primary, replica])
  context.after(() => harness.stop())
  harness.start()
  await harness.reached('everything in order', () => harness.inOrder())

  const { host, port } = primary
  const client = new Redis({ host, port, retryStrategy: () => null })
  client.on('error', () => {})
  context.after(() => client.disconnect())
  await client.rpush('list', 'first')
  await harness.replicated()
  replica.signal('SIGSTOP')
  context.after(() => replica.signal('SIGCONT'))
  const value = 'v'.repeat(valueBytes)
  await Promise.all(Array.from({ length: count }, () => client.rpush('list', value)))
  // The last of it was sent to the replica before this is answered.
  await client.ping()
  await primary.kill()
  await primary.restart()
  await harness.reached('its end is known', () => harness.status.primary === undefined)
  replica.signal('SIGCONT')
  await harness.reached('the replica is the primary', () => {
    return harness.status.primary?.address === harness.address(1)
  })
  assert.equal(await replica.command('LLEN', 'list'), `:${count + 1}\r\n`)
})
