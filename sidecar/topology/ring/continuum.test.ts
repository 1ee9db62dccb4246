import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildContinuum, ringName } from './continuum.ts'
import { keyHashes } from './key-hash.ts'

const anyServers = fc.uniqueArray(
  fc.record({ name: fc.string({ minLength: 1 }), weight: fc.integer({ min: 1, max: 1000 }) }),
  { minLength: 1, maxLength: 12, selector: ({ name }) => name },
)
const anyHashes = fc.array(fc.nat(2 ** 32 - 1), { minLength: 1, maxLength: 50 })

test('whoever is taken out, keys of the others stay where they are', () => {
  fc.assert(
    fc.property(anyServers, fc.nat(), anyHashes, (servers, which, hashes) => {
      const out = which % servers.length
      const whole = buildContinuum(servers)
      const rest = whole.only((index) => index !== out)
      for (const hash of hashes) {
        const before = whole.ownerOf(hash)
        const after = rest.ownerOf(hash)
        if (before === out) assert.notEqual(after, out)
        else assert.equal(after, before)
      }
    }),
  )
})

test('a server more takes keys of all, and none moves but to it', () => {
  const servers = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ name: `10.0.0.${at}:6379`, weight: 1 }))
  const before = buildContinuum(servers(9))
  const after = buildContinuum(servers(10))
  let moved = 0
  const keys = 20_000
  for (let at = 0; at < keys; at += 1) {
    const key = Buffer.from(`key:${at}`)
    const hash = keyHashes.fnv1a_64(key, 0, key.length)
    if (before.ownerOf(hash) === after.ownerOf(hash)) continue
    moved += 1
    assert.equal(after.ownerOf(hash), 9)
  }
  assert(moved > 0.07 * keys && moved < 0.13 * keys, `${moved} of ${keys} moved`)
})

test('shares are those of the weights, and make one', () => {
  const weights = [1, 2, 5]
  const ring = buildContinuum(weights.map((weight, at) => ({ name: `server-${at}`, weight })))
  const shares = ring.shares(3)
  assert(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9)
  for (const [at, weight] of weights.entries()) {
    assert(Math.abs((shares[at] as number) - weight / 8) < 0.05, shares.join(' '))
  }
})

test('without servers a key belongs to nobody, with one it belongs to that', () => {
  assert.equal(buildContinuum([]).ownerOf(1), -1)
  const one = buildContinuum([{ name: 'a', weight: 3 }])
  fc.assert(fc.property(fc.nat(2 ** 32 - 1), (hash) => one.ownerOf(hash) === 0))
})

test('every key has an owner, the first point that is not before it', () => {
  fc.assert(
    fc.property(anyServers, anyHashes, (servers, hashes) => {
      const ring = buildContinuum(servers)
      for (const hash of hashes) assert(ring.ownerOf(hash) < servers.length)
      assert.equal(ring.ownerOf(2 ** 32 - 1), ring.ownerOf(0))
    }),
    { examples: [] },
  )
})

test('the port that libmemcached left out is left out', () => {
  assert.equal(ringName({ host: '10.0.0.1', port: 11_211 }), '10.0.0.1')
  assert.equal(ringName({ host: '10.0.0.1', port: 6379 }), '10.0.0.1:6379')
  assert.equal(ringName({ host: '/run/redis.sock', port: 0 }), '/run/redis.sock')
})
