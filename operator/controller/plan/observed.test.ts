/** Backends whose primaries the operator does not choose: it looks, says how they are, and changes nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { slotCount } from '../../../common/redis/slots.ts'
import { condition, down, facts, follower, kinds, planFor, steady } from './fixture.ts'

const cluster = 'mode: Cluster'
const node = (isOk: boolean, slotsOk = slotCount) =>
  facts({ cluster: { isOk, slotsOk, shardCount: 3 } })
const nodeReplica = follower({ cluster: { isOk: true, slotsOk: slotCount, shardCount: 3 } })
const sidecar = (primary: 'ok' | 'failing') => ({ id: 's', primary, connectedAtMs: 0 })

test('a cluster that serves all slots is ready, and its several primaries are no strays', () => {
  const plan = planFor({
    servers: { a: node(true), b: node(true), c: nodeReplica },
    backend: cluster,
  })
  assert.equal(condition(plan, 'PrimaryAvailable'), 'True/ClusterOk')
  assert.equal(condition(plan, 'Ready'), 'True/Ready')
  assert.equal(condition(plan, 'SinglePrimary'), 'undefined/undefined')
  assert.equal(condition(plan, 'ReplicationHealthy'), 'True/AllAttached')
  assert.deepEqual(plan.status.topology, { servers: '3/3', shards: 3, slots: '16384/16384' })
  assert.deepEqual(
    plan.status.members?.map(({ role, state }) => `${role} ${state}`),
    ['primary Online', 'primary Online', 'replica Online'],
  )
  assert.equal(plan.status.primary, undefined)
  assert.equal(plan.status.phase, 'Steady')
})

test('the majority of the nodes says how a cluster is', () => {
  const servers = { a: node(true), b: node(true), c: node(false, 0) }
  const plan = planFor({ servers, backend: cluster })
  assert.equal(condition(plan, 'PrimaryAvailable'), 'True/ClusterOk')
  const half = planFor({ servers: { a: node(true), b: node(false, 5461) }, backend: cluster })
  assert.equal(condition(half, 'Ready'), 'False/ClusterDown')
  assert.equal(half.status.topology?.slots, '5461/16384')
  const holes = planFor({ servers: { a: node(true, 16_000) }, backend: cluster })
  assert.equal(condition(holes, 'Ready'), 'False/SlotsUncovered')
})

test('a server without cluster mode is no cluster', () => {
  const plan = planFor({ servers: { a: facts() }, backend: cluster })
  assert.equal(condition(plan, 'Ready'), 'False/NotACluster')
})

test('nothing is sent to any server, however bad it looks', () => {
  const lone = { a: down('refused', 60_000), b: down('timeout', 60_000), c: follower() }
  const sentinel = 'sentinel: {name: m, endpoints: [{host: s}]}'
  for (const backend of [cluster, 'mode: Ring', sentinel]) {
    const plan = planFor({ servers: lone, backend, watchedForMs: 60_000 })
    assert.deepEqual(kinds(plan), [])
    assert.equal(plan.status.primary, undefined)
    assert.equal(plan.status.intent, undefined)
  }
})

test('what was recorded while the operator chose the primary is over, and the epoch rises with it', () => {
  const sentinel = 'sentinel: {name: m, endpoints: [{host: s}]}'
  const servers = { a: facts(), b: follower() }
  const plan = planFor({ servers, backend: sentinel, status: steady() })
  assert.equal(plan.status.primary, undefined)
  assert.equal(plan.status.epoch, 5)
  assert.equal(condition(plan, 'Ready'), 'True/Ready')
  assert.equal(plan.status.topology?.primary, 'a:1')
  const both = planFor({ servers: { a: facts(), b: facts({ runId: 'b' }) }, backend: sentinel })
  assert.equal(condition(both, 'PrimaryAvailable'), 'Unknown/MultiplePrimaries')
  assert.equal(both.status.topology?.primary, undefined)
})

test('a ring lacks what the server held that does not answer, unless others take it', () => {
  const servers = { a: facts(), b: down('refused', 1000) }
  const plan = planFor({ servers, backend: 'mode: Ring' })
  assert.equal(condition(plan, 'Ready'), 'False/RingIncomplete')
  assert.deepEqual(plan.status.topology, { servers: '1/2', shards: 2 })
  const reduced = planFor({
    servers,
    backend: 'mode: Ring, ring: {ejectAfter: 3}'.replace(', ', '\n    '),
  })
  assert.equal(condition(reduced, 'Ready'), 'True/Ready')
})

test('sidecars know what the operator cannot see', () => {
  const well = { a: node(true) }
  const cutOff = planFor({ servers: well, backend: cluster, sidecars: [sidecar('failing')] })
  assert.equal(condition(cutOff, 'Ready'), 'False/SidecarsCutOff')
  const servers = { a: down('timeout', 1000) }
  const elsewhere = planFor({ servers, backend: cluster, sidecars: [sidecar('ok')] })
  assert.equal(condition(elsewhere, 'PrimaryAvailable'), 'True/ServedElsewhere')
  assert.equal(condition(elsewhere, 'Ready'), 'False/NoneReachable')
  const nobody = planFor({ servers, backend: cluster })
  assert.equal(condition(nobody, 'PrimaryAvailable'), 'False/NoServerReachable')
})
