import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SidecarView } from '../provider.ts'
import { condition, down, facts, follower, nowMs, planFor, steady } from './fixture.ts'

const view = (over: Partial<SidecarView>): SidecarView => ({
  id: 'p',
  acked: { version: 1, epoch: 4 },
  primary: 'ok',
  connectedAtMs: 0,
  ...over,
})
const hears = (msAgo: number, epoch = 4) => view({ heardAtMs: nowMs - msAgo, heardEpoch: epoch })
const linked = follower({ runId: 'run-b', lastIoSeconds: 9 })
const unlinked = follower({ runId: 'run-b', isLinkUp: false })
const judge = (b: typeof linked, sidecars: SidecarView[], spec = '', silentMs = 4000) =>
  planFor({
    servers: { a: down('timeout', silentMs), b },
    status: steady(),
    sidecars,
    expected: [],
    spec,
  })

test('a sidecar that heard from the primary since we lost it: we are the isolated one', () => {
  const result = judge(unlinked, [hears(1000)])
  assert.equal(condition(result, 'PrimaryAvailable'), 'Unknown/OperatorIsolated')
  assert.equal(result.status.epoch, 4)
})

test('a word of another epoch, from before, or too old is no sign of life', () => {
  for (const sidecar of [hears(1000, 3), hears(4001), hears(2500)]) {
    assert.equal(judge(unlinked, [sidecar]).status.phase, 'Fencing')
  }
  assert.equal(judge(unlinked, [hears(2499)]).status.phase, 'Steady')
})

test('a sidecar that lost it too spares the wait for an idle replica', () => {
  assert.equal(judge(linked, []).status.phase, 'Suspect')
  assert.equal(judge(linked, [view({ primary: 'failing' })]).status.phase, 'Fencing')
  const late = view({ primary: 'failing', acked: { version: 1, epoch: 3 } })
  assert.equal(judge(linked, [late]).status.phase, 'Suspect')
})

test('confirmations: so many must have lost it, as far as there are so many that can tell', () => {
  const two = 'failover: {confirmations: 2}'
  assert.equal(judge(linked, [view({ primary: 'failing' })], two).status.phase, 'Suspect')
  const both = [view({ primary: 'failing' }), view({ id: 'q', primary: 'failing' })]
  assert.equal(judge(linked, both, two).status.phase, 'Fencing')
  assert.equal(judge(unlinked, [view({ primary: 'none' })], two).status.phase, 'Fencing')
  assert.equal(judge(linked, [], 'failover: {confirmations: 0}').status.phase, 'Fencing')
})

test('what Kubernetes knows needs no waiting', () => {
  const result = planFor({
    servers: { a: down('timeout', 1), b: linked },
    status: steady(),
    fates: { a: 'its container terminated' },
  })
  assert.equal(result.status.phase, 'Fencing')
  assert.equal(result.status.intent?.reason, 'its container terminated')
})

test('a suspicion is told to the sidecars once, and taken back when it was unfounded', () => {
  const first = judge(unlinked, [], '', 100)
  assert.equal(first.suspectForMs, 5000)
  const again = planFor({
    servers: { a: down('timeout', 200), b: unlinked },
    status: steady({ phase: 'Suspect' }),
  })
  assert.equal(again.suspectForMs, undefined)
  const well = planFor({
    servers: { a: facts(), b: linked },
    status: steady({ phase: 'Suspect' }),
  })
  assert.equal(well.suspectForMs, 0)
})
