import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RedisProxyStatus } from '../../api/redis-proxy.ts'
import { parseManifests } from '../../api/manifest.ts'
import {
  condition,
  down,
  facts,
  follower,
  history,
  kinds,
  nowMs,
  parkedAt,
  planFor,
  steady,
} from './fixture.ts'
import { plan } from './index.ts'

const operation = { name: 'op', kind: 'Switchover', accept: [] } as const
const sidecar = (epoch: number) =>
  ({ id: 'p', acked: { version: 1, epoch }, primary: 'ok', connectedAtMs: 0 }) as const
const b = follower({ runId: 'run-b' })
const asked = {
  servers: { a: facts(), b },
  status: steady(),
  operation,
  sidecars: [sidecar(4)],
  expected: ['p'],
  watchedForMs: 60_000,
}

test('begin: the intent names the target, the primary is withdrawn, and no server is touched', () => {
  const result = planFor(asked)
  assert.equal(result.status.phase, 'Switching')
  assert.equal(result.status.epoch, 5)
  assert.equal(result.status.primary, undefined)
  assert.equal(result.status.intent?.target, 'b:1')
  assert.equal(result.status.intent?.targetRunId, 'run-b')
  assert.equal(result.status.operation?.phase, 'Running')
  assert.deepEqual(result.actions, [])
})

test('begin: the old primary can log in at the target before it is made its replica', () => {
  const none = {
    sourceUser: '',
    replicationUsers: [],
    minReplicas: 0,
    minReplicasMaxLagSeconds: 10,
  }
  const begin = (own: object, others: object) =>
    planFor({
      ...asked,
      servers: {
        a: facts({ guards: { ...none, ...own } }),
        b: follower({ runId: 'run-b', guards: { ...none, ...others } }),
      },
      spec: 'failover: {guards: {minReplicas: Adaptive}}',
    }).actions
  const replicas = [{ address: 'a:1', runId: 'run-a' }]
  const protect = { kind: 'protect', address: 'b:1', runId: 'run-b', user: 'respmesh-e5', replicas }
  assert.deepEqual(begin({}, {}), [protect])
  assert.deepEqual(begin({}, { minReplicas: 1 }), [
    protect,
    { kind: 'minReplicas', address: 'b:1', runId: 'run-b', count: 0 },
  ])
  assert.deepEqual(begin({ refused: 'no' }, {}), [])
  assert.deepEqual(begin({}, { refused: 'no' }), [])
})

test('begin: refused with a reason where it could not be done without loss', () => {
  const cases: [Partial<Parameters<typeof planFor>[0]>, RegExp][] = [
    [{ expected: ['p', 'q'] }, /not every sidecar/],
    [{ servers: { a: facts(), b: follower({ runId: 'run-b', isLinkUp: false }) } }, /b:1 does not/],
    [{ servers: { a: facts({ offset: 9e6 }), b } }, /8999900 bytes behind/],
    [{ operation: { ...operation, to: 'c:1' } }, /c:1 is not among/],
    [{ operation: { ...operation, to: 'a:1' } }, /a:1 is the primary already/],
    [{ spec: 'suspend: true' }, /suspended/],
  ]
  for (const [over, message] of cases) {
    const result = planFor({ ...asked, ...over })
    assert.equal(result.status.operation?.phase, 'Failed')
    assert.match(result.status.operation?.message ?? '', message)
    assert.equal(result.status.primary?.address, 'a:1')
    assert.equal(result.status.epoch, 4)
  }
})

test('begin: a leader that has just begun waits for whoever comes back to it', () => {
  const young = planFor({ ...asked, sidecars: [], watchedForMs: 2999 })
  assert.equal(young.status.operation, undefined)
  assert.equal(young.requeueAfterMs, 250)
})

const switching = (over = {}): RedisProxyStatus => ({
  epoch: 5,
  phase: 'Switching',
  intent: {
    kind: 'Switchover',
    from: 'a:1',
    fromRunId: 'run-a',
    fromReplId: history,
    target: 'b:1',
    targetRunId: 'run-b',
    operation: 'op',
    reason: 'asked for by op',
    startedAt: '2026-01-02T03:04:04.995Z',
    ...over,
  },
  operation: { name: 'op', phase: 'Running', message: '', startedAt: '2026-01-02T03:04:04.995Z' },
})
const going = { ...asked, status: switching(), sidecars: [sidecar(5)] }

