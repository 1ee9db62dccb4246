import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerFacts } from '../observation.ts'
import {
  type Seen,
  condition,
  down,
  facts,
  fencing,
  follower,
  history,
  kinds,
  nowMs,
  parkedAt,
  planFor,
  steady,
} from './fixture.ts'

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
  const proofs: [Seen, Partial<Parameters<typeof planFor>[0]>, string][] = [
    [facts({ runId: 'run-a2', isLoading: true }), {}, 'ProcessDead'],
    [down('timeout', 400), { fates: { a: 'its container ended' } }, 'ProcessDead'],
    [parkedAt(5), {}, 'ServerDemoted'],
    [down('timeout', 400), grantedSince(3200), 'GrantExpired'],
    [down('timeout', 400), selfFencedSince(4000), 'ServerSelfFenced'],
    [down('timeout', 400), { sidecars: [obedient('deaf', 5)] }, 'ProxiesAcked'],
  ]
  for (const [a, given, proof] of proofs) {
    const result = planFor({
      servers: { a, b },
      status: fencing(),
      sidecars: [],
      expected: ['deaf'],
      watchedForMs: 60_000,
      ...given,
    })
    assert.equal(result.status.intent?.proof, proof)
    assert.equal(result.status.intent?.target, 'b:1')
    assert.equal(result.status.phase, 'Promoting')
  }
})

const obedient = (id: string, epoch: number) =>
  ({ id, acked: { version: 1, epoch }, primary: 'ok', connectedAtMs: 0 }) as const

/** Grants of 3 s, and this leader published the fence so long ago. */
function grantedSince(ms: number) {
  const atMs = nowMs - ms
  return {
    status: fencing({ grantTtlMs: 3000 }),
    published: { version: 2, epoch: 5, atMs, epochAtMs: atMs },
  }
}

const selfFencedSince = (ms: number) => ({
  status: fencing({ minReplicas: true }),
  marks: { fencing: nowMs - 60_000, parked: nowMs - ms },
})

test('fence: what is no proof', () => {
  const b = parkedAt(9, { runId: 'run-b' })
  const a = down('refused', 60_000)
  const given = { servers: { a, b }, status: fencing(), expected: ['deaf'], watchedForMs: 60_000 }
  const cases: Partial<Parameters<typeof planFor>[0]>[] = [
    // Anyone in between can refuse a connection in its name.
    {},
    { sidecars: [obedient('deaf', 4)] },
    grantedSince(3199),
    // A leader since a moment ago does not know what the former one granted.
    { ...grantedSince(60_000), watchedForMs: 3199 },
    { published: { version: 2, epoch: 5, atMs: 0, epochAtMs: 0 } },
    { ...grantedSince(60_000), published: { version: 2, epoch: 4, atMs: 0, epochAtMs: 0 } },
    selfFencedSince(3999),
    { ...selfFencedSince(60_000), status: fencing() },
    // One that cannot be reached may still be feeding the old primary.
    { ...selfFencedSince(60_000), servers: { a, b, c: down('timeout', 60_000) } },
  ]
  for (const [index, over] of cases.entries()) {
    const result = planFor({ ...given, ...over })
    assert.equal(condition(result, 'PrimaryAvailable'), 'False/WaitingForFencing', `case ${index}`)
    assert.equal(result.status.intent?.target, undefined)
  }
})

test('fence: another process elsewhere under the same name is no proof', () => {
  const a = facts({ runId: 'run-a2', isLoading: true })
  const servers = { a, b: parkedAt(9, { runId: 'run-b' }) }
  const given = { servers, expected: ['deaf'] }
  const here = planFor({ ...given, status: fencing({ fromHost: 'a' }) })
  assert.equal(here.status.intent?.proof, 'ProcessDead')
  const elsewhere = planFor({ ...given, status: fencing({ fromHost: '10.0.0.9' }) })
  assert.equal(condition(elsewhere, 'PrimaryAvailable'), 'False/WaitingForFencing')
})

test('fence: where a sidecar was away, the old primary that may have its writes is waited for a moment', () => {
  const b = parkedAt(9, { runId: 'run-b' })
  const at = (
    agoMs: { readonly fencing?: number; readonly late?: number; readonly acked?: number },
    { a = down('timeout', 60_000), acked = 5 }: { readonly a?: Seen; readonly acked?: number } = {},
  ) =>
    planFor({
      servers: { a, b },
      status: fencing(),
      sidecars: [obedient('p', acked)],
      expected: ['p'],
      marks: {
        fencing: nowMs - (agoMs.fencing ?? 10_000),
        ...(agoMs.late !== undefined && { late: nowMs - agoMs.late }),
        ...(agoMs.acked !== undefined && { acked: nowMs - agoMs.acked }),
      },
    })
  const waiting = at({ late: 9000, acked: 1999 })
  assert.equal(waiting.status.intent?.target, undefined)
  assert.deepEqual(waiting.look, ['a:1'])
  assert.ok(waiting.marks.includes('late'))
  assert.equal(at({ late: 9000 }).status.intent?.target, undefined)
  assert.equal(at({ late: 9000, acked: 2000 }).status.intent?.target, 'b:1')
  assert.ok(at({}, { acked: 4 }).marks.includes('late'))
  assert.ok(!at({ fencing: 999 }, { acked: 4 }).marks.includes('late'))
  assert.deepEqual(kinds(at({ late: 9000, acked: 10 }, { a: facts({ offset: 90 }) })), ['park a:1'])
  assert.equal(at({ late: 9000, acked: 10 }, { a: parkedAt(90) }).status.intent?.target, 'a:1')
  const refused = { a: down('refused', 400) }
  assert.equal(at({ late: 9000, acked: 10 }, refused).status.intent?.target, 'b:1')
  // The operator itself stood still: it finds its fence old, and what sidecars said meanwhile right after.
  assert.equal(at({}).status.intent?.target, 'b:1')
  assert.equal(at({ late: 20 }).status.intent?.target, 'b:1')
})

