import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuardFacts } from '../observation.ts'
import { condition, down, facts, follower, kinds, nowMs, planFor, steady } from './fixture.ts'

const own = (over: Partial<GuardFacts> = {}): GuardFacts => ({
  sourceUser: '',
  replicationUsers: [],
  minReplicas: 0,
  minReplicasMaxLagSeconds: 10,
  ...over,
})
const user = 'respmesh-e4'
const guarded = own({ replicationUsers: [user] })
const primary = (guards: GuardFacts, over = {}) => facts({ guards, ...over })
const replica = (guards: GuardFacts, over = {}) => follower({ runId: 'run-b', guards, ...over })
const status = steady()

test('replicas: the user of the epoch is made, then everyone is told, then it counts', () => {
  const fresh = planFor({ servers: { a: primary(own()), b: replica(own()) }, status })
  assert.deepEqual(fresh.actions, [
    {
      kind: 'protect',
      address: 'a:1',
      runId: 'run-a',
      user,
      replicas: [{ address: 'b:1', runId: 'run-b' }],
    },
  ])
  assert.equal(condition(fresh, 'DataProtected'), 'False/SettingUp')
  const b = replica(own({ sourceUser: user }))
  const done = planFor({ servers: { a: primary(guarded), b }, status })
  assert.deepEqual(done.actions, [])
  assert.equal(done.status.guards?.replicationUser, user)
  assert.equal(condition(done, 'DataProtected'), 'True/EpochUsers')
})

test('replicas: one is told how to log in before it is told to follow', () => {
  const empty = { role: 'primary', replId: 'x', keyCount: 0 } as const
  const untold = planFor({
    servers: { a: primary(guarded), b: facts({ runId: 'run-b', guards: own(), ...empty }) },
    status,
  })
  assert.deepEqual(kinds(untold), ['protect a:1'])
  const told = own({ sourceUser: user })
  const next = planFor({
    servers: { a: primary(guarded), b: facts({ runId: 'run-b', guards: told, ...empty }) },
    status,
  })
  assert.deepEqual(kinds(next), ['replicate b:1'])
})

test('replicas: where it cannot be, they are given back what they had, and the condition says why', () => {
  const refused = own({ refused: 'its user may not run ACL SETUSER' })
  const b = replica(own({ sourceUser: 'respmesh-e3' }))
  const result = planFor({ servers: { a: primary(refused), b }, status })
  assert.deepEqual(kinds(result), ['unprotect b:1'])
  assert.equal(condition(result, 'DataProtected'), 'False/NotSupported')
  const spec = 'failover: {guards: {replicationUsers: Disabled}}'
  const disabled = planFor({ servers: { a: primary(guarded), b }, status, spec })
  assert.deepEqual(kinds(disabled), ['unprotect b:1'])
  assert.equal(condition(disabled, 'DataProtected'), 'False/GuardsDisabled')
})

const adaptive = 'failover: {guards: {replicationUsers: Disabled, minReplicas: Adaptive}}'

test('min-replicas: counts once it was seen, and is off the record before it is taken back', () => {
  const b = replica(own())
  const setting = planFor({ servers: { a: primary(own()), b }, status, spec: adaptive })
  assert.deepEqual(setting.actions, [
    { kind: 'minReplicas', address: 'a:1', runId: 'run-a', count: 1 },
  ])
  assert.equal(setting.status.guards, undefined)
  const set = own({ minReplicas: 1 })
  const inForce = planFor({ servers: { a: primary(set), b }, status, spec: adaptive })
  assert.deepEqual(inForce.status.guards, { minReplicasRunId: 'run-a' })
  const recorded = steady({ guards: { minReplicasRunId: 'run-a' } })
  const alone = replica(own(), { isLinkUp: false })
  const last = planFor({ servers: { a: primary(set), b: alone }, status: recorded, spec: adaptive })
  assert.equal(last.status.guards, undefined)
  assert.deepEqual(last.actions, [
    { kind: 'minReplicas', address: 'a:1', runId: 'run-a', count: 0 },
  ])
  // The primary says that it has one, whatever we can see.
  const fed = primary(set, { connectedReplicas: 1 })
  const kept = planFor({ servers: { a: fed, b: alone }, status: recorded, spec: adaptive })
  assert.deepEqual(kept.actions, [])
})

