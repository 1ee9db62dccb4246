import assert from 'node:assert/strict'
import { test } from 'node:test'
import { standaloneConfig } from '../../common/contract/proxy-config.ts'
import { renderMetrics } from '../../common/metrics.ts'
import { newCounters } from '../data-plane.ts'
import type { MemberView, ShardView, TopologyView } from '../topology/view.ts'
import { addTopologies } from '../workers/topology-sum.ts'
import { topologyMetrics } from './topology-metrics.ts'
import { topologyAnswer } from './topology.ts'

const base = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})

const member = (address: string, change: Partial<MemberView> = {}): MemberView => ({
  address,
  role: 'primary',
  state: 'ready',
  isFit: true,
  inFlightCommands: 1,
  connections: 2,
  commandsSent: 10,
  ...change,
})

const shards: readonly ShardView[] = [
  {
    id: 'one',
    slots: [[0, 8191]],
    members: [
      member('a:1'),
      member('b:1', {
        role: 'replica',
        isFit: false,
        reason: 'lagBytes',
        lagBytes: 5,
        latencyMs: 2,
      }),
    ],
  },
  { id: 'two', slots: [[8192, 16_383]], members: [member('c:1')] },
]

const view: TopologyView = {
  kind: 'cluster',
  version: 4,
  splitsReads: true,
  shards,
  slotsUncovered: 0,
  looks: 9,
  looksFailed: 2,
}

test('a cluster is ok when every slot has a primary that can be used', () => {
  const config = { ...base, upstream: { ...base.upstream, mode: 'cluster' as const } }
  const well = topologyAnswer(config, view)
  assert.deepEqual(well.cluster, {
    state: 'ok',
    slotsCovered: 16_384,
    slotsServed: 16_384,
    slotsAll: 16_384,
  })
  assert.deepEqual([well.serverCount, well.fitCount], [3, 2])
  const down = {
    id: 'two',
    slots: [[8192, 16_383]] as const,
    members: [member('c:1', { isFit: false })],
  }
  const half = topologyAnswer(config, { ...view, shards: [...shards.slice(0, 1), down] })
  assert.deepEqual(half.cluster?.state, 'fail')
  assert.deepEqual(half.cluster?.slotsServed, 8192)
})

test('Sentinels that are followed are named', () => {
  const sentinel = { name: 'm', members: [{ host: 's', port: 5 }] }
  const upstream = { ...base.upstream, discovery: 'sentinel' as const, sentinel }
  const answer = topologyAnswer({ ...base, upstream }, { ...view, kind: 'replication' })
  assert.deepEqual(answer.sentinel, { name: 'm', members: ['s:5'] })
  assert.equal(answer.cluster, undefined)
})

test('metrics tell of every server, and nothing where there is nothing to tell', async () => {
  const counters = { ...newCounters(), refusedMoved: 3 }
  const { text } = await renderMetrics(topologyMetrics, { view: { counters }, topology: view })
  assert.match(text, /^respmesh_server_up\{server="a:1",role="primary"\} 1$/m)
  assert.match(text, /^respmesh_server_fit\{server="b:1",role="replica"\} 0$/m)
  assert.match(text, /^respmesh_server_lag_bytes\{server="b:1",role="replica"\} 5$/m)
  assert.doesNotMatch(text, /respmesh_server_lag_bytes\{server="a:1"/)
  assert.match(text, /^respmesh_server_latency_seconds\{server="b:1",role="replica"\} 0.002$/m)
  assert.match(text, /^respmesh_cluster_slots_covered 16384$/m)
  assert.match(text, /^respmesh_topology_refresh_failures_total 2$/m)
  assert.match(text, /^respmesh_commands_refused_total\{reason="moved"\} 3$/m)
  const ring = { ...view, kind: 'ring', shards: [] } as const
  const other = await renderMetrics(topologyMetrics, { view: { counters }, topology: ring })
  assert.doesNotMatch(other.text, /slots_covered|server_up\{/)
})

test('what workers use is added up, and what one of them finds amiss is amiss', () => {
  const [first, second] = shards
  const other: TopologyView = {
    ...view,
    version: 3,
    looks: 1,
    shards: [
      first as ShardView,
      {
        ...(second as ShardView),
        members: [member('c:1', { isFit: false, reason: 'stalled', lagSeconds: 7 })],
      },
    ],
  }
  const sum = addTopologies([other, view])
  assert.equal(sum?.version, 4)
  assert.equal(sum?.looks, 10)
  const [one, two] = sum?.shards ?? []
  assert.equal(one?.members[0]?.commandsSent, 20)
  assert.equal(one?.members[0]?.isFit, true)
  assert.deepEqual(
    two?.members[0],
    member('c:1', {
      isFit: false,
      reason: 'stalled',
      lagSeconds: 7,
      inFlightCommands: 2,
      connections: 4,
      commandsSent: 20,
    }),
  )
  assert.equal(addTopologies([]), undefined)
  assert.equal(addTopologies([view]), view)
})
