/** The world of one process on one machine: the resource in memory, Secrets in files, no API, always leader. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProxyError } from '../../common/errors.ts'
import { type ProxyKey, type RedisProxy, type RedisProxyStatus, keyOf } from '../api/redis-proxy.ts'
import { LocalOperations } from './operations.ts'
import type {
  ConfigPublisher,
  EventSink,
  Provider,
  ProxyEvent,
  ProxyStore,
  SecretReader,
  SidecarPlacement,
  StatusWriter,
} from '../controller/provider.ts'

export interface LocalProviderOptions {
  readonly proxy: RedisProxy
  /** By `namespace/name`. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** Folder of our own for what sidecars read by file. */
  readonly directory: string
}

export interface LocalProviderModules {
  readonly publisher: ConfigPublisher
  readonly onEvent: (event: ProxyEvent) => void
  readonly expectedSidecars: () => readonly string[]
  /** Of servers that were started here; absent: none were. */
  readonly fateOf?: (address: string, sinceMs: number) => string | undefined
}

export class LocalProvider
  implements Provider, ProxyStore, StatusWriter, SecretReader, EventSink, SidecarPlacement
{
  readonly publisher: ConfigPublisher
  readonly operations: LocalOperations
  private readonly options: LocalProviderOptions
  private readonly modules: LocalProviderModules
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly key: ProxyKey
  private proxy: RedisProxy | undefined
  /** For tests of what happens when it is taken away. */
  private leads = true

  constructor(options: LocalProviderOptions, modules: LocalProviderModules) {
    this.options = options
    this.modules = modules
    this.publisher = modules.publisher
    this.proxy = options.proxy
    this.key = keyOf(options.proxy)
    this.operations = new LocalOperations(this.key)
  }

  readonly store: ProxyStore = this
  readonly status: StatusWriter = this
  readonly secrets: SecretReader = this
  readonly events: EventSink = this
  readonly placement: SidecarPlacement = this
  /** Each sidecar has a socket of its own, and is told by a variable. */
  readonly socketPath = undefined

  get(key: ProxyKey): RedisProxy | undefined {
    return key === this.key ? this.proxy : undefined
  }

  keys(): readonly ProxyKey[] {
    return this.proxy === undefined ? [] : [this.key]
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  async writeStatus(proxy: RedisProxy, status: RedisProxyStatus): Promise<RedisProxy> {
    const { resourceVersion } = proxy.metadata
    if (this.proxy?.metadata.resourceVersion !== resourceVersion) {
      throw new ProxyError('RM_CONFLICT', `${this.key} was changed by someone else`, {
        retryable: true,
      })
    }
    return this.replace({ ...this.proxy, status })
  }

  /** Another spec, as an edit of the resource would bring it. */
  changeSpec(spec: RedisProxy['spec']): void {
    if (this.proxy === undefined) return
    const generation = this.proxy.metadata.generation + 1
    this.replace({ ...this.proxy, spec, metadata: { ...this.proxy.metadata, generation } })
  }

  async readSecret(
    namespace: string,
    name: string,
  ): Promise<Readonly<Record<string, string>> | undefined> {
    return this.options.secrets.get(`${namespace}/${name}`)
  }

  publish(_proxy: RedisProxy, event: ProxyEvent): void {
    this.modules.onEvent(event)
  }

  secretFile(proxy: RedisProxy, secretName: string, dataKey: string): string {
    return join(this.options.directory, `${proxy.metadata.namespace}.${secretName}.${dataKey}`)
  }

  /** Puts the Secrets where sidecars read them, for nobody else's eyes. */
  writeSecretFiles(): void {
    mkdirSync(this.options.directory, { recursive: true, mode: 0o700 })
    for (const [key, data] of this.options.secrets) {
      for (const [dataKey, value] of Object.entries(data)) {
        const file = join(this.options.directory, `${key.replace('/', '.')}.${dataKey}`)
        writeFileSync(file, value, { mode: 0o600 })
        chmodSync(file, 0o600)
      }
    }
  }

  expectedSidecars(): readonly string[] {
    return this.modules.expectedSidecars()
  }

  fate(
    _proxy: RedisProxy,
    {
      host,
      port,
      sinceMs,
    }: { readonly host: string; readonly port: number; readonly sinceMs: number },
  ): string | undefined {
    return this.modules.fateOf?.(`${host}:${port}`, sinceMs)
  }

  isLeader(): boolean {
    return this.leads
  }

  setLeader(leads: boolean): void {
    this.leads = leads
  }

  private replace(proxy: RedisProxy): RedisProxy {
    const resourceVersion = String(Number(proxy.metadata.resourceVersion) + 1)
    this.proxy = { ...proxy, metadata: { ...proxy.metadata, resourceVersion } }
    for (const listener of this.listeners) listener(this.key)
    return this.proxy
  }
}
