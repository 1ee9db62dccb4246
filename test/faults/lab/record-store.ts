/** The resource of a lab as an operator process has it: a cache that follows the files, and writes to them. */
import type { ProxyKey, RedisProxy, RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { keyOf } from '../../../operator/api/redis-proxy.ts'
import type { ProxyStore, StatusWriter } from '../../../operator/controller/provider.ts'
import type { RecordFile } from './record.ts'

const pollMs = 50

export class RecordStore implements ProxyStore, StatusWriter {
  private readonly record: RecordFile
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private cached: RedisProxy

  constructor(record: RecordFile) {
    this.record = record
    this.cached = record.read()
  }

  /** Follows what others write, from now on. */
  start(): void {
    setInterval(() => this.take(this.record.read()), pollMs)
  }

  get(key: ProxyKey): RedisProxy | undefined {
    return key === keyOf(this.cached) ? this.cached : undefined
  }

  keys(): readonly ProxyKey[] {
    return [keyOf(this.cached)]
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** The cache follows at once, as that of the API does. @throws ProxyError RM_CONFLICT if it is not the newest */
  async writeStatus(proxy: RedisProxy, status: RedisProxyStatus): Promise<RedisProxy> {
    const written = this.record.writeStatus(proxy, status)
    this.take(written)
    return written
  }

  private take(proxy: RedisProxy): void {
    if (proxy.metadata.resourceVersion === this.cached.metadata.resourceVersion) return
    this.cached = proxy
    for (const listener of this.listeners) listener(keyOf(proxy))
  }
}