test('grants: a guard once every sidecar obeys them, until they change', () => {
  const spec = 'failover: {operatorAway: StopWrites, grantTtl: 3s}'
  const published = { version: 7, epoch: 4, atMs: nowMs, epochAtMs: 0, grantTtlMs: 3000 }
  const sidecar = (version: number) =>
    ({ id: 'p', acked: { version, epoch: 4 }, primary: 'ok', connectedAtMs: 0 }) as const
  const given = { servers: { a: facts(), b: follower() }, status, spec, published, expected: ['p'] }
  const guards = (over: object) => planFor({ ...given, ...over }).status.guards
  assert.equal(guards({ sidecars: [sidecar(6)] }), undefined)
  assert.equal(guards({ sidecars: [] }), undefined)
  assert.deepEqual(guards({ sidecars: [sidecar(7)] }), { grantTtlMs: 3000 })
  const { grantTtlMs: _none, ...before } = published
  assert.equal(guards({ sidecars: [sidecar(7)], published: before }), undefined)
  const recorded = steady({ guards: { grantTtlMs: 3000 } })
  assert.deepEqual(guards({ sidecars: [], status: recorded }), { grantTtlMs: 3000 })
  const longer = spec.replace('3s', '5s')
  assert.equal(guards({ sidecars: [sidecar(7)], status: recorded, spec: longer }), undefined)
})

test('replicas: one that is turned away for seconds is told anew', () => {
  const out = replica(own({ sourceUser: user }), {
    isLinkUp: false,
    source: { host: 'a', port: 1 },
  })
  const servers = { a: primary(guarded), b: out }
  const first = planFor({ servers, status })
  assert.deepEqual([kinds(first), first.marks], [[], ['keptOut']])
  const early = planFor({ servers, status, marks: { keptOut: nowMs - 2999 } })
  assert.deepEqual(kinds(early), [])
  const late = planFor({ servers, status, marks: { keptOut: nowMs - 3000 } })
  assert.deepEqual([kinds(late), late.marks], [['protect a:1'], []])
})

test('grants and quorum follow the spec of the turn, whatever else the turn is about', () => {
  const recorded = steady({ guards: { grantTtlMs: 3000, waitReplicas: 2 } })
  const gone = down('refused', 300)
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const at = (a: Parameters<typeof planFor>[0]['servers'][string], spec: string) =>
    planFor({ servers: { a, b: lostIt, c: lostIt }, status: recorded, spec }).status
  const spec = 'failover: {operatorAway: StopWrites}\n  proxy: {writes: {waitReplicas: 1}}'
  assert.deepEqual(at(down('timeout', 1), spec).guards, { grantTtlMs: 3000, waitReplicas: 1 })
  const { intent } = at(gone, spec)
  assert.deepEqual([intent?.grantTtlMs, intent?.waitReplicas], [3000, 1])
  assert.equal(at(down('timeout', 1), '').guards, undefined)
  const { intent: other } = at(gone, '')
  assert.deepEqual([other?.grantTtlMs, other?.waitReplicas], [undefined, undefined])
})

test('confirmed writes: the fewest replicas of the epoch are what a failover counts on', () => {
  const servers = { a: facts(), b: follower(), c: follower({ runId: 'run-c' }) }
  const writes = (count: number) => `proxy: {writes: {waitReplicas: ${count}}}`
  const of = (given: object) => planFor({ servers, status, ...given }).status.guards
  assert.deepEqual(of({ spec: writes(2) }), { waitReplicas: 2 })
  const one = steady({ guards: { waitReplicas: 1 } })
  assert.deepEqual(of({ spec: writes(2), status: one }), { waitReplicas: 1 })
  assert.equal(of({ status: one }), undefined)
})
