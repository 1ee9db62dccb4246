import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import { parseManifests } from '../../api/manifest.ts'
import type { Observation, ProbeFailure, ServerFacts } from '../observation.ts'
import { type Plan, type Snapshot, plan } from './index.ts'

const wallMs = Date.parse('2026-01-02T03:04:05Z')
const nowMs = 1_000_000
const now = { monotonicMs: nowMs, wallMs }
const history = 'h'.repeat(40)
const parked = { host: '127.0.0.1', port: 1 }

function facts(over: Partial<ServerFacts> = {}): ServerFacts {
  return {
    role: 'primary',
    runId: 'run-a',
    version: '8',
    replId: history,
    replId2: '0'.repeat(40),
    secondReplOffset: -1,
    offset: 100,
    isLinkUp: false,
    lastIoSeconds: -1,
    isLoading: false,
    isSyncing: false,
    keyCount: 5,
    priority: 100,
    connectedReplicas: 0,
    ...over,
  }
}

const follower = (over: Partial<ServerFacts> = {}) =>
  facts({
    role: 'replica',
    source: { host: 'a', port: 1 },
    isLinkUp: true,
    lastIoSeconds: 0,
    ...over,
  })
const parkedAt = (offset: number, over: Partial<ServerFacts> = {}) =>
  follower({ source: parked, isLinkUp: false, offset, ...over })

function down(kind: ProbeFailure['kind'], forMs: number): ProbeFailure {
  const sinceMs = nowMs - forMs
  const isRefused = kind === 'refused' || kind === 'closed'
  return { kind, sinceMs, ...(isRefused && { refusedSinceMs: sinceMs }), message: 'model' }
}

type Seen = ServerFacts | ProbeFailure | 'unknown'

interface Given {
  /** By host: a, b, c, each at port 1. */
  readonly servers: Readonly<Record<string, Seen>>
  readonly status?: RedisProxyStatus
  readonly spec?: string
  readonly backend?: string
  readonly sidecars?: Snapshot['sidecars']
  readonly expected?: readonly string[]
  readonly watchedForMs?: number
}

function planFor(given: Given): Plan {
  const hosts = Object.keys(given.servers)
  const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: test}
spec:
  backend:
    endpoints: [${hosts.map((host) => `{host: ${host}, port: 1}`).join(', ')}]
    ${given.backend ?? ''}
  ${given.spec ?? ''}
