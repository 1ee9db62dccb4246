/**
 * Leader election by a Lease. At most one holder acts: a holder stops by its own monotonic clock well before
 * the others may take the lease (`leaseRenewDeadlineMs` < `leaseDurationMs`), counted from before the renewal
 * was sent; the others count from when they saw the last renewal, never from times that another clock wrote.
 */
import type { Clock } from '../../common/clock.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import {
  leaseDurationMs,
  leaseRenewDeadlineMs,
  leaseRequestTimeoutMs,
  leaseRetryMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { isApiStatus } from './api-error.ts'
import { pause } from './backoff.ts'
import type { KubeClient } from './client.ts'
import { leasesPath, microTime } from './names.ts'
import type { KubeObject } from './objects.ts'

export interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

export interface LeaseObject extends KubeObject {
  readonly spec?: LeaseSpec
}

/** A lease as it was first seen in this state. */
export interface Sighting {
  readonly lease: LeaseObject
  /** Monotonic time when this very version was first seen. */
  readonly atMs: number
}

/** Keeps the time of the first sight of each version of the lease. */
export function sight(before: Sighting | undefined, lease: LeaseObject, nowMs: number): Sighting {
  const isSame = before?.lease.metadata.resourceVersion === lease.metadata.resourceVersion
  return isSame && before !== undefined ? before : { lease, atMs: nowMs }
}

/** Whether `me` may take or renew a lease: it is mine, given back, or not renewed for as long as it lasts. */
export function mayTake(sighting: Sighting, me: string, nowMs: number): boolean {
  const holder = sighting.lease.spec?.holderIdentity ?? ''
  if (holder === '' || holder === me) return true
  const seconds = sighting.lease.spec?.leaseDurationSeconds
  const lastsMs = seconds === undefined ? leaseDurationMs : seconds * 1000
  return nowMs - sighting.atMs >= lastsMs
}

/** The lease held by `me` from now on. */
export function takenSpec(former: LeaseSpec | undefined, me: string, wallMs: number): LeaseSpec {
  const isRenewal = former?.holderIdentity === me
  return {
    holderIdentity: me,
    leaseDurationSeconds: leaseDurationMs / 1000,
    acquireTime: (isRenewal ? former.acquireTime : undefined) ?? microTime(wallMs),
    renewTime: microTime(wallMs),
    leaseTransitions: (former?.leaseTransitions ?? 0) + (isRenewal || former === undefined ? 0 : 1),
  }
}

export interface ElectorOptions {
  readonly namespace: string
  readonly name: string
  /** Unique per process at any one time; a pod's name. */
  readonly identity: string
}

export interface ElectorModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

export class Elector implements Stoppable {
  private readonly options: ElectorOptions
  private readonly modules: ElectorModules
  private readonly stopping = new AbortController()
  private readonly listeners = new Set<(isLeader: boolean) => void>()
  private readonly path: string
  private sighting: Sighting | undefined
  /** Monotonic time until which this process may act. */
  private untilMs = Number.NEGATIVE_INFINITY
  private wasLeader = false
  private expiry: NodeJS.Timeout | undefined
  private running: Promise<void> = Promise.resolve()

  constructor(options: ElectorOptions, modules: ElectorModules) {
    this.options = options
    this.modules = modules
    this.path = leasesPath(options.namespace)
  }

  start(): void {
    this.running = this.run()
  }

  /** By the clock, so true never outlives the lease whatever the network does. */
  isLeader(): boolean {
    return this.modules.clock.monotonicMs() < this.untilMs
  }

  /** Calls back on each change. Returns the way to stop. */
  onChange(listener: (isLeader: boolean) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Gives the lease back, so that another replica need not wait. */
  async stop(): Promise<void> {
    this.stopping.abort()
    await this.running
    const wasHeld = this.isLeader()
    this.untilMs = Number.NEGATIVE_INFINITY
    this.tell()
    if (wasHeld) await this.release()
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping
    while (!signal.aborted) {
      const startedMs = this.modules.clock.monotonicMs()
      try {
        if (await this.tryTake()) this.untilMs = startedMs + leaseRenewDeadlineMs
        else this.untilMs = Number.NEGATIVE_INFINITY
      } catch (err) {
        // Conflicts and failures leave what was granted until it runs out.
        if (!signal.aborted) this.modules.log.warn({ err }, 'lease could not be renewed')
      }
      this.tell()
      await pause(leaseRetryMs * (0.75 + 0.5 * this.modules.random()), signal)
    }
  }

  /** One attempt; false if another process holds the lease. */
  private async tryTake(): Promise<boolean> {
    const { client, clock } = this.modules
    const { name, namespace, identity } = this.options
    const request = { timeoutMs: leaseRequestTimeoutMs, attemptsMax: 1 }
    const path = `${this.path}/${name}`
    const lease = await client.find<LeaseObject>({ method: 'GET', path, ...request })
    const head = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }
    if (lease === undefined) {
      const body = {
        ...head,
        metadata: { name, namespace },
        spec: takenSpec(undefined, identity, clock.wallMs()),
      }
      const made = await client
        .request<LeaseObject>({ method: 'POST', path: this.path, body, ...request })
        .catch((error: unknown) => {
          if (isApiStatus(error, 409)) return undefined
          throw error
        })
      return made !== undefined
    }
    this.sighting = sight(this.sighting, lease, clock.monotonicMs())
    if (!mayTake(this.sighting, identity, clock.monotonicMs())) return false
    const spec = takenSpec(lease.spec, identity, clock.wallMs())
    const metadata = { name, namespace, resourceVersion: lease.metadata.resourceVersion }
    const body = { ...head, metadata, spec }
    await client.request<LeaseObject>({ method: 'PUT', path, body, ...request })
    return true
  }

  private async release(): Promise<void> {
    const { client, clock, log } = this.modules
    const { name, namespace, identity } = this.options
    const path = `${this.path}/${name}`
    const request = { timeoutMs: leaseRequestTimeoutMs, attemptsMax: 1 }
    try {
      const lease = await client.find<LeaseObject>({ method: 'GET', path, ...request })
      if (lease?.spec?.holderIdentity !== identity) return
      const renewTime = microTime(clock.wallMs())
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime }
      const metadata = { name, namespace, resourceVersion: lease.metadata.resourceVersion }
      const head = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }
      await client.request({ method: 'PUT', path, body: { ...head, metadata, spec }, ...request })
      log.info({ lease: `${namespace}/${name}` }, 'leadership given back')
    } catch (err) {
      log.warn({ err }, 'lease could not be given back; others wait until it runs out')
    }
  }

  /** Tells of a change, and arms the timer that tells when the lease runs out unrenewed. */
  private tell(): void {
    clearTimeout(this.expiry)
    const isLeader = this.isLeader()
    if (isLeader) {
      const leftMs = this.untilMs - this.modules.clock.monotonicMs()
      this.expiry = setTimeout(() => this.tell(), leftMs + 1)
      this.expiry.unref()
    }
    if (isLeader === this.wasLeader) return
    this.wasLeader = isLeader
    const { log } = this.modules
    if (isLeader) log.info({ identity: this.options.identity }, 'leadership taken')
    else if (this.stopping.signal.aborted) log.info({}, 'leadership ended')
    else log.warn({ code: 'RM_LEASE_LOST' }, 'leadership lost')
    for (const listener of this.listeners) listener(isLeader)
  }
}
