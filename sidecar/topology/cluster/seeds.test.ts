import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveSeeds } from './seeds.ts'

test('an address and a path stand for themselves, a name that nobody knows for nothing', async () => {
  const places = [
    { host: '127.0.0.1', port: 1 },
    { host: '::1', port: 2 },
    { host: '/run/redis.sock', port: 0 },
  ]
  const seeds = await resolveSeeds([...places, { host: 'nowhere.invalid', port: 3 }], 1000)
  assert.deepEqual(
    seeds,
    places.map((address) => ({ address, isSeed: true })),
  )
})

test('a name of several addresses stands for all of them, a name of one for itself', async () => {
  const seeds = await resolveSeeds([{ host: 'localhost', port: 5 }], 1000)
  assert(seeds.length > 0)
  for (const { address, name } of seeds) {
    assert.equal(address.port, 5)
    assert.equal(name ?? address.host, 'localhost')
  }
})
