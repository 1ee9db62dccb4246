/**
 * Client libraries that understand notices of maintenance: they wait longer for replies while it lasts, and connect
 * again before the sidecar ends.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as elapsed } from 'node:timers/promises'
import { createClient } from 'redis'
import { startRig } from '../sidecar/harness.ts'
import { redisPyTour, startProxied, until } from './support.ts'

/** node-redis publishes what it is told. */
function heard(t: TestContext): string[] {
  process.env['REDIS_EMIT_DIAGNOSTICS'] = '1'
  const kinds: string[] = []
  const note = (event: unknown) => void kinds.push((event as { readonly type: string }).type)
  diagnostics.subscribe('redis.maintenance', note)
  t.after(() => {
    diagnostics.unsubscribe('redis.maintenance', note)
    delete process.env['REDIS_EMIT_DIAGNOSTICS']
  })
  return kinds
}

async function open(t: TestContext, port: number, isTold = true) {
  const client = createClient({
    // Its connection may be silent for no longer than that.
    socket: { host: '127.0.0.1', port, reconnectStrategy: () => 20, socketTimeout: 300 },
    RESP: 3,
    maintNotifications: isTold ? 'enabled' : 'disabled',
  })
  client.on('error', () => {})
  t.after(() => client.isOpen && client.destroy())
  await client.connect()
  return client
}

type Redis = Awaited<ReturnType<typeof open>>

/** Counts one by one until told to stop. */
function counting(redis: Redis, key: string) {
  const state = { isOver: false }
  const errors: string[] = []
  let last = 0
  const ended = (async () => {
    while (!state.isOver) {
      try {
        last = await redis.incr(key)
      } catch (error) {
        errors.push(String(error))
      }
      await elapsed(2)
    }
  })()
  return {
    get last() {
      return last
    },
    stop: async () => {
      state.isOver = true
      await ended
      return { errors, last }
    },
  }
}

test('node-redis waits longer while the sidecar is paused', async (t) => {
  const kinds = heard(t)
  const { plane, port } = await startRig(t)
  const [told, untold] = [await open(t, port), await open(t, port, false)]
  const [one, two] = [counting(told, 'told'), counting(untold, 'untold')]
  await until('both count', () => one.last > 0 && two.last > 0)
  await plane.pause()
  await elapsed(1000)
  plane.resume()
  const { last } = one
  await until('it goes on', () => one.last > last + 1)
  const [first, second] = [await one.stop(), await two.stop()]
  // While there is still a sidecar: one that it cannot reach it would look for after its end.
  for (const redis of [told, untold]) redis.destroy()
  assert.deepEqual(first.errors, [])
  assert.notDeepEqual(second.errors, [], 'it does not hear of it')
  assert.deepEqual(kinds, ['MIGRATING', 'MIGRATED'])
})

test('node-redis connects to the next sidecar before this one has ended', async (t) => {
  const kinds = heard(t)
  const proxied = await startProxied(t)
  const redis = await open(t, proxied.port)
  const one = counting(redis, 'count')
  await until('it counts', () => one.last > 0)
  await proxied.restart()
  const { last } = one
  await until('it goes on', () => one.last > last + 1, 30_000)
  const { errors, last: counted } = await one.stop()
  assert.deepEqual(errors, [])
  assert.equal(Number(await redis.get('count')), counted)
  assert.deepEqual(kinds, ['MOVING'])
})

test('redis-py waits longer while the sidecar is paused', async (t) => {
  const tour = await redisPyTour()
  if ('skip' in tour) return t.skip(tour.skip)
  const { plane, port } = await startRig(t)
  const script = join(import.meta.dirname, 'redis-py', 'maintenance.py')
  const child = spawn(tour[0], [script, String(port), '2'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (line !== 'ready') continue
    const counters = () => plane.view().counters
    const before = counters().commands
    await until('it counts', () => counters().commands > before + 10)
    await plane.pause()
    await elapsed(1000)
    plane.resume()
  }
  const [counted, errors] = (lines.at(-1) ?? '').split(' ').map(Number)
  assert.equal(errors, 0, lines.join('\n'))
  assert.ok((counted ?? 0) > 20)
  assert.equal(plane.view().counters.maintenanceNotices, 2)
})
