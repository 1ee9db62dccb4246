import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { silentLog } from '../../common/log.ts'
import { parseManifests } from '../api/manifest.ts'
import { keyOf } from '../api/redis-proxy.ts'
import type { Backend } from '../backend/index.ts'
import { facts, follower, steady } from './plan/fixture.ts'
import type { Provider } from './provider.ts'
import { Reconciler } from './reconcile.ts'

const [manifest] = parseManifests(
  `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: test}
spec: {backend: {endpoints: [{host: a, port: 1}, {host: b, port: 1}]}}
`,
  'test',
).proxies
assert.ok(manifest)
const proxy = { ...manifest, status: steady() }
const key = keyOf(proxy)
const nothing = () => {}
const never = new Promise<never>(nothing)

function providerWith(sidecars: ReturnType<Provider['publisher']['sidecars']>): Provider {
  return {
    store: { get: () => proxy, keys: () => [key], onChange: () => nothing },
    status: { writeStatus: async (_former, status) => ({ ...proxy, status }) },
    secrets: { readSecret: async () => undefined },
    events: { publish: nothing },
    publisher: {
      publish: nothing,
      suspect: nothing,
      withdraw: nothing,
      sidecars: () => sidecars,
      onChange: () => nothing,
    },
    placement: { secretFile: () => '', socketPath: undefined },
    expectedSidecars: () => [],
    isLeader: () => true,
  }
}

test('a turn does not wait for the look at a server that may never answer', async () => {
  const looked: string[] = []
  const seenMs = systemClock.monotonicMs() - 5000
  const up = (address: string, seen: ReturnType<typeof facts>) => ({
    address,
    atMs: seenMs,
    state: { kind: 'up', facts: seen } as const,
    last: seen,
  })
  const guards = {
    sourceUser: '',
    replicationUsers: [],
    minReplicas: 0,
    minReplicasMaxLagSeconds: 10,
    refused: 'ACL',
  }
  const backend: Partial<Backend> = {
    watch: nothing,
    observations: () => [up('a:1', facts({ guards })), up('b:1', follower({ runId: 'run-b' }))],
    probeNow: (_key, addresses) => {
      looked.push(...addresses)
      return never
    },
  }
  const reconciler = new Reconciler({
    provider: providerWith([
      { id: 'one', primary: 'failing', acked: { version: 1, epoch: 4 }, connectedAtMs: 0 },
    ]),
    backend: backend as Backend,
    clock: systemClock,
    log: silentLog,
  })
  await reconciler.reconcile(key)
  assert.deepEqual(looked, ['a:1'])
})
