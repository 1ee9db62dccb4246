/**
 * Ways to be wrong, each of which has to be noticed: a guard that is switched off. Product code is left alone: what a plan
 * is shown is falsified, what it decided is changed, or a process of the model does not do what it should.
 */
import type { ServerFacts } from '../../../operator/controller/observation.ts'
import { parkSource } from '../../../operator/controller/observation.ts'
import type { Plan, Snapshot, WatchedServer } from '../../../operator/controller/plan/types.ts'
import type { World } from './types.ts'

type Falsify = (snapshot: Snapshot) => Snapshot

const never = '2026-01-01T00:00:00Z'
const farMs = -1_000_000_000

const lies: Readonly<Record<string, Falsify>> = {
  'no proof needed': (snapshot) =>
    mapServers(snapshot, (server) =>
      isLost(snapshot, server) ? { ...server, fate: 'as if it were' } : server,
    ),
  'refused counts as proof': (snapshot) =>
    mapServers(snapshot, (server) => {
      const { state } = server.observation
      const isRefused = state.kind === 'down' && state.failure.kind === 'refused'
      return isRefused ? { ...server, fate: 'as if it were' } : server
    }),
  'acks ignored': (snapshot) => ({
    ...snapshot,
    sidecars: snapshot.sidecars.map((view) => ({ ...view, acked: { version: 1e15, epoch: 1e9 } })),
  }),
  'only connected sidecars counted': (snapshot) => ({
    ...snapshot,
    expectedSidecars: snapshot.sidecars.map(({ id }) => id),
  }),
  'parked before it is': (snapshot) =>
    whileFencing(snapshot, (facts) =>
      facts.role === 'replica' ? { ...facts, source: parkSource, isLinkUp: false } : facts,
    ),
  'candidate not the furthest': (snapshot) => {
    const all = snapshot.servers.flatMap(({ observation: { state } }) =>
      state.kind === 'up' ? [state.facts] : [],
    )
    const least = new Map<string, number>()
    for (const { replId, offset } of all) {
      least.set(replId, Math.min(least.get(replId) ?? offset, offset))
    }
    return whileFencing(snapshot, (facts) => ({
      ...facts,
      offset: least.get(facts.replId) ?? facts.offset,
    }))
  },
  'lineage not checked': (snapshot) =>
    whileFencing(snapshot, (facts) => ({
      ...facts,
      replId: snapshot.proxy.status?.intent?.fromReplId ?? facts.replId,
      offset: facts.offset + facts.keyCount,
      keyCount: 1_000_000,
    })),
  'empty promoted': (snapshot) =>
    whileFencing(snapshot, (facts) =>
      facts.keyCount === 0
        ? {
            ...facts,
            replId: snapshot.proxy.status?.intent?.fromReplId ?? facts.replId,
            offset: 1e9,
            keyCount: 1e9,
          }
        : facts,
    ),
  'W quorum skipped': (snapshot) => withIntent(snapshot, { waitReplicas: 0 }),
  'grant expiry too early': (snapshot) =>
    snapshot.proxy.status?.intent?.grantTtlMs === undefined
      ? snapshot
      : {
          ...withIntent(snapshot, { grantTtlMs: 1 }),
          watchedSinceMs: farMs,
          ...(snapshot.published && { published: { ...snapshot.published, epochAtMs: farMs } }),
        },
  'grants of others forgotten': (snapshot) => ({
    ...snapshot,
    watchedSinceMs: farMs,
    ...(snapshot.published && { published: { ...snapshot.published, epochAtMs: farMs } }),
  }),
  'self-fence without all parked': (snapshot) =>
    snapshot.proxy.status?.intent === undefined
      ? snapshot
      : {
          ...snapshot,
          servers: snapshot.servers
            .filter((server) => isLost(snapshot, server) || server.observation.state.kind === 'up')
            .map((server) => ({
              ...server,
              observation: {
                ...server.observation,
                ...(server.observation.last && {
                  last: { ...server.observation.last, connectedReplicas: 0 },
                }),
              },
            })),
        },
  'self-fence at once': (snapshot) => ({
    ...snapshot,
    marks: Object.fromEntries(Object.keys(snapshot.marks ?? {}).map((mark) => [mark, farMs])),
  }),
}

/** Those that the model itself is wrong about. */
const disobedient = [
  'epoch not compared',
  'run-id not checked',
  'acknowledged before it stops',
  'drain not waited for',
  'grant counted from its receipt',
  'granted by a deposed leader',
  'replicas not waited for',
  'parking skipped',
  'switched before it caught up',
  'replication users not asked for',
  'CAS ignored',
  'intent not recorded first',
  'target changed after promotion',
] as const

export const mutationNames: readonly string[] = [...Object.keys(lies), ...disobedient]

export function falsify(world: World, snapshot: Snapshot): Snapshot {
  let shown = snapshot
  for (const name of world.mutations) shown = lies[name]?.(shown) ?? shown
  return shown
}

/** What is made of a decision. */
export function distort(world: World, snapshot: Snapshot, planned: Plan): Plan {
  if (!world.mutations.has('target changed after promotion')) return planned
  const { primary } = planned.status
  const former = snapshot.proxy.status
  if (primary === undefined || former?.primary !== undefined || former?.intent === undefined) {
    return planned
  }
  const other = snapshot.servers.find(
    ({ address, observation }) => address !== primary.address && observation.state.kind === 'up',
  )
  const state = other?.observation.state
  if (other === undefined || state?.kind !== 'up') return planned
  const { runId } = state.facts
  const action = { kind: 'promote' as const, address: other.address, runId }
  return {
    ...planned,
    status: {
      ...planned.status,
      primary: { ...primary, address: other.address, runId, since: never },
    },
    actions: [action],
  }
}

function mapServers(
  snapshot: Snapshot,
  change: (server: WatchedServer) => WatchedServer,
): Snapshot {
  return { ...snapshot, servers: snapshot.servers.map(change) }
}

function isLost({ proxy }: Snapshot, { address }: WatchedServer): boolean {
  return proxy.status?.intent?.from === address
}

function whileFencing(snapshot: Snapshot, change: (facts: ServerFacts) => ServerFacts): Snapshot {
  const { intent } = snapshot.proxy.status ?? {}
  if (intent === undefined || intent.target !== undefined) return snapshot
  return mapServers(snapshot, (server) => {
    const { state } = server.observation
    if (state.kind !== 'up') return server
    const facts = change(state.facts)
    return {
      ...server,
      observation: { ...server.observation, state: { kind: 'up', facts }, last: facts },
    }
  })
}

function withIntent(
  snapshot: Snapshot,
  change: Partial<NonNullable<NonNullable<Snapshot['proxy']['status']>['intent']>>,
): Snapshot {
  const { status } = snapshot.proxy
  if (status?.intent === undefined) return snapshot
  const intent = { ...status.intent, ...change }
  return { ...snapshot, proxy: { ...snapshot.proxy, status: { ...status, intent } } }
}
