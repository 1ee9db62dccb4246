/** Real servers, the real controller, the local provider; a publisher that stands for any number of sidecars. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../common/clock.ts'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import { parseManifests } from '../../../operator/api/manifest.ts'
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { Prober } from '../../../operator/backend/index.ts'
import { Controller } from '../../../operator/controller/controller.ts'
import type {
  ConfigPublisher,
  ProxyEvent,
  SidecarView,
} from '../../../operator/controller/provider.ts'
import { LocalProvider } from '../../../operator/local/provider.ts'
import type { RedisServer } from '../../support/servers.ts'
import { until } from '../../support/servers.ts'

export class FakeSidecars implements ConfigPublisher {
  /** Those that exist; each acknowledges what is published unless it is deaf. */
  ids: readonly string[] = []
  readonly deaf = new Set<string>()
  readonly published: ProxyConfig[] = []
  private readonly acked = new Map<string, { version: number; epoch: number }>()

  publish(_key: string, config: ProxyConfig): void {
    this.published.push(config)
    for (const id of this.ids) {
      if (!this.deaf.has(id)) this.acked.set(id, { version: config.version, epoch: config.epoch })
    }
  }

  suspect(): void {}

  withdraw(): void {}

  sidecars(): readonly SidecarView[] {
    return this.ids.map((id) => {
      const acked = this.acked.get(id)
      return { id, primary: 'ok', connectedAtMs: 0, ...(acked && { acked }) }
    })
  }

  onChange(): () => void {
    return () => {}
  }

  get last(): ProxyConfig | undefined {
    return this.published.at(-1)
  }
}

/** How the servers are reached, if not by plain TCP without a password. */
export interface Access {
  readonly ports?: readonly number[]
  /** More fields of `spec.backend`, as YAML in one line. */
  readonly backend?: string
  readonly secrets?: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export class Harness {
  readonly servers: readonly RedisServer[]
  readonly sidecars = new FakeSidecars()
  readonly events: ProxyEvent[] = []
  readonly provider: LocalProvider
  private controller: Controller | undefined
  private readonly directory = mkdtempSync(join(tmpdir(), 'respmesh-failover-'))

  /** Where the controller reaches each server. */
  private readonly ports: readonly number[]

  constructor(servers: readonly RedisServer[], spec = '', access: Access = {}) {
    this.servers = servers
    this.ports = access.ports ?? servers.map(({ port }) => port)
    const endpoints = this.ports.map((port) => `{host: 127.0.0.1, port: ${port}}`).join(', ')
    const extra = access.backend === undefined ? '' : `, ${access.backend}`
    const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: test}
spec:
  backend: {endpoints: [${endpoints}]${extra}}
${spec}
`
    const { proxies } = parseManifests(text, 'test')
    const secrets = access.secrets ?? new Map()
    const [proxy] = proxies
    if (proxy === undefined) throw new Error('the manifest of the test is not one')
    this.provider = new LocalProvider(
      { proxy, secrets, directory: this.directory },
      {
        publisher: this.sidecars,
        onEvent: (event) => this.events.push(event),
        expectedSidecars: () => this.sidecars.ids,
      },
    )
  }

  start(): void {
    this.controller = new Controller({
      provider: this.provider,
      clock: systemClock,
      log: silentLog,
    })
    this.controller.start()
  }

  /** A controller that ends at the given call to a server, as if its process had died there. */
  startAndDieAt(call: 'promote' | 'replicate'): Promise<void> {
    const backend = new Prober({ clock: systemClock })
    const { promise, resolve } = Promise.withResolvers<void>()
    backend[call] = async () => {
      this.provider.setLeader(false)
      resolve()
      throw new Error('the controller died here')
    }
    this.controller = new Controller({
      provider: this.provider,
      clock: systemClock,
      log: silentLog,
      backend,
    })
    this.controller.start()
    return promise
  }

  /** As when someone deletes the resource. */
  remove(): void {
    const [key] = this.provider.keys()
    const proxy = key === undefined ? undefined : this.provider.get(key)
    if (proxy === undefined) return
    this.provider.get = () => undefined
    this.provider.keys = () => []
    // Whatever is changed, everyone looks and finds nothing.
    this.provider.changeSpec(proxy.spec)
  }

  async stopController(): Promise<void> {
    await this.controller?.stop()
    this.controller = undefined
  }

  async stop(): Promise<void> {
    await this.stopController()
    await Promise.all(this.servers.map((server) => server.stop()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  get status(): RedisProxyStatus {
    const [key] = this.provider.keys()
    return (key === undefined ? undefined : this.provider.get(key)?.status) ?? {}
  }

  address(index: number): string {
    return `127.0.0.1:${this.ports[index] ?? 0}`
  }

  server(address: string | undefined): RedisServer {
    const found = this.servers.find((_server, index) => address === this.address(index))
    if (found === undefined) throw new Error(`no server at ${address}`)
    return found
  }

  condition(type: string): string {
    const found = this.status.conditions?.find((condition) => condition.type === type)
    return `${found?.status ?? 'absent'}/${found?.reason ?? ''}`
  }

  /** Resolves when the status is as wanted. @throws Error with the status if it does not become so */
  async reached(what: string, isTrue: () => boolean, deadlineMs = 20_000): Promise<void> {
    try {
      await until(what, isTrue, deadlineMs)
    } catch (cause) {
      const events = this.events.map(({ message }) => message).join('\n')
      throw new Error(`${what}: ${JSON.stringify(this.status, null, 1)}\n${events}`, { cause })
    }
  }

  inOrder(): boolean {
    return (
      this.condition('Ready').startsWith('True') &&
      this.condition('ReplicationHealthy').startsWith('True') &&
      this.condition('SinglePrimary').startsWith('True')
    )
  }

  /** Waits until every other server has all that the primary has. */
  async replicated(): Promise<void> {
    const primary = this.server(this.status.primary?.address)
    for (const server of this.servers) {
      await until('replicas are level', async () => {
        return (
          (await server.info('master_repl_offset')) === (await primary.info('master_repl_offset'))
        )
      })
    }
  }
}