`
  const [parsed] = parseManifests(text, 'test').proxies
  assert.ok(parsed)
  const proxy = { ...parsed, ...(given.status && { status: given.status }) }
  const servers = proxy.spec.backend.endpoints.map((endpoint) => {
    const address = `${endpoint.host}:1`
    return {
      endpoint,
      address,
      host: endpoint.host,
      observation: observe(address, given.servers[endpoint.host]),
    }
  })
  return plan(
    {
      proxy,
      servers,
      sidecars: given.sidecars ?? [],
      expectedSidecars: given.expected ?? [],
      watchedSinceMs: nowMs - (given.watchedForMs ?? 0),
    },
    now,
  )
}

function observe(address: string, seen: Seen | undefined): Observation {
  if (seen === undefined || seen === 'unknown')
    return { address, atMs: nowMs, state: { kind: 'unknown' } }
  if ('role' in seen)
    return { address, atMs: nowMs, state: { kind: 'up', facts: seen }, last: seen }
  return { address, atMs: nowMs, state: { kind: 'down', failure: seen } }
}

function steady(over: Partial<RedisProxyStatus> = {}): RedisProxyStatus {
  return {
    epoch: 4,
    phase: 'Steady',
    primary: { address: 'a:1', runId: 'run-a', replId: history, since: '2026-01-01T00:00:00Z' },
    ...over,
  }
}

function fencing(over: Partial<NonNullable<RedisProxyStatus['intent']>> = {}): RedisProxyStatus {
  return {
    epoch: 5,
    phase: over.target === undefined ? 'Fencing' : 'Promoting',
    intent: {
      kind: 'Failover',
      from: 'a:1',
      fromRunId: 'run-a',
      fromReplId: history,
      reason: 'it refuses connections',
      startedAt: '2026-01-02T03:04:04.000Z',
      ...over,
    },
  }
}

const joined = (...hosts: string[]): MemberStatus[] =>
  hosts.map((host) => ({ address: `${host}:1`, role: 'replica', state: 'Online', joined: true }))

const condition = ({ status }: Plan, type: string) => {
  const found = status.conditions?.find((each) => each.type === type)
  return `${found?.status}/${found?.reason}`
}
const kinds = ({ actions }: Plan) => actions.map(({ kind, address }) => `${kind} ${address}`)

test('adoption: one primary among all that answer is taken as it is', () => {
  const result = planFor({ servers: { b: follower({ runId: 'run-b' }), a: facts() } })
  assert.equal(result.status.primary?.address, 'a:1')
  assert.equal(result.status.epoch, 1)
  assert.deepEqual(result.actions, [])
})

test('adoption: with members missing, a primary with an attached replica is enough', () => {
  const result = planFor({
    servers: { a: facts(), b: follower({ runId: 'run-b' }), c: down('refused', 5000) },
  })
  assert.equal(result.status.primary?.address, 'a:1')
})

test('adoption: with members missing, a lone primary is taken only after a wait', () => {
  const servers = { a: facts(), b: down('timeout', 5000) }
  const early = planFor({ servers })
  assert.equal(early.status.phase, 'Waiting')
  assert.equal(condition(early, 'PrimaryAvailable'), 'False/WaitingForMembers')
  assert.equal(planFor({ servers, watchedForMs: 10_000 }).status.primary?.address, 'a:1')
})

test('adoption: of several primaries the only one that is not empty', () => {
  const result = planFor({
    servers: { a: facts({ keyCount: 0, replId: 'x' }), b: facts({ runId: 'run-b', replId: 'y' }) },
  })
  assert.equal(result.status.primary?.address, 'b:1')
})

test('adoption: of several empty primaries the first endpoint', () => {
  const empty = { keyCount: 0 }
  const result = planFor({
    servers: { a: facts(empty), b: facts({ ...empty, runId: 'run-b', replId: 'y' }) },
  })
  assert.equal(result.status.primary?.address, 'a:1')
})

test('adoption: several primaries with data stall, whatever else is there', () => {
  const result = planFor({ servers: { a: facts(), b: facts({ runId: 'run-b', replId: 'y' }) } })
  assert.equal(result.status.phase, 'Stalled')
  assert.equal(condition(result, 'SinglePrimary'), 'False/MultiplePrimaries')
  assert.equal(condition(result, 'Ready'), 'False/MultiplePrimaries')
  assert.deepEqual(result.actions, [])
})

test('adoption: a member that loads is waited for', () => {
  const result = planFor({ servers: { a: facts({ isLoading: true }) } })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/Loading')
})

test('bootstrap: the replica with most history, recorded before it is promoted', () => {
  const result = planFor({
    servers: { a: parkedAt(10, { runId: 'run-a' }), b: parkedAt(20, { runId: 'run-b' }) },
  })
  assert.equal(result.status.intent?.target, 'b:1')
  assert.equal(result.status.intent?.targetRunId, 'run-b')
  assert.equal(result.status.primary, undefined)
  assert.deepEqual(result.actions, [{ kind: 'promote', address: 'b:1', runId: 'run-b' }])
})

test('bootstrap: data outranks offsets of an empty history, and ties go to the first endpoint', () => {
  const filled = planFor({
    servers: { a: parkedAt(90, { keyCount: 0 }), b: parkedAt(1, { runId: 'run-b' }) },
  })
  assert.equal(filled.status.intent?.target, 'b:1')
  const tie = planFor({ servers: { a: parkedAt(1), b: parkedAt(1, { runId: 'run-b' }) } })
  assert.equal(tie.status.intent?.target, 'a:1')
})

test('bootstrap: not while someone is missing, not of a set led from outside, not where switched off', () => {
  const missing = planFor({
    servers: { a: parkedAt(1), b: down('refused', 60_000) },
    watchedForMs: 60_000,
  })
  assert.equal(condition(missing, 'PrimaryAvailable'), 'False/WaitingForMembers')
  const outside = planFor({ servers: { a: follower({ source: { host: 'other', port: 9 } }) } })
  assert.equal(condition(outside, 'Stalled'), 'True/PrimaryNotListed')
  const observed = planFor({ servers: { a: parkedAt(1) }, spec: 'failover: {policy: Observe}' })
  assert.deepEqual(observed.actions, [])
})

test('steady: a healthy primary with attached replicas needs nothing', () => {
  const result = planFor({
    servers: { a: facts(), b: follower({ runId: 'run-b' }) },
    status: steady(),
  })
  assert.deepEqual(result.actions, [])
  assert.equal(condition(result, 'Ready'), 'True/Ready')
  assert.equal(condition(result, 'ReplicationHealthy'), 'True/AllAttached')
})

test('steady: the history that the primary has now is recorded', () => {
  const result = planFor({ servers: { a: facts({ replId: 'new' }) }, status: steady() })
  assert.equal(result.status.primary?.replId, 'new')
  assert.equal(result.status.epoch, 4)
})

test('steady: an old primary that returns becomes a replica and what it lost is counted exactly', () => {
  const lastFailover = {
    reason: 'x',
    from: 'b:1',
    to: 'a:1',
    epoch: 4,
    detectedAt: 'x',
    completedAt: 'x',
    durationMs: 1,
  }
  const result = planFor({
    servers: {
      a: facts({ replId2: 'old', secondReplOffset: 81 }),
      b: facts({ runId: 'run-b', replId: 'old', offset: 95 }),
    },
    status: steady({ members: joined('b'), lastFailover }),
  })
  assert.deepEqual(kinds(result), ['replicate b:1'])
  assert.equal(result.status.lastFailover?.lostBytes, 15)
})

test('steady: a stranger with data is not touched, an empty one is taken in', () => {
  const strange = facts({ runId: 'run-b', replId: 'other' })
  const left = planFor({ servers: { a: facts(), b: strange }, status: steady() })
  assert.deepEqual(left.actions, [])
  assert.equal(left.status.members?.[1]?.state, 'Stray')
  const taken = planFor({
    servers: { a: facts(), b: { ...strange, keyCount: 0 } },
    status: steady(),
  })
  assert.deepEqual(kinds(taken), ['replicate b:1'])
})

test('steady: a replica whose link is coming up is left to itself, a parked one is attached', () => {
  const coming = follower({ isLinkUp: false, runId: 'run-b' })
  assert.deepEqual(planFor({ servers: { a: facts(), b: coming }, status: steady() }).actions, [])
  const result = planFor({
    servers: { a: facts(), b: parkedAt(9, { runId: 'run-b' }) },
    status: steady(),
  })
  assert.deepEqual(kinds(result), ['replicate b:1'])
})

test('down: refused and lost by its replicas is down after the short wait', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const early = planFor({ servers: { a: down('refused', 299), b: lostIt }, status: steady() })
  assert.equal(early.status.phase, 'Steady')
  assert.equal(early.requeueAfterMs, 1)
  const due = planFor({ servers: { a: down('refused', 300), b: lostIt }, status: steady() })
  assert.equal(due.status.phase, 'Fencing')
  assert.equal(due.status.epoch, 5)
  assert.equal(due.status.primary, undefined)
  assert.equal(due.status.intent?.fromRunId, 'run-a')
  assert.deepEqual(kinds(due), ['park b:1'])
})

test('down: gone after it hung up is down as if it refused, though its address leads nowhere now', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const gone = { ...down('timeout', 300), refusedSinceMs: nowMs - 300 }
  const phase = (servers: Record<string, Seen>) =>
    planFor({ servers, status: steady() }).status.phase
  assert.equal(phase({ a: gone, b: lostIt }), 'Fencing')
  assert.equal(phase({ a: down('timeout', 300), b: lostIt }), 'Steady')
  assert.equal(phase({ a: gone, b: follower({ runId: 'run-b', lastIoSeconds: 0 }) }), 'Steady')
})

test('fence: an address that leads nowhere is no proof that the process is gone', () => {
  const gone = { ...down('timeout', 900), refusedSinceMs: nowMs - 900 }
  const servers = { a: gone, b: parkedAt(9, { runId: 'run-b' }) }
  const result = planFor({ servers, status: fencing(), expected: ['p'] })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/WaitingForFencing')
})

test('followed: not while the old primary may still take writes', () => {
  const gone = { ...down('timeout', 900), refusedSinceMs: nowMs - 900 }
  const b = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 })
  assert.equal(planFor({ servers: { a: gone, b }, status: steady() }).status.primary, undefined)
  const proven = planFor({ servers: { a: down('refused', 900), b }, status: steady() })
  assert.equal(proven.status.primary?.address, 'b:1')
})

test('down: no answer is down after downAfter', () => {
  const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
  const servers = (ms: number) => ({ a: down('timeout', ms), b: lostIt })
  assert.equal(planFor({ servers: servers(2999), status: steady() }).status.phase, 'Steady')
  assert.equal(planFor({ servers: servers(3000), status: steady() }).status.phase, 'Fencing')
})

test('down: a replica that still hears from it means that we are the isolated one', () => {
  const result = planFor({
    servers: { a: down('timeout', 9000), b: follower({ runId: 'run-b', lastIoSeconds: 2 }) },
    status: steady(),
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'Unknown/OperatorIsolated')
  assert.deepEqual(result.actions, [])
  assert.equal(result.status.epoch, 4)
})

test('down: a link that is up and silent proves nothing until a live primary would have pinged', () => {
  const silent = follower({ runId: 'run-b', lastIoSeconds: 14 })
  const servers = (ms: number) => ({ a: down('timeout', ms), b: silent })
  assert.equal(planFor({ servers: servers(14_000), status: steady() }).status.phase, 'Steady')
  assert.equal(planFor({ servers: servers(15_000), status: steady() }).status.phase, 'Fencing')
})

test('down: refused credentials are no death', () => {
  const result = planFor({ servers: { a: down('auth', 60_000), b: follower() }, status: steady() })
  assert.equal(condition(result, 'PrimaryAvailable'), 'Unknown/Unauthorized')
})

test('down: without a candidate nothing is given up', () => {
  const result = planFor({
    servers: { a: down('refused', 9000), b: follower({ replId: 'other', isLinkUp: false }) },
    status: steady(),
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/NoEligibleCandidate')
  assert.equal(result.status.primary?.address, 'a:1')
})

for (const spec of ['failover: {policy: Observe}', 'suspend: true']) {
  test(`down: with ${spec} nothing is done`, () => {
    const lostIt = follower({ isLinkUp: false, runId: 'run-b' })
    const result = planFor({
      servers: { a: down('refused', 9000), b: lostIt },
      status: steady(),
      spec,
    })
    assert.equal(condition(result, 'PrimaryAvailable'), 'False/PrimaryDown')
    assert.deepEqual(result.actions, [])
    assert.equal(result.status.epoch, 4)
    const begun = planFor({
      servers: { a: down('refused', 9000), b: lostIt },
      status: fencing(),
      spec,
    })
    assert.deepEqual(begun.actions, [])
    assert.equal(begun.status.phase, 'Fencing')
  })
}

test('restarted: everyone is parked first, the restarted one too', () => {
  const result = planFor({
    servers: {
      a: facts({ runId: 'run-a2', replId: 'x', keyCount: 0 }),
      b: follower({ runId: 'run-b' }),
    },
    status: steady(),
  })
  assert.equal(result.status.phase, 'Fencing')
  assert.deepEqual(kinds(result), ['park a:1', 'park b:1'])
})

test('restarted: a standalone server is recorded again at once', () => {
  const result = planFor({
    servers: { a: facts({ runId: 'run-a2', replId: 'x' }) },
    backend: 'mode: Standalone',
    status: steady(),
  })
  assert.equal(result.status.epoch, 5)
  assert.equal(result.status.primary?.runId, 'run-a2')
  assert.deepEqual(result.actions, [])
})

test('followed: a switchover made by someone else is obeyed once the old primary is out', () => {
  const result = planFor({
    servers: {
      a: follower({ source: { host: 'b', port: 1 }, replId: 'new' }),
      b: facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 101 }),
    },
    status: steady(),
  })
  assert.equal(result.status.primary?.address, 'b:1')
  assert.equal(result.status.epoch, 5)
  assert.deepEqual(result.actions, [])
})

test('fence: no proof, no promotion', () => {
  const result = planFor({
    servers: { a: down('timeout', 9000), b: parkedAt(9, { runId: 'run-b' }) },
    status: fencing(),
    sidecars: [{ id: 'p', acked: { version: 1, epoch: 4 }, primary: 'ok', connectedAtMs: 0 }],
    expected: ['p'],
  })
  assert.equal(condition(result, 'PrimaryAvailable'), 'False/WaitingForFencing')
  assert.deepEqual(result.actions, [])
})

test('fence: a sidecar that exists and is not connected counts as one that still writes', () => {
  const servers = { a: down('timeout', 9000), b: parkedAt(9, { runId: 'run-b' }) }
  const sidecars = [
    { id: 'p', acked: { version: 1, epoch: 5 }, primary: 'ok' as const, connectedAtMs: 0 },
  ]
  const waiting = planFor({ servers, status: fencing(), sidecars, expected: ['p', 'q'] })
  assert.equal(condition(waiting, 'PrimaryAvailable'), 'False/WaitingForFencing')
  const proven = planFor({ servers, status: fencing(), sidecars, expected: ['p'] })
  assert.deepEqual(kinds(proven), ['promote b:1'])
})

test('fence: each proof lets the choice begin', () => {
  const b = parkedAt(9, { runId: 'run-b' })
  const proofs: Seen[] = [
    down('refused', 400),
    facts({ runId: 'run-a2', isLoading: true }),
    parkedAt(5),
  ]
  for (const a of proofs) {
    const result = planFor({
      servers: { a, b },
      status: fencing(),
      sidecars: [],
      expected: ['deaf'],
    })
    assert.equal(result.status.intent?.target, 'b:1')
    assert.equal(result.status.phase, 'Promoting')
  }
})

test('fence: who answers is parked before anyone is chosen', () => {
  const result = planFor({
    servers: {
      a: down('refused', 400),
      b: parkedAt(9, { runId: 'run-b' }),
      c: follower({ runId: 'run-c' }),
    },
    status: fencing(),
  })
  assert.deepEqual(kinds(result), ['park c:1'])
  assert.equal(result.status.intent?.target, undefined)
})

test('select: the furthest of the same history that may be promoted', () => {
  const chosen = (servers: Record<string, Seen>) =>
    planFor({ servers: { a: down('refused', 400), ...servers }, status: fencing() }).status.intent
      ?.target
  const b = (offset: number, over: Partial<ServerFacts> = {}) =>
    parkedAt(offset, { runId: 'run-b', ...over })
  const c = (offset: number, over: Partial<ServerFacts> = {}) =>
    parkedAt(offset, { runId: 'run-c', ...over })
  assert.equal(chosen({ b: b(9), c: c(10) }), 'c:1')
  assert.equal(chosen({ b: b(10), c: c(10) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { replId: 'other' }) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { priority: 0 }) }), 'b:1')
  assert.equal(chosen({ b: b(9), c: c(99, { isSyncing: true }) }), 'b:1')
  const branched = { replId: 'new', replId2: history, secondReplOffset: 6 }
  assert.equal(
    chosen({ b: b(9), c: c(99, branched) }),
    'b:1',
    'a branch counts up to where it left',
  )
  assert.equal(chosen({ b: b(4), c: c(99, branched) }), 'c:1')
})

test('select: the lost primary that came back first among equals', () => {
  const result = planFor({
    servers: { b: parkedAt(9, { runId: 'run-b' }), a: parkedAt(9) },
    status: fencing(),
  })
  assert.equal(result.status.intent?.target, 'a:1')
})

test('select: all restarted, the lost primary with its data; an empty one only if nobody has any', () => {
  const restarted = (runId: string, keyCount: number) =>
    parkedAt(0, { runId, replId: runId, keyCount })
  const chosen = (b: Seen, a: number) =>
    planFor({ servers: { a: restarted('run-a2', a), b }, status: fencing() }).status.intent?.target
  assert.equal(chosen(restarted('run-b2', 100), 90), 'a:1')
  assert.equal(chosen(restarted('run-b2', 0), 0), 'a:1')
  assert.equal(chosen(restarted('run-b2', 100), 0), 'b:1')
  assert.equal(chosen(down('refused', 900), 0), undefined)
})

test('promote: repeated on the same process until it is seen as a primary, then recorded', () => {
  const status = fencing({ target: 'b:1', targetRunId: 'run-b' })
  const again = planFor({
    servers: { a: down('refused', 900), b: parkedAt(9, { runId: 'run-b' }) },
    status,
  })
  assert.deepEqual(kinds(again), ['promote b:1'])
  const b = facts({ runId: 'run-b', replId: 'new', replId2: history, secondReplOffset: 10 })
  const done = planFor({ servers: { a: down('refused', 900), b }, status })
  assert.deepEqual(done.status.primary, {
    address: 'b:1',
    runId: 'run-b',
    replId: 'new',
    since: '2026-01-02T03:04:05.000Z',
  })
  assert.equal(done.status.intent, undefined)
  assert.equal(done.status.epoch, 5)
  assert.equal(done.status.lastFailover?.durationMs, 1000)
})

test('promote: a target that was restarted or is gone is dropped, and another chosen', () => {
  const status = fencing({ target: 'b:1', targetRunId: 'run-b' })
  const a = down('refused', 900)
  for (const b of [
    facts({ runId: 'run-b2', replId: 'x' }),
    down('refused', 400),
    down('timeout', 4000),
  ]) {
    const result = planFor({ servers: { a, b }, status })
    assert.equal(result.status.phase, 'Fencing')
    assert.equal(result.status.intent?.target, undefined)
    assert.equal(result.status.intent?.targetRunId, undefined)
    assert.deepEqual(result.actions, [])
  }
  const patient = planFor({ servers: { a, b: down('timeout', 400) }, status })
  assert.equal(patient.status.intent?.target, 'b:1')
})

test('a time of transition changes only with the status of its condition', () => {
  const given = { servers: { a: facts() }, status: steady() }
  const first = planFor(given)
  const old = '2020-01-01T00:00:00Z'
  const conditions = (first.status.conditions ?? []).map((each) => ({
    ...each,
    lastTransitionTime: old,
  }))
  const same = planFor({ ...given, status: { ...first.status, conditions } })
  assert.ok(same.status.conditions?.every(({ lastTransitionTime }) => lastTransitionTime === old))
  const changed = planFor({
    servers: { a: down('refused', 10) },
    status: { ...first.status, conditions },
  })
  const ready = changed.status.conditions?.find(({ type }) => type === 'Ready')
  assert.equal(ready?.lastTransitionTime, '2026-01-02T03:04:05Z')
})
