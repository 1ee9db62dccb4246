/** What a turn sees of the servers: those of the spec, and the recorded primary even if it is no longer listed. */
import { probeTimeoutMinMs, probeTimeoutMs } from '../../common/limits.ts'
import type { EndpointSpec, ProxyKey, RedisProxy, RedisProxyStatus } from '../api/redis-proxy.ts'
import { durationMs, isChosenByOperator } from '../api/redis-proxy.ts'
import type { Backend } from '../backend/index.ts'
import { addressOf } from './compile.ts'
import type { Operation, WatchedServer } from './plan/index.ts'
import type { Provider } from './provider.ts'
import type { ServerAccess } from './secrets.ts'

interface Around {
  readonly backend: Backend
  readonly provider: Provider
  readonly access: ServerAccess
}

/** Watches them from now on; looks at once at those that were not looked at yet. */
export async function observeServers(
  key: ProxyKey,
  proxy: RedisProxy,
  { backend, provider, access }: Around,
): Promise<readonly WatchedServer[]> {
  const { credentials, tls } = access
  const { commands, downAfter } = proxy.spec.failover
  const silenceMs = Math.min(probeTimeoutMs, Math.max(probeTimeoutMinMs, durationMs(downAfter) / 2))
  const servers = watched(proxy).map(({ endpoint, isListed }) => ({
    endpoint,
    isListed,
    address: addressOf(endpoint),
    host: reachedBy(provider, proxy, endpoint.host),
  }))
  backend.watch(
    key,
    servers.map(({ address, endpoint }) => ({
      address,
      target: {
        host: provider.qualifyHost?.(proxy, endpoint.host) ?? endpoint.host,
        port: endpoint.port,
        silenceMs,
        ...(commands && { commands }),
        ...(provider.locate && { locate: () => provider.locate?.(proxy, endpoint.host) }),
        ...(credentials && { credentials }),
        ...(tls && { tls }),
      },
    })),
  )
  const unseen = backend.observations(key).filter(({ state }) => state.kind === 'unknown')
  if (unseen.length > 0) {
    await backend.probeNow(
      key,
      unseen.map(({ address }) => address),
    )
  }
  const observations = new Map(backend.observations(key).map((each) => [each.address, each]))
  return servers.flatMap((server) => {
    const observation = observations.get(server.address)
    if (observation === undefined) return []
    const fate = fateOf(provider, proxy, server)
    return [{ ...server, observation, ...(fate !== undefined && { fate }) }]
  })
}

/** Addresses of the servers that are watched. */
export function watchedAddresses(proxy: RedisProxy): ReadonlySet<string> {
  return new Set(watched(proxy).map(({ endpoint }) => addressOf(endpoint)))
}

function watched(proxy: RedisProxy) {
  const listed = proxy.spec.backend.endpoints.map((endpoint) => ({ endpoint, isListed: true }))
  return [...listed, ...leaving(proxy)]
}

/**
 * What is to be worked on of `pending`, oldest first: the next that is not over by what the status says. While there is no
 * primary a Promote comes first: it is what a waiting failover may end by, and everything else waits for that end.
 */
export function nextOperation(
  pending: readonly Operation[],
  { operation: last, primary, intent }: RedisProxyStatus = {},
): Operation | undefined {
  const open = pending.filter(({ name }) => last?.name !== name || last.phase === 'Running')
  const isWaiting = primary === undefined && intent !== undefined
  const promote = isWaiting ? open.find(({ kind }) => kind === 'Promote') : undefined
  return promote ?? open[0]
}

/** The primary that the record names, or that is being replaced, where the spec lists it no more. */
function leaving({ spec, status }: RedisProxy) {
  const address = status?.primary?.address ?? status?.intent?.from
  if (address === undefined || !isChosenByOperator(spec)) return []
  if (spec.backend.endpoints.some((endpoint) => addressOf(endpoint) === address)) return []
  const colon = address.lastIndexOf(':')
  if (address.startsWith('/') || colon < 0) return []
  const endpoint: EndpointSpec = {
    host: address.slice(0, colon),
    port: Number(address.slice(colon + 1)),
    promotable: false,
  }
  return [{ endpoint, isListed: false }]
}

function fateOf(
  provider: Provider,
  proxy: RedisProxy,
  { address, endpoint }: { readonly address: string; readonly endpoint: EndpointSpec },
): string | undefined {
  const { primary, intent } = proxy.status ?? {}
  const since = primary?.address === address ? primary.since : undefined
  const began = since ?? (intent?.from === address ? intent.fromSince : undefined)
  if (began === undefined) return undefined
  return provider.fate?.(proxy, {
    host: endpoint.host,
    port: endpoint.port,
    sinceMs: Date.parse(began),
  })
}

/** By its address where that is known, for names are remembered longer than pods live; else by its name. */
function reachedBy(provider: Provider, proxy: RedisProxy, host: string): string {
  const place = provider.locate?.(proxy, host)
  if (place?.kind === 'at') return place.address
  return provider.qualifyHost?.(proxy, host) ?? host
}
