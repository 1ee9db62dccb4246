/**
 * Where pods behind headless Services are, by EndpointSlices: known within milliseconds, while names are cached by
 * a cluster's name service for half a minute, the answer "no such name" included. For the operator's own connections;
 * servers and sidecars go by names.
 */
import type { Clock } from '../../common/clock.ts'
import { endpointsWaitMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey, RedisProxy } from '../api/redis-proxy.ts'
import type { Whereabouts } from '../controller/provider.ts'
import type { KubeClient } from './client.ts'
import { endpointSlicesPath } from './names.ts'
import { ObjectStore } from './object-store.ts'
import type { EndpointSlice } from './objects.ts'
import { type Reflector, startReflector } from './reflector.ts'

/** A pod's name as its Service gives it. */
export interface PodHost {
  readonly namespace: string
  readonly service: string
  readonly hostname: string
}

/**
 * `redis-0.redis` and `redis-0.redis.NAMESPACE.svc`, with or without the cluster's domain. Undefined for every other
 * name, for other namespaces, which the operator may have no rights in, and for names made of an address.
 */
export function podHostOf(namespace: string, host: string): PodHost | undefined {
  const [hostname = '', service = '', other, svc] = host.split('.')
  const isShort = host.split('.').length === 2
  const isLong = other === namespace && svc === 'svc'
  if (service === '' || hostname === '' || !(isShort || isLong)) return undefined
  return /^[\d-]+$/.test(hostname) ? undefined : { namespace, service, hostname }
}

export interface Place {
  readonly address: string
  /** Of the node that its pod runs on. */
  readonly zone?: string
}

/** Where a hostname is among the slices of its Service; a pod that is not ending is preferred. */
export function placeIn(slices: Iterable<EndpointSlice>, hostname: string): Place | undefined {
  let ending: Place | undefined
  for (const { endpoints, addressType } of slices) {
    if (addressType === 'FQDN') continue
    for (const endpoint of endpoints ?? []) {
      const [address] = endpoint.addresses
      if (endpoint.hostname !== hostname || address === undefined) continue
      const { zone } = endpoint
      const place = { address, ...(zone !== undefined && { zone }) }
      if (endpoint.conditions?.terminating !== true) return place
      ending ??= place
    }
  }
  return ending
}

interface Watched {
  readonly reflector: Reflector
  readonly slices: ObjectStore<EndpointSlice>
  readonly sinceMs: number
  isSynced: boolean
}

export interface AddressModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

export class Addresses implements Stoppable {
  private readonly modules: AddressModules
  /** Services that each RedisProxy names, as `namespace/service`. */
  private readonly wanted = new Map<ProxyKey, ReadonlySet<string>>()
  private readonly watched = new Map<string, Watched>()

  constructor(modules: AddressModules) {
    this.modules = modules
  }

  /** The RedisProxy is as it is here now, or gone. */
  follow(key: ProxyKey, proxy: RedisProxy | undefined): void {
    if (proxy === undefined) this.wanted.delete(key)
    else this.wanted.set(key, servicesOf(proxy))
    const all = new Set([...this.wanted.values()].flatMap((services) => [...services]))
    for (const [service, { reflector }] of this.watched) {
      if (all.has(service)) continue
      this.watched.delete(service)
      void reflector.stop()
    }
    for (const service of all) {
      if (!this.watched.has(service)) this.watched.set(service, this.watch(service))
    }
  }

  /** Undefined: go by the name. */
  locate(proxy: RedisProxy, host: string): Whereabouts | undefined {
    const pod = podHostOf(proxy.metadata.namespace, host)
    if (pod === undefined) return undefined
    const known = this.watched.get(`${pod.namespace}/${pod.service}`)
    if (known === undefined) return undefined
    if (!known.isSynced) {
      // Asking for a name that is about to exist would have the name service remember that it does not.
      const isEarly = this.modules.clock.monotonicMs() - known.sinceMs < endpointsWaitMs
      return isEarly
        ? { kind: 'absent', why: `Service ${pod.service} is being looked at` }
        : undefined
    }
    const place = placeIn(known.slices.values(), pod.hostname)
    if (place !== undefined) return { kind: 'at', ...place }
    return { kind: 'absent', why: `Service ${pod.service} has no pod ${pod.hostname}` }
  }

  async stop(): Promise<void> {
    this.wanted.clear()
    await Promise.all([...this.watched.values()].map(({ reflector }) => reflector.stop()))
    this.watched.clear()
  }

  private watch(key: string): Watched {
    const { client, clock, log, random } = this.modules
    const [namespace = '', service = ''] = key.split('/')
    const slices = new ObjectStore<EndpointSlice>()
    const reflector = startReflector(
      {
        path: endpointSlicesPath(namespace),
        labelSelector: `kubernetes.io/service-name=${service}`,
        sink: slices,
      },
      { client, log, random },
    )
    const watched: Watched = { reflector, slices, sinceMs: clock.monotonicMs(), isSynced: false }
    reflector.synced.then(
      () => {
        watched.isSynced = true
      },
      () => {},
    )
    return watched
  }
}

function servicesOf(proxy: RedisProxy): ReadonlySet<string> {
  const { namespace } = proxy.metadata
  const pods = proxy.spec.backend.endpoints.map(({ host }) => podHostOf(namespace, host))
  return new Set(pods.flatMap((pod) => (pod ? [`${pod.namespace}/${pod.service}`] : [])))
}
