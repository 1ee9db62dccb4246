/** Snapshots for the tests of planning: servers a, b, c at port 1, each as it was seen. */
import assert from 'node:assert/strict'
import type { MemberStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import { parseManifests } from '../../api/manifest.ts'
import type { Observation, ProbeFailure, ServerFacts } from '../observation.ts'
import { type Plan, type Snapshot, plan } from './index.ts'

const wallMs = Date.parse('2026-01-02T03:04:05Z')
export const nowMs = 1_000_000
const now = { monotonicMs: nowMs, wallMs }
export const history = 'h'.repeat(40)
const parked = { host: '127.0.0.1', port: 1 }

export function facts(over: Partial<ServerFacts> = {}): ServerFacts {
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

export const follower = (over: Partial<ServerFacts> = {}) =>
  facts({
    role: 'replica',
    source: { host: 'a', port: 1 },
    isLinkUp: true,
    lastIoSeconds: 0,
    ...over,
  })
export const parkedAt = (offset: number, over: Partial<ServerFacts> = {}) =>
  follower({ source: parked, isLinkUp: false, offset, ...over })

export function down(kind: ProbeFailure['kind'], forMs: number): ProbeFailure {
  const sinceMs = nowMs - forMs
  const isRefused = kind === 'refused' || kind === 'closed'
  return { kind, sinceMs, ...(isRefused && { refusedSinceMs: sinceMs }), message: 'model' }
}

export type Seen = ServerFacts | ProbeFailure | 'unknown'

interface Given {
  /** By host: a, b, c, each at port 1. */
  readonly servers: Readonly<Record<string, Seen>>
  readonly status?: RedisProxyStatus
  readonly spec?: string
  readonly backend?: string
  readonly sidecars?: Snapshot['sidecars']
  readonly expected?: readonly string[]
  readonly watchedForMs?: number
  /** By host: why the recorded process there is known to have ended. */
  readonly fates?: Readonly<Record<string, string>>
  readonly marks?: Readonly<Record<string, number>>
  readonly operation?: Snapshot['operation']
  readonly published?: Snapshot['published']
}

export function planFor(given: Given): Plan {
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
      isListed: true,
      ...fateOf(given, endpoint.host),
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
      ...(given.marks && { marks: given.marks }),
      ...(given.operation && { operation: given.operation }),
      ...(given.published && { published: given.published }),
    },
    now,
  )
}

function fateOf({ fates }: Given, host: string): { readonly fate?: string } {
  const fate = fates?.[host]
  return fate === undefined ? {} : { fate }
}

function observe(address: string, seen: Seen | undefined): Observation {
  if (seen === undefined || seen === 'unknown')
    return { address, atMs: nowMs, state: { kind: 'unknown' } }
  if ('role' in seen)
    return { address, atMs: nowMs, state: { kind: 'up', facts: seen }, last: seen }
  return { address, atMs: nowMs, state: { kind: 'down', failure: seen } }
}

export function steady(over: Partial<RedisProxyStatus> = {}): RedisProxyStatus {
  return {
    epoch: 4,
    phase: 'Steady',
    primary: { address: 'a:1', runId: 'run-a', replId: history, since: '2026-01-01T00:00:00Z' },
    ...over,
  }
}

export function fencing(
  over: Partial<NonNullable<RedisProxyStatus['intent']>> = {},
): RedisProxyStatus {
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

export const joined = (...hosts: string[]): MemberStatus[] =>
  hosts.map((host) => ({ address: `${host}:1`, role: 'replica', state: 'Online', joined: true }))

export const condition = ({ status }: Plan, type: string) => {
  const found = status.conditions?.find((each) => each.type === type)
  return `${found?.status}/${found?.reason}`
}
export const kinds = ({ actions }: Plan) => actions.map(({ kind, address }) => `${kind} ${address}`)
