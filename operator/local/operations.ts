/** Operations on a laptop: asked for through the status page or `respmesh switchover`, kept in memory. */
import { localOperationsMax, localOperationsWaitingMax } from '../../common/limits.ts'
import type { OperationStatus, ProxyKey } from '../api/redis-proxy.ts'
import type { Operation } from '../controller/plan/types.ts'
import type { OperationDesk } from '../controller/provider.ts'

/** How it is with an operation: it waits, or what the RedisProxy says of it. */
export type LocalOperationStatus =
  | OperationStatus
  | { readonly name: string; readonly phase: 'Pending'; readonly message: string }

interface Entry {
  readonly operation: Operation
  status: LocalOperationStatus
}

export class LocalOperations implements OperationDesk {
  private readonly key: ProxyKey
  private readonly entries = new Map<string, Entry>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private count = 0

  constructor(key: ProxyKey) {
    this.key = key
  }

  /** @returns its name; undefined if too many wait already */
  ask(wanted: Omit<Operation, 'name'>): string | undefined {
    if (this.pending(this.key).length >= localOperationsWaitingMax) return undefined
    this.count += 1
    const name = `${wanted.kind.toLowerCase()}-${this.count}`
    const status = { name, phase: 'Pending', message: 'it waits for its turn' } as const
    this.entries.set(name, { operation: { ...wanted, name }, status })
    this.forgetOldest()
    this.tell()
    return name
  }

  find(name: string): LocalOperationStatus | undefined {
    return this.entries.get(name)?.status
  }

  pending(key: ProxyKey): readonly Operation[] {
    if (key !== this.key) return []
    return [...this.entries.values()]
      .filter(({ status }) => !hasEnded(status))
      .map(({ operation }) => operation)
  }

  report(key: ProxyKey, status: OperationStatus): void {
    const entry = this.entries.get(status.name)
    if (key !== this.key || entry === undefined || hasEnded(entry.status)) return
    entry.status = status
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private tell(): void {
    for (const listener of this.listeners) listener(this.key)
  }

  private forgetOldest(): void {
    for (const [name, { status }] of this.entries) {
      if (this.entries.size <= localOperationsMax) return
      if (hasEnded(status)) this.entries.delete(name)
    }
  }
}

function hasEnded({ phase }: LocalOperationStatus): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}
