/** A server that hangs up and then falls silent, as a pod does whose address leads nowhere from one moment to the next. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, createServer } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import { Prober } from '../../../operator/backend/index.ts'
import { startServer, until } from '../../support/servers.ts'

test('silence after a hang-up counts from the hang-up, silence alone does not', async (context) => {
  const server = await startServer()
  const prober = new Prober({ clock: systemClock })
  context.after(() => prober.stop())
  const address = `127.0.0.1:${server.port}`
  prober.watch('test/test', [{ address, target: { host: '127.0.0.1', port: server.port } }])
  const state = () => prober.observations('test/test')[0]?.state
  await until('the server is seen', () => state()?.kind === 'up')

  const killedMs = systemClock.monotonicMs()
  await server.kill()
  await until('the hang-up is seen', () => state()?.kind === 'down')
  const seenMs = systemClock.monotonicMs()
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  silent.listen(server.port, '127.0.0.1')
  await once(silent, 'listening')
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const failure = () => {
    const now = state()
    return now?.kind === 'down' && now.failure.kind === 'timeout' ? now.failure : undefined
  }
  await until('silence is noticed', () => failure() !== undefined)
  const since = failure()?.refusedSinceMs ?? 0
  assert.ok(since >= killedMs && since <= seenMs, `${since - killedMs} ms`)

  // Another watch of the same address never had a connection that could be hung up.
  const other = new Prober({ clock: systemClock })
  context.after(() => other.stop())
  other.watch('test/other', [{ address, target: { host: '127.0.0.1', port: server.port } }])
  const seen = () => other.observations('test/other')[0]?.state
  await until('silence is noticed', () => seen()?.kind === 'down')
  const fresh = seen()
  assert.ok(fresh?.kind === 'down' && fresh.failure.refusedSinceMs === undefined)
})
