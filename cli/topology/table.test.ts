import assert from 'node:assert/strict'
import { test } from 'node:test'
import { paintFor } from '../up/terminal.ts'
import { type Topology, isWell, topologyText } from './table.ts'

const plain = paintFor({}, {})
const colours = paintFor({ isTTY: true }, {})
const member = {
  role: 'primary',
  state: 'ready',
  isFit: true,
  inFlightCommands: 0,
  commandsSent: 7,
}

const cluster: Topology = {
  kind: 'cluster',
  discovery: 'self',
  version: 3,
  splitsReads: true,
  serverCount: 3,
  fitCount: 2,
  cluster: { state: 'ok', slotsCovered: 16_384, slotsServed: 16_384, slotsAll: 16_384 },
  shards: [
    {
      id: '0123456789abcdef',
      slots: [
        [0, 8000],
        [8002, 8002],
        [8004, 8004],
        [8006, 16_383],
      ],
      members: [
        { ...member, address: '10.0.0.1:6379', latencyMs: 0.42 },
        {
          ...member,
          address: '10.0.0.2:6379',
          zone: 'a',
          role: 'replica',
          isFit: false,
          reason: 'lagBytes',
          lagBytes: 3 * 1024 * 1024,
          lagSeconds: 1.25,
        },
      ],
    },
  ],
}

test('a topology is a line on the whole and an aligned row for each server', () => {
  assert.deepEqual(topologyText(cluster, plain).split('\n'), [
    'cluster ok · 1 shard · 2 of 3 servers in use · 16384 of 16384 slots served · version 3',
    'the sidecar asks the servers',
    'reads go to replicas',
    '',
    'SHARD     KEYS                         SERVER         ZONE  ROLE     HEALTH    LAG            LATENCY  SENT  IN FLIGHT',
    '01234567  0-8000 8002 8004 and 1 more  10.0.0.1:6379        primary  ok                       0.4 ms   7     0',
    '                                       10.0.0.2:6379  a     replica  lagBytes  3.0 MiB 1.3 s           7     0',
  ])
})

test('colours do not change what stands where', () => {
  const painted = topologyText(cluster, colours)
  assert.ok(painted.includes('\u001b[33mlagBytes'))
  const bare = painted
    .split('\u001b')
    .map((piece) => piece.replace(/^\[\d+m/, ''))
    .join('')
  assert.deepEqual(
    bare.split('\n').map((line) => line.trimEnd()),
    topologyText(cluster, plain).split('\n'),
  )
})

test('columns that nobody has anything in are left out', () => {
  const one: Topology = {
    kind: 'standalone',
    shards: [{ id: 'all', members: [{ ...member, address: 'a:1' }] }],
  }
  const head = topologyText(one, plain).split('\n').at(-2)
  assert.equal(head, 'SHARD  KEYS  SERVER  ROLE     HEALTH  SENT  IN FLIGHT')
  assert.match(topologyText({ kind: 'cluster' }, plain), /no server is known/)
})

test('a replica that is not read from at all is no fault, one that cannot be is', () => {
  const shard = (reason: string) => ({
    members: [
      { ...member, address: 'a:1' },
      { ...member, address: 'b:1', role: 'replica', isFit: false, reason },
    ],
  })
  assert.equal(isWell({ shards: [shard('unused')] }), true)
  assert.equal(isWell({ shards: [shard('lagBytes')] }), true)
  assert.equal(isWell({ splitsReads: true, shards: [shard('lagBytes')] }), false)
  assert.equal(isWell({ shards: [] }), false)
  assert.equal(isWell({ ...cluster, shards: [shard('unused')], cluster: { state: 'fail' } }), false)
})
