/** What an operator sees at the begin of a turn. */
import type { RedisProxy } from '../../../operator/api/redis-proxy.ts'
import type { Observation } from '../../../operator/controller/observation.ts'
import type { Snapshot, WatchedServer } from '../../../operator/controller/plan/types.ts'
import type { SidecarView } from '../../../operator/controller/provider.ts'
import { baseProxy } from './api.ts'
import { addressOf, hostOf, indexOf, port, sidecarId } from './nodes.ts'
import type { Memory, OperatorProcess, World } from './types.ts'

export function unseen(index: number): Observation {
  return { address: addressOf(index), atMs: 0, state: { kind: 'unknown' } }
}

export function leaving({ cache }: OperatorProcess): readonly number[] {
  const index = indexOf(cache.status?.primary?.address ?? cache.status?.intent?.from)
  return index === undefined || cache.listed.includes(index) ? [] : [index]
}

export function snapshotOf(world: World, operator: OperatorProcess, memory: Memory): Snapshot {
  const { cache } = operator
  const proxy = proxyOf(cache)
  const { operation: last } = cache.status ?? {}
  const { operation } = world.api
  const isOver = operation?.name === last?.name && last?.phase !== 'Running'
  const { published } = memory
  return {
    proxy,
    servers: [
      ...cache.listed.map((index) => watchedServer(world, operator, { index, isListed: true })),
      ...leaving(operator).map((index) =>
        watchedServer(world, operator, { index, isListed: false }),
      ),
    ],
    sidecars: viewsOf(world, operator),
    expectedSidecars: world.sidecars
      .filter(({ isUp }) => isUp)
      .map(({ index }) => sidecarId(index)),
    ...(published && { published: withoutConfig(published) }),
    watchedSinceMs: memory.watchedSinceMs,
    marks: memory.marks,
    ...(operation && !isOver && { operation }),
    missingSecrets: [],
  }
}

export function viewsOf(
  world: World,
  { index: own, views }: OperatorProcess,
): readonly SidecarView[] {
  return world.sidecars.flatMap(({ index, stream }) =>
    stream?.operator === own ? (views[index] ?? []) : [],
  )
}

function withoutConfig({ config: _config, ...published }: NonNullable<Memory['published']>) {
  return published
}

export function proxyOf(object: OperatorProcess['cache']): RedisProxy {
  const base = baseProxy(object.spec)
  return {
    ...base,
    metadata: {
      ...base.metadata,
      generation: object.generation,
      resourceVersion: String(object.version),
    },
    ...(object.status && { status: object.status }),
  }
}

function watchedServer(
  world: World,
  { cache, observations }: OperatorProcess,
  { index, isListed }: { index: number; isListed: boolean },
): WatchedServer {
  const { primary, intent } = cache.status ?? {}
  const address = addressOf(index)
  const runId =
    primary?.address === address ? primary.runId : intent?.from === address ? intent.fromRunId : ''
  const isDead = runId !== undefined && world.api.ended.includes(runId)
  return {
    endpoint: cache.spec.backend.endpoints.find(({ host }) => host === hostOf(index)) ?? {
      host: hostOf(index),
      port,
      promotable: false,
    },
    address,
    host: hostOf(index),
    isListed,
    observation: observations[index] ?? unseen(index),
    ...(isDead && { fate: 'its container terminated' }),
  }
}
