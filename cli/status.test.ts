import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { status } from './status.ts'
import { screenOf } from './status/screen.ts'

const sidecar = {
  version: '1.2.3',
  ready: { isOk: true },
  primary: { state: 'ok', address: '10.0.0.1:6379' },
  config: { proxy: 'shop/cache', epoch: 3, version: 9, appliedAt: '2026-01-01T00:00:00Z' },
  stream: { isConnected: true },
  listeners: ['127.0.0.1:16379'],
  clients: 12,
  inFlightCommands: 1,
  counters: { commands: 1000, commandsLost: 2, clientsCutSlow: 3, clientsCutIdle: 0 },
}
const address = '127.0.0.1:16380'

test('a sidecar in order is one screen, and good', () => {
  const { text, isGood } = screenOf({ kind: 'sidecar', address, value: sidecar })
  assert.ok(isGood)
  assert.match(text, /^respmesh 1\.2\.3 sidecar at 127\.0\.0\.1:16380: ready\n/)
  assert.match(text, /primary +10\.0\.0\.1:6379 \(ok\)/)
  assert.match(text, /config +shop\/cache, epoch 3/)
  assert.match(text, /commands +1000; 1 in flight, 0 held/)
  assert.match(text, /failed +2 lost/)
  assert.match(text, /clients cut +3 slow$/m)
  assert.ok(text.split('\n').length < 24)
})

test('a sidecar without a primary is not good, and says why it is not ready', () => {
  const value = { ...sidecar, primary: { state: 'none' } }
  assert.equal(screenOf({ kind: 'sidecar', address, value }).isGood, false)
  const waiting = { ready: { isOk: false, reason: 'waiting for a \u001b[31mconfiguration' } }
  const { text, isGood } = screenOf({ kind: 'sidecar', address, value: waiting })
  assert.equal(isGood, false)
  assert.match(text, /why +waiting for a �\[31mconfiguration/)
})

test('up is shown with its servers, sidecars and last events', () => {
  const value = {
    name: 'default/cache',
    ready: { status: 'True' },
    epoch: 2,
    phase: 'Steady',
    primary: 'a:1',
    members: [{ address: 'b:1', role: 'replica', state: 'Online', lagBytes: 7 }],
    sidecars: [{ id: 's', endpoint: '127.0.0.1:1', isConnected: true, epoch: 2, primary: 'ok' }],
    events: [{ at: '2026-01-01T10:11:12.000Z', message: 'b:1 follows the primary' }],
  }
  const { text, isGood } = screenOf({ kind: 'up', address, value })
  assert.ok(isGood)
  assert.match(text, /server +b:1 {2}replica, Online, 7 B behind/)
  assert.match(text, /sidecar +127\.0\.0\.1:1 {2}epoch 2, primary ok/)
  assert.match(text, /10:11:12 +b:1 follows/)
})

async function serve(t: TestContext, pages: Readonly<Record<string, string>>): Promise<string> {
  const server = createServer((request, response) => {
    const page = pages[request.url ?? '']
    response.writeHead(page === undefined ? 404 : 200).end(page)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('both are found at their address, and the exit code tells how they are', async (t) => {
  const printed = t.mock.method(console, 'log', () => {})
  const good = await serve(t, { '/status': JSON.stringify(sidecar) })
  assert.equal(await status([good]), 0)
  const up = await serve(t, { '/api/status': '{"ready":{"status":"False","message":"no server"}}' })
  assert.equal(await status([up]), 1)
  assert.match(String(printed.mock.calls[1]?.arguments[0]), /not ready\n +why +no server/)
  assert.equal(await status([good, '--json']), 0)
  assert.deepEqual(JSON.parse(String(printed.mock.calls[2]?.arguments[0])), sidecar)
})

test('nobody, and somebody else, are errors with a code', async (t) => {
  const other = await serve(t, { '/status': 'hello' })
  await assert.rejects(status([other]), { code: 'RM_STATUS' })
  const gone = await serve(t, {})
  await assert.rejects(status([gone]), { code: 'RM_STATUS', message: /neither the admin port/ })
  await assert.rejects(status(['127.0.0.1:1']), { code: 'RM_STATUS', message: /nobody answers/ })
  await assert.rejects(status(['nonsense']), { code: 'RM_ENDPOINT_INVALID' })
  await assert.rejects(status(['--nonsense']), { code: 'RM_USAGE' })
})
