/** The parts of the Kubernetes door that decide without IO. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { codeOf } from '../../common/errors.ts'
import { leaseDurationMs, leaseRenewDeadlineMs, watchLineBytesMax } from '../../common/limits.ts'
import { writeInjected } from '../inject/layout.ts'
import { placeIn, podHostOf } from './addresses.ts'
import { answerError } from './api-error.ts'
import { backoffMs } from './backoff.ts'
import { type LeaseObject, mayTake, sight, takenSpec } from './lease.ts'
import { microTime, qualifyHost } from './names.ts'
import { ObjectStore } from './object-store.ts'
import type { KubeObject, PodView } from './objects.ts'
import { sidecarsOf } from './pods.ts'
import { decodeSecret } from './secrets.ts'
import { identityOf, judge } from './token.ts'
import { WatchDecoder } from './watch-lines.ts'

test('a host of one or two labels is completed with the namespace, and every other left alone', () => {
  const cases = {
    redis: 'redis.shop.svc',
    'redis-0.redis': 'redis-0.redis.shop.svc',
    'redis-0.redis.data.svc': 'redis-0.redis.data.svc',
    'cache.example.com': 'cache.example.com',
    'example.com.': 'example.com.',
    localhost: 'localhost',
    '10.0.0.7': '10.0.0.7',
    'fd00::7': 'fd00::7',
  }
  for (const [host, expected] of Object.entries(cases)) {
    assert.equal(qualifyHost('shop', host), expected)
  }
})

test('a pod behind a Service of its own namespace is found by its hostname, and nothing else is looked for', () => {
  const found = { namespace: 'shop', service: 'redis', hostname: 'redis-0' }
  assert.deepEqual(podHostOf('shop', 'redis-0.redis'), found)
  assert.deepEqual(podHostOf('shop', 'redis-0.redis.shop.svc'), found)
  assert.deepEqual(podHostOf('shop', 'redis-0.redis.shop.svc.cluster.local'), found)
  for (const host of [
    'redis',
    'redis-0.redis.data.svc',
    'a.example.com',
    '10.0.0.1',
    'x.',
    '10-0-0-1.redis',
  ]) {
    assert.equal(podHostOf('shop', host), undefined, host)
  }
})

test('of two pods of one name the one that is not ending is where to connect', () => {
  const slice = (address: string, terminating: boolean, zone?: string) => {
    const conditions = { terminating }
    const endpoint = {
      addresses: [address],
      hostname: 'redis-0',
      conditions,
      ...(zone && { zone }),
    }
    return { metadata: { name: address }, addressType: 'IPv4', endpoints: [endpoint] }
  }
  const slices = [slice('10.0.0.1', true), slice('10.0.0.2', false, 'a')]
  assert.deepEqual(placeIn(slices, 'redis-0'), { address: '10.0.0.2', zone: 'a' })
  assert.deepEqual(placeIn(slices.slice(0, 1), 'redis-0'), { address: '10.0.0.1' })
  assert.equal(placeIn(slices, 'redis-1'), undefined)
})

test('a MicroTime has exactly six digits after the point', () => {
  assert.equal(microTime(0), '1970-01-01T00:00:00.000000Z')
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), (ms) => {
      assert.match(microTime(ms), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      assert.equal(Date.parse(microTime(ms)), ms)
    }),
  )
})

test('waits grow to the ceiling and are never shorter than half of it', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, x) => {
      const options = { minMs: 100, maxMs: 5000, random: () => x }
      const ceiling = Math.min(5000, 100 * 2 ** attempt)
      const wait = backoffMs(attempt, options)
      assert.ok(wait >= ceiling / 2 && wait <= ceiling)
    }),
  )
})

test('an answer of the API keeps its status, its reason and whether to try again', () => {
  const conflict = answerError('PUT /x', {
    status: 409,
    body: JSON.stringify({ kind: 'Status', reason: 'Conflict', message: 'changed' }),
  })
  assert.deepEqual(
    [conflict.code, conflict.reason, conflict.retryable],
    ['RM_CONFLICT', 'Conflict', false],
  )
  const busy = answerError('GET /x', { status: 429, body: '<html>', retryAfter: '2' })
  assert.deepEqual([busy.code, busy.retryAfterMs, busy.retryable], ['RM_API', 2000, true])
  assert.match(busy.message, /GET \/x was answered 429/)
})

const event = (type: string, object: object) => `${JSON.stringify({ type, object })}\n`

test('watch events come out whole however the bytes are cut', () => {
  const text = [
    event('ADDED', { metadata: { name: 'ä', resourceVersion: '1' } }),
    event('BOOKMARK', { metadata: { resourceVersion: '7' } }),
    event('DELETED', { metadata: { name: 'ä', resourceVersion: '9' } }),
    event('ERROR', { kind: 'Status', code: 410, reason: 'Expired' }),
  ].join('')
  const bytes = Buffer.from(text)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length }), { maxLength: 20 }), (cuts) => {
      const decoder = new WatchDecoder<KubeObject>()
      const ends = [...new Set([...cuts, bytes.length])].toSorted((a, b) => a - b)
      let start = 0
      const kinds = ends.flatMap((end) => {
        const events = decoder.push(bytes.subarray(start, end))
        start = end
        return events.map(({ kind }) => kind)
      })
      assert.deepEqual(kinds, ['put', 'bookmark', 'removed', 'failed'])
    }),
  )
})

test('what is no event of a watch is an error, not passed over', () => {
  const broken = [
    '{"type":"ADDED"\n',
    '[]\n',
    event('ADDED', {}),
    event('MOVED', { metadata: { resourceVersion: '1' } }),
  ]
  for (const line of broken) {
    assert.throws(
      () => new WatchDecoder().push(Buffer.from(line)),
      (error) => codeOf(error) === 'RM_API',
      line,
    )
  }
  const endless = new WatchDecoder()
  assert.throws(
    () => {
      for (let size = 0; size <= watchLineBytesMax; size += 1 << 20)
        endless.push(Buffer.alloc(1 << 20, 'a'))
    },
    (error) => codeOf(error) === 'RM_API',
  )
})

const object = (name: string, version: string, uid = 'u'): KubeObject => ({
  metadata: { namespace: 'shop', name, uid, resourceVersion: version },
})

test('the store tells of each change once, and a late watch does not undo our own write', () => {
  const store = new ObjectStore()
  const told: string[] = []
  store.onChange((key) => told.push(key))
  store.replaceAll([object('a', '5'), object('b', '6')])
  store.put(object('a', '9'))
  store.put(object('a', '7'))
  assert.equal(store.get('shop/a')?.metadata.resourceVersion, '9')
  store.put(object('a', '10'))
  assert.deepEqual(told, ['shop/a', 'shop/b', 'shop/a', 'shop/a'])
  store.replaceAll([object('a', '10')])
  assert.deepEqual(store.keys(), ['shop/a'])
  assert.equal(told.at(-1), 'shop/b')
})

test('the end of a former object of the same name does not remove its successor', () => {
  const store = new ObjectStore()
  store.put(object('a', '5', 'old'))
  store.put(object('a', '4', 'new'))
  store.remove(object('a', '8', 'old'))
  assert.equal(store.get('shop/a')?.metadata.uid, 'new')
  store.remove(object('a', '9', 'new'))
  assert.equal(store.get('shop/a'), undefined)
})

const lease = (holder: string, version: string): LeaseObject => ({
  metadata: { name: 'l', resourceVersion: version },
  spec: {
    holderIdentity: holder,
    leaseDurationSeconds: leaseDurationMs / 1000,
    leaseTransitions: 3,
  },
})

test('a lease is taken from another only when it was not renewed for as long as it lasts', () => {
  let seen = sight(undefined, lease('other', '1'), 1000)
  assert.equal(mayTake(seen, 'me', 1000 + leaseDurationMs - 1), false)
  assert.equal(mayTake(seen, 'me', 1000 + leaseDurationMs), true)
  // A renewal starts the wait anew, the same version seen again does not.
  seen = sight(seen, lease('other', '2'), 9000)
  seen = sight(seen, lease('other', '2'), 12_000)
  assert.equal(mayTake(seen, 'me', 9000 + leaseDurationMs - 1), false)
  assert.equal(mayTake(seen, 'me', 9000 + leaseDurationMs), true)
  assert.equal(mayTake(sight(undefined, lease('', '1'), 0), 'me', 0), true)
  assert.equal(mayTake(sight(undefined, lease('me', '1'), 0), 'me', 0), true)
})

test('a holder stops before anyone else may take the lease', () => {
  assert.ok(leaseRenewDeadlineMs < leaseDurationMs)
})

test('a renewal keeps the time of the acquisition, a change of hands counts', () => {
  const former = { ...lease('me', '1').spec, acquireTime: microTime(1) }
  const renewed = takenSpec(former, 'me', 5000)
  assert.deepEqual([renewed.acquireTime, renewed.leaseTransitions], [microTime(1), 3])
  const taken = takenSpec(former, 'you', 5000)
  assert.deepEqual([taken.acquireTime, taken.leaseTransitions], [microTime(5000), 4])
  assert.equal(takenSpec(undefined, 'me', 0).leaseTransitions, 0)
})

const pod = (name: string, rest: Partial<PodView>): PodView => ({
  metadata: {
    namespace: 'shop',
    name,
    uid: `uid-${name}`,
    annotations: {
      'respmesh.io/injected': writeInjected({ proxy: 'cache', image: 'i', container: 'respmesh' }),
    },
  },
  spec: { nodeName: 'n' },
  status: { phase: 'Running' },
  ...rest,
})

test('a sidecar counts from when it may run until its pod has ended', () => {
  const waiting = { name: 'respmesh', state: { waiting: {} }, restartCount: 0 }
  const pods = [
    pod('running', {}),
    pod('unscheduled', { spec: {} }),
    pod('done', { status: { phase: 'Succeeded' } }),
    pod('pulling', { status: { phase: 'Pending', initContainerStatuses: [waiting] } }),
    pod('restarting', {
      status: { phase: 'Running', initContainerStatuses: [{ ...waiting, restartCount: 1 }] },
    }),
    pod('other', { metadata: { namespace: 'elsewhere', name: 'other' } }),
  ]
  assert.deepEqual(sidecarsOf('shop/cache', pods), ['shop/running', 'shop/restarting'])
})

const status = {
  authenticated: true,
  audiences: ['respmesh.io'],
  user: {
    username: 'system:serviceaccount:shop:default',
    extra: {
      'authentication.kubernetes.io/pod-name': ['app'],
      'authentication.kubernetes.io/pod-uid': ['uid-app'],
    },
  },
}

test('a token proves a pod only if it is good, for our audience, and bound to one', () => {
  assert.deepEqual(identityOf(status), { namespace: 'shop', name: 'app', uid: 'uid-app' })
  assert.equal(identityOf(undefined), undefined)
  assert.equal(identityOf({ ...status, authenticated: false }), undefined)
  assert.equal(identityOf({ ...status, audiences: ['https://kubernetes.default.svc'] }), undefined)
  assert.equal(identityOf({ ...status, user: { username: 'jane' } }), undefined)
})

test('a pod gets the configuration of the RedisProxy that it was injected for and of no other', () => {
  const identity = { namespace: 'shop', name: 'app', uid: 'uid-app' }
  const known = pod('app', {})
  assert.deepEqual(judge('shop/cache', identity, known), { ok: true, sidecarId: 'shop/app' })
  assert.deepEqual(judge('shop/cache', identity, undefined), { ok: true, sidecarId: 'shop/app' })
  assert.equal(judge('shop/other', identity, known).ok, false)
  assert.equal(judge('bank/cache', identity, known).ok, false)
  // The pod of that name that the cache knows is a former one.
  assert.equal(judge('shop/other', { ...identity, uid: 'new' }, known).ok, true)
})

test('a line end that an editor left in a Secret is not part of the password', () => {
  const data = { password: Buffer.from('s3cret\n').toString('base64') }
  assert.deepEqual(decodeSecret({ metadata: { name: 's' }, data }), { password: 's3cret' })
})
