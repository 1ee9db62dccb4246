/** A replica that takes its data through the sidecar, where the policy allows that. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../support/servers.ts'
import { encodeCommand, startRig, until } from './harness.ts'

const commands = { allow: ['sync', 'psync', 'replconf'] }

for (const isolation of ['shared', 'perClient'] as const) {
  test(`a replica synchronises through the sidecar, isolation ${isolation}`, async (t) => {
    const { client, server, port, plane } = await startRig(t, { commands, upstream: { isolation } })
    const one = await client()
    const value = Buffer.alloc(3_000_000, 'a\r\n$1\r\n').toString('latin1')
    assert.equal(await one.ask('SET', 'large', value), '+OK\r\n')
    const args = ['--replicaof', `127.0.0.1 ${port}`, '--repl-diskless-load', 'disabled']
    const replica = await startServer({ args })
    t.after(() => replica.stop())
    const has = async (key: string, length: number) =>
      (await replica.command('STRLEN', key)) === `:${length}\r\n`
    await until('it has what was there', () => has('large', value.length))
    assert.equal(await one.ask('SET', 'small', 'now'), '+OK\r\n')
    await until('it follows', () => has('small', 3))
    // What it says of its progress arrives.
    assert.equal(await one.ask('WAIT', '1', '5000'), ':1\r\n')
    const digest = await server.command('DEBUG', 'DIGEST')
    await until('both are equal', async () => (await replica.command('DEBUG', 'DIGEST')) === digest)
    // It comes back when the connection is lost, and goes on where it was.
    await server.command('CLIENT', 'KILL', 'TYPE', 'replica')
    assert.equal(await one.ask('SET', 'later', 'there'), '+OK\r\n')
    await until('it follows again', () => has('later', 5))
    assert.equal(plane.view().counters.commandsLost, 0)
  })
}

test('what a replica sends is held to the policy as well', async (t) => {
  const { client, server } = await startRig(t, { commands })
  const one = await client()
  assert.equal(await one.ask('REPLCONF', 'capa', 'eof'), '+OK\r\n')
  assert.match(await one.ask('SYNC', 'x'), /^-ERR wrong number of arguments/)
  assert.match(await one.ask('CONFIG', 'SET', 'maxmemory', '1mb'), /^-NOPERM/)
  one.send(encodeCommand(['RESET']) + encodeCommand(['ECHO', 'on']))
  assert.deepEqual(await one.replies(2), ['+RESET\r\n', '$2\r\non\r\n'])
  assert.match(await server.command('CONFIG', 'GET', 'maxmemory'), /\$1\r\n0\r\n$/)
})
