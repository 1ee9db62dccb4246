/**
 * The ConfigMap per RedisProxy that its sidecars start from: whom to trust (`ca.crt`) and the last configuration
 * (`proxy-config.json`), for when the stream cannot be had. Owned by the RedisProxy. The two keys have a field
 * manager each, so that writing one never removes the other. Best effort, repeated until it is done.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { bootstrapDelayMs, bootstrapRetryMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey, RedisProxy } from '../api/redis-proxy.ts'
import { bootstrapConfigMap, bootstrapKey, caKey } from '../inject/layout.ts'
import { fieldManager, type KubeClient } from './client.ts'
import { configMapPath } from './names.ts'

export interface BootstrapModules {
  readonly client: KubeClient
  readonly log: Log
  readonly findProxy: (key: ProxyKey) => RedisProxy | undefined
  /** Only the leader writes. */
  readonly isLeader: () => boolean
}

interface Entry {
  config: string | undefined
  /** What the API is known to hold, `uid` of the owner included. */
  writtenCa: string | undefined
  writtenConfig: string | undefined
  timer: NodeJS.Timeout | undefined
  isWriting: boolean
}

export class BootstrapWriter implements Stoppable {
  private readonly entries = new Map<ProxyKey, Entry>()
  private readonly modules: BootstrapModules
  private readonly writing = new Set<Promise<void>>()
  private bundle: string | undefined
  private isStopped = false

  constructor(modules: BootstrapModules) {
    this.modules = modules
  }

  setBundle(bundle: string): void {
    this.bundle = bundle
    for (const key of this.entries.keys()) this.schedule(key, 0)
  }

  /** The RedisProxy was added, changed or removed. */
  touch(key: ProxyKey): void {
    if (this.modules.findProxy(key) === undefined) return this.forget(key)
    this.schedule(key, 0)
  }

  setConfig(key: ProxyKey, config: ProxyConfig): void {
    this.entry(key).config = `${JSON.stringify(config)}\n`
    this.schedule(key, bootstrapDelayMs)
  }

  /** Leadership was taken: others may have written since. */
  refresh(): void {
    for (const [key, entry] of this.entries) {
      entry.writtenCa = undefined
      entry.writtenConfig = undefined
      this.schedule(key, 0)
    }
  }

  async stop(): Promise<void> {
    this.isStopped = true
    for (const { timer } of this.entries.values()) clearTimeout(timer)
    await Promise.all(this.writing)
  }

  /** The owner reference has the ConfigMap removed. */
  private forget(key: ProxyKey): void {
    clearTimeout(this.entries.get(key)?.timer)
    this.entries.delete(key)
  }

  private entry(key: ProxyKey): Entry {
    const known = this.entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      config: undefined,
      writtenCa: undefined,
      writtenConfig: undefined,
      timer: undefined,
      isWriting: false,
    }
    this.entries.set(key, entry)
    return entry
  }

  private schedule(key: ProxyKey, delayMs: number): void {
    const entry = this.entry(key)
    if (this.isStopped || entry.isWriting || entry.timer !== undefined) return
    entry.timer = setTimeout(() => {
      entry.timer = undefined
      const written = this.write(key, entry).finally(() => this.writing.delete(written))
      this.writing.add(written)
    }, delayMs)
  }

  /** Never rejects. */
  private async write(key: ProxyKey, entry: Entry): Promise<void> {
    const { findProxy, isLeader, log } = this.modules
    const proxy = findProxy(key)
    if (proxy === undefined || !isLeader() || this.entries.get(key) !== entry) return
    entry.isWriting = true
    let againMs: number | undefined
    try {
      await this.apply(proxy, entry)
      if (this.isBehind(proxy, entry)) againMs = bootstrapDelayMs
    } catch (err) {
      log.warn({ err, proxy: key }, 'bootstrap ConfigMap could not be written; trying again')
      againMs = bootstrapRetryMs
    } finally {
      entry.isWriting = false
    }
    if (againMs !== undefined && this.entries.get(key) === entry) this.schedule(key, againMs)
  }

  private isBehind(proxy: RedisProxy, entry: Entry): boolean {
    const { uid } = proxy.metadata
    return (
      (this.bundle !== undefined && entry.writtenCa !== uid + this.bundle) ||
      (entry.config !== undefined && entry.writtenConfig !== uid + entry.config)
    )
  }

  private async apply(proxy: RedisProxy, entry: Entry): Promise<void> {
    const { uid } = proxy.metadata
    const { bundle } = this
    const { config } = entry
    if (bundle !== undefined && entry.writtenCa !== uid + bundle) {
      await this.applyData(proxy, 'ca', { [caKey]: bundle })
      entry.writtenCa = uid + bundle
    }
    if (config !== undefined && entry.writtenConfig !== uid + config) {
      await this.applyData(proxy, 'config', { [bootstrapKey]: config })
      entry.writtenConfig = uid + config
    }
  }

  private async applyData(
    proxy: RedisProxy,
    part: 'ca' | 'config',
    data: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { namespace, name, uid } = proxy.metadata
    const configMap = bootstrapConfigMap(name)
    const { apiVersion, kind } = proxy
    await this.modules.client.apply(
      configMapPath(namespace, configMap),
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: configMap,
          namespace,
          labels: { 'app.kubernetes.io/managed-by': 'respmesh' },
          ownerReferences: [{ apiVersion, kind, name, uid, controller: true }],
        },
        data,
      },
      { fieldManager: `${fieldManager}-${part}` },
    )
  }
}
