/** The sidecar itself does not run for seconds, as on a machine that has too much to do: nobody may pay for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../sidecar/harness.ts'
import { encodeCommand, startServer, until } from '../../support/servers.ts'
import { startSidecar } from './sidecar-process.ts'

const stopMs = 5000

test('a sidecar that was stopped for seconds gives up no connection and cuts no client', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const sidecar = startSidecar(
    t,
    `--upstream redis://127.0.0.1:${server.port} --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
  )
  const port = await sidecar.port()
  const open = async () => connect(t, port)
  const [writer, waiter, listener, direct] = [
    await open(),
    await open(),
    await open(),
    await connect(t, server.port),
  ]
  await until('it serves', async () => (await writer.ask('SET', 'k', 'v')) === '+OK\r\n')
  assert.match(await listener.ask('SUBSCRIBE', 'news'), /^\*3/)
  waiter.send(encodeCommand(['BLPOP', 'list', '0']))
  await until('it waits', async () =>
    (await direct.ask('INFO', 'clients')).includes('\nblocked_clients:1'),
  )
  const known = await direct.ask('CLIENT', 'LIST')
  const idsOf = (list: string) => [...list.matchAll(/^id=(\d+)/gm)].map(([, id]) => id)
  // Replies are owed and nothing comes for so long that the server is asked, all while the sidecar is stopped.
  direct.send(encodeCommand(['EVAL', slow, '0']))
  writer.send(encodeCommand(['INCR', 'n']))
  sidecar.signal('SIGSTOP')
  const start = performance.now()
  await until('it was stopped for long', () => performance.now() - start > stopMs)
  sidecar.signal('SIGCONT')
  assert.equal(await writer.reply(), ':1\r\n')
  assert.equal(await direct.reply(), ':1\r\n')
  await direct.ask('PUBLISH', 'news', 'now')
  await direct.ask('RPUSH', 'list', 'a')
  assert.match(await waiter.reply(), /list\r\n\$1\r\na\r\n$/)
  assert.match(await listener.reply(), /message/)
  const left = idsOf(await direct.ask('CLIENT', 'LIST'))
  for (const id of idsOf(known)) assert.ok(left.includes(id), `connection ${id} was kept`)
  assert.ok(sidecar.log.every(({ level }) => level !== 'error'))
})

const slow = "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 2 do end return 1"