test('go on: roles change only when every sidecar holds its clients', () => {
  assert.deepEqual(planFor({ ...going, sidecars: [sidecar(4)] }).actions, [])
  assert.deepEqual(planFor({ ...going, expected: ['p', 'q'] }).actions, [])
  assert.deepEqual(kinds(planFor(going)), ['handOver a:1'])
})

test('go on: once the target is a primary it is published, with what it took', () => {
  const promoted = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 })
  const a = follower({ source: { host: 'b', port: 1 } })
  const result = planFor({ ...going, servers: { a, b: promoted } })
  assert.equal(result.status.primary?.address, 'b:1')
  assert.equal(result.status.epoch, 5)
  assert.equal(result.status.lastFailover?.proof, 'HandedOver')
  assert.equal(result.status.lastFailover?.lostBytes, 0)
  assert.equal(result.status.lastFailover?.durationMs, 5)
  assert.equal(result.status.operation?.phase, 'Succeeded')
})

test('called off: too late, or the target restarted, while the old primary is one', () => {
  const late = planFor({ ...going, sidecars: [], marks: { switching: nowMs - 5000 } })
  const other = planFor({ ...going, servers: { a: facts(), b: follower({ runId: 'run-b2' }) } })
  for (const result of [late, other]) {
    assert.equal(result.status.primary?.runId, 'run-a')
    assert.equal(result.status.epoch, 5)
    assert.equal(result.status.operation?.phase, 'Failed')
    assert.deepEqual(kinds(result), ['unpause a:1'])
  }
  const early = planFor({ ...going, sidecars: [], marks: { switching: nowMs - 4999 } })
  assert.equal(early.status.primary, undefined)
})

test('the old primary lost in the middle: a failover with its proofs, from the same record', () => {
  const dead = planFor({
    ...going,
    servers: { a: down('refused', 300), b: parkedAt(100, { runId: 'run-b' }) },
  })
  assert.equal(dead.status.intent?.kind, 'Failover')
  assert.equal(dead.status.intent?.proof, 'ProxiesAcked')
  assert.deepEqual(kinds(dead), ['promote b:1'])
  assert.equal(dead.status.operation?.phase, 'Failed')
  const unproven = planFor({
    ...going,
    servers: { a: down('refused', 300), b: parkedAt(100, { runId: 'run-b' }) },
    sidecars: [sidecar(4)],
  })
  assert.equal(condition(unproven, 'PrimaryAvailable'), 'False/WaitingForFencing')
  const unsure = planFor({ ...going, servers: { a: down('timeout', 1000), b } })
  assert.equal(unsure.status.phase, 'Switching')
})

test('moved: a primary that is no longer listed hands over to a listed one that has caught up', () => {
  const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: test}
spec: {backend: {endpoints: [{host: b, port: 1}]}}
`
  const [parsed] = parseManifests(text, 'test').proxies
  assert.ok(parsed)
  const server = (host: string, isListed: boolean, seen: ReturnType<typeof facts>) => ({
    endpoint: { host, port: 1, promotable: isListed },
    address: `${host}:1`,
    host,
    isListed,
    observation: { address: `${host}:1`, atMs: nowMs, state: { kind: 'up', facts: seen } as const },
  })
  const at = (seen: ReturnType<typeof facts>, policy: 'Automatic' | 'Observe' = 'Automatic') =>
    plan(
      {
        proxy: {
          ...parsed,
          spec: { ...parsed.spec, failover: { ...parsed.spec.failover, policy } },
          status: steady(),
        },
        servers: [server('b', true, seen), server('a', false, facts())],
        sidecars: [sidecar(4)],
        expectedSidecars: ['p'],
        watchedSinceMs: 0,
      },
      { monotonicMs: nowMs, wallMs: 0 },
    )
  const empty = at(facts({ runId: 'run-b', replId: 'x', keyCount: 0 }))
  assert.deepEqual(kinds(empty), ['replicate b:1'])
  assert.equal(empty.status.primary?.address, 'a:1')
  const foreign = at(facts({ runId: 'run-b', replId: 'x' }))
  assert.deepEqual(foreign.actions, [])
  const observed = at(b, 'Observe')
  assert.equal(observed.status.primary?.address, 'a:1')
  assert.equal(condition(observed, 'PrimaryAvailable'), 'Unknown/PrimaryNotListed')
  const ready = at(b)
  assert.equal(ready.status.phase, 'Switching')
  assert.equal(ready.status.intent?.target, 'b:1')
})