test('fence: without proof only where the user said so in so many words', () => {
  const servers = { a: down('timeout', 60_000), b: parkedAt(9, { runId: 'run-b' }) }
  const given = { servers, status: fencing(), expected: ['deaf'] }
  const spec = 'failover: {unfencedPromotion: AfterFenceTimeout, fenceTimeout: 30s}'
  const early = planFor({ ...given, spec, marks: { fencing: nowMs - 29_999 } })
  assert.equal(early.status.intent?.target, undefined)
  const late = planFor({ ...given, spec, marks: { fencing: nowMs - 30_000 } })
  assert.equal(late.status.intent?.proof, 'Unfenced')
  assert.deepEqual(
    late.events.map(({ reason }) => reason),
    ['UnfencedPromotion'],
  )
  const operation = { name: 'op', kind: 'Promote', to: 'b:1', accept: ['NoProof'] } as const
  assert.equal(planFor({ ...given, operation }).status.intent?.proof, 'Unfenced')
  const other = { ...operation, accept: ['DataLoss'] } as const
  assert.equal(planFor({ ...given, operation: other }).status.intent?.target, undefined)
})

test('fence: who answers is parked before anyone is chosen', () => {
  const result = planFor({
    servers: {
      a: down('refused', 400),
      b: parkedAt(9, { runId: 'run-b' }),
      c: follower({ runId: 'run-c', isLinkUp: false }),
    },
    status: fencing(),
  })
  assert.deepEqual(kinds(result), ['park c:1'])
  assert.equal(result.status.intent?.target, undefined)
})

test('fence: a replica takes what its primary sent before it ended, and is parked then', () => {
  const ended = down('refused', 400)
  const at = (a: Seen, over: Partial<ServerFacts> = {}, fencedForMs = 100) =>
    planFor({
      servers: { a, b: parkedAt(9, { runId: 'run-b' }), c: follower({ runId: 'run-c', ...over }) },
      status: fencing(),
      marks: { fencing: nowMs - fencedForMs },
    })
  const waiting = at(ended)
  assert.deepEqual(kinds(waiting), [])
  assert.deepEqual(waiting.look, ['c:1'])
  assert.equal(waiting.status.intent?.target, undefined)
  assert.equal(waiting.requeueAfterMs, 10)
  assert.deepEqual(at(facts({ runId: 'run-a2', replId: 'x' })).look, ['c:1'])
  const isParked = (...given: Parameters<typeof at>) => kinds(at(...given)).includes('park c:1')
  assert.ok(isParked(ended, { isLinkUp: false }))
  assert.ok(isParked(ended, {}, 500), 'its link does not end')
  assert.ok(isParked(down('timeout', 9000)), 'the primary may have not')
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
    host: 'b',
    since: '2026-01-02T03:04:05.000Z',
  })
  assert.equal(done.status.intent, undefined)
  assert.equal(done.status.epoch, 5)
  assert.equal(done.status.lastFailover?.durationMs, 1000)
})

test('select: all restarted, one that did not answer a moment ago is waited for as long as a primary is', () => {
  const a = parkedAt(0, { runId: 'run-a2', replId: 'fresh', keyCount: 90 })
  const chosen = (sinceMs: number) =>
    planFor({ servers: { a, b: down('timeout', sinceMs) }, status: fencing() }).status.intent
      ?.target
  assert.equal(chosen(2999), undefined)
  assert.equal(chosen(3000), 'a:1')
})

test('select: all restarted, of confirmed writes none may be missing that another one has', () => {
  const restarted = (runId: string, keyCount: number) =>
    parkedAt(0, { runId, replId: runId, keyCount })
  const chosen = (waitReplicas?: number) => {
    const servers = { a: restarted('run-a2', 90), b: restarted('run-b2', 91) }
    const status = fencing(waitReplicas === undefined ? {} : { waitReplicas })
    return planFor({ servers, status }).status.intent?.target
  }
  assert.equal(chosen(), 'a:1')
  assert.equal(chosen(1), 'b:1')
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
