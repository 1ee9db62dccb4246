/**
 * RedisProxyOperations: what people asked for, and how it went, written to each. An operation is known by its name and its
 * uid, so that one of a name that was used before is not taken for that.
 */
import type { Clock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import { operationGraceMs, operationSweepMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import {
  type OperationResourceStatus,
  type RedisProxyOperation,
  isFinished,
} from '../api/operation.ts'
import type { OperationStatus, ProxyKey } from '../api/redis-proxy.ts'
import type { Operation } from '../controller/plan/types.ts'
import type { OperationDesk } from '../controller/provider.ts'
import type { KubeClient } from './client.ts'
import { operationsPath } from './names.ts'
import { ObjectStore } from './object-store.ts'
import { objectKey } from './objects.ts'

export interface OperationModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly isLeader: () => boolean
  readonly hasProxy: (key: ProxyKey) => boolean
}

export class Operations implements OperationDesk, Stoppable {
  readonly objects = new ObjectStore<RedisProxyOperation>()
  private readonly modules: OperationModules
  /** Proxy of each operation by its key: a removed one can no longer be asked. */
  private readonly proxies = new Map<string, ProxyKey>()
  private readonly firstSeenMs = new Map<string, number>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  /** Of operations whose status is being written. */
  private readonly writing = new Map<string, Promise<void>>()
  private readonly sweeping: NodeJS.Timeout

  constructor(modules: OperationModules) {
    this.modules = modules
    this.objects.onChange((key) => this.changed(key))
    this.sweeping = setInterval(() => this.sweep(), operationSweepMs)
  }

  pending(key: ProxyKey): readonly Operation[] {
    return this.unfinished()
      .filter((each) => proxyKeyOf(each) === key && each.metadata.deletionTimestamp === undefined)
      .toSorted(byAge)
      .map((each) => ({
        name: recordedName(each),
        kind: each.spec.kind,
        ...(each.spec.to !== undefined && { to: each.spec.to }),
        accept: each.spec.accept,
      }))
  }

  report(key: ProxyKey, operation: OperationStatus): void {
    const found = this.unfinished().find(
      (each) => proxyKeyOf(each) === key && recordedName(each) === operation.name,
    )
    if (found === undefined) return
    const { phase, message, startedAt, endedAt } = operation
    this.write(found, { phase, message, startedAt, ...(endedAt !== undefined && { endedAt }) })
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  async stop(): Promise<void> {
    clearInterval(this.sweeping)
    await Promise.all(this.writing.values())
  }

  /** Says of each that nobody has begun why, and ends those that nobody ever will. */
  sweep(): void {
    const { clock, isLeader, hasProxy } = this.modules
    if (!isLeader()) return
    const now = clock.monotonicMs()
    for (const each of this.unfinished()) {
      const ageMs = now - (this.firstSeenMs.get(each.metadata.uid) ?? now)
      const { proxy } = each.spec
      if (!hasProxy(proxyKeyOf(each))) {
        if (ageMs < operationGraceMs) continue
        const message = `there is no RedisProxy ${proxy} in this namespace`
        this.write(each, { phase: 'Failed', message, endedAt: this.now() })
      } else if (each.status?.phase === undefined && ageMs >= operationSweepMs) {
        this.write(each, { phase: 'Pending', message: `it waits for its turn at ${proxy}` })
      }
    }
  }

  private unfinished(): readonly RedisProxyOperation[] {
    return [...this.objects.values()].filter((each) => !isFinished(each))
  }

  private now(): string {
    return new Date(this.modules.clock.wallMs()).toISOString()
  }

  private changed(key: string): void {
    const operation = this.objects.get(key)
    const proxy = operation ? proxyKeyOf(operation) : this.proxies.get(key)
    if (operation === undefined) {
      this.proxies.delete(key)
      const known = new Set([...this.objects.values()].map(({ metadata }) => metadata.uid))
      for (const uid of this.firstSeenMs.keys()) {
        if (!known.has(uid)) this.firstSeenMs.delete(uid)
      }
    } else {
      this.proxies.set(key, proxyKeyOf(operation))
      const { uid } = operation.metadata
      if (!this.firstSeenMs.has(uid)) {
        this.firstSeenMs.set(uid, this.modules.clock.monotonicMs())
      }
    }
    if (proxy === undefined) return
    for (const listener of this.listeners) listener(proxy)
  }

  /** One write of an operation at a time; what it misses is said at the next turn. */
  private write(operation: RedisProxyOperation, next: OperationResourceStatus): void {
    const { isLeader } = this.modules
    const { uid, generation } = operation.metadata
    const status = { ...next, observedGeneration: generation }
    if (this.writing.has(uid) || !isLeader() || isSame(operation.status, status)) return
    const written = this.put(operation, status).finally(() => this.writing.delete(uid))
    this.writing.set(uid, written)
  }

  /** Never rejects. */
  private async put(
    operation: RedisProxyOperation,
    status: OperationResourceStatus,
  ): Promise<void> {
    const { client, log } = this.modules
    const { apiVersion, kind, metadata, spec } = operation
    const { namespace, name, uid, resourceVersion } = metadata
    try {
      const written = await client.request<RedisProxyOperation>({
        method: 'PUT',
        path: `${operationsPath(namespace)}/${name}/status`,
        body: {
          apiVersion,
          kind,
          metadata: { namespace, name, uid, resourceVersion },
          spec,
          status,
        },
      })
      this.objects.put(written)
    } catch (err) {
      const level = codeOf(err) === 'RM_CONFLICT' ? 'debug' : 'warn'
      log[level](
        { err, operation: objectKey(operation) },
        'the status of an operation was not written; it is said again',
      )
    }
  }
}

/** As the RedisProxy records it: the name, and enough of the uid to tell it from another one of that name. */
export function recordedName({ metadata }: RedisProxyOperation): string {
  return `${metadata.name}/${metadata.uid.slice(0, 8)}`
}

function proxyKeyOf({ metadata, spec }: RedisProxyOperation): ProxyKey {
  return `${metadata.namespace}/${spec.proxy}`
}

function byAge(a: RedisProxyOperation, b: RedisProxyOperation): number {
  const [x, y] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`,
  )
  return (x ?? '') < (y ?? '') ? -1 : 1
}

function isSame(a: OperationResourceStatus | undefined, b: OperationResourceStatus): boolean {
  const fields = ['phase', 'message', 'startedAt', 'endedAt', 'observedGeneration'] as const
  return a !== undefined && fields.every((field) => a[field] === b[field])
}
