/**
 * Kubernetes as the controller core sees it. `Kube` has the parts that watch and answer; with the stream's
 * publisher, which needs some of them, they become the `Provider`.
 */
import type { KubeConfig } from '@kubernetes/client-node'
import type { Clock } from '../../common/clock.ts'
import { bootstrapRefreshMs } from '../../common/limits.ts'
import { StopStack, type Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { RedisProxyOperation } from '../api/operation.ts'
import type { ProxyKey, RedisProxy } from '../api/redis-proxy.ts'
import type { ConfigPublisher, Provider, ProxyStore } from '../controller/provider.ts'
import { secretFile, socketFile } from '../inject/layout.ts'
import type { Authentication } from '../stream/index.ts'
import { Addresses } from './addresses.ts'
import { BootstrapWriter } from './bootstrap.ts'
import { type KubeClient, createClient } from './client.ts'
import { type Connection, createConnection } from './connection.ts'
import { EventRecorder } from './events.ts'
import { Fates } from './fates.ts'
import { Elector } from './lease.ts'
import { operationsPath, podsPath, qualifyHost, redisProxiesPath } from './names.ts'
import { Operations } from './operations.ts'
import { sidecarPodSelector } from './pods.ts'
import { ProxyCache } from './proxies.ts'
import { type Reflector, type RestartReason, startReflector } from './reflector.ts'
import { createSecretReader } from './secrets.ts'
import { SidecarPods } from './sidecar-pods.ts'
import { createTokenAuthentication } from './token.ts'

export interface KubeOptions {
  /** Of the operator itself: Lease, certificates. */
  readonly namespace: string
  /** Unique among running replicas: the pod's name. */
  readonly identity: string
  readonly leaseName: string
  /** Only RedisProxies and pods of this namespace; absent: of all. */
  readonly watchNamespace?: string
}

export interface KubeModules {
  readonly config: KubeConfig
  readonly clock: Clock
  readonly log: Log
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export class Kube implements Stoppable {
  readonly client: KubeClient
  readonly proxies: ProxyCache
  readonly events: EventRecorder
  readonly elector: Elector
  readonly bootstrap: BootstrapWriter
  readonly watchRestarts = new Map<RestartReason, number>()
  /** For `createStreamServer`. */
  readonly authenticate: (token: string, key: ProxyKey) => Promise<Authentication>
  private readonly options: KubeOptions
  private readonly modules: KubeModules
  private readonly connection: Connection
  private readonly pods: SidecarPods
  private readonly addresses: Addresses
  private readonly fates: Fates
  private readonly operations: Operations
  private readonly parts = new StopStack()
  private hasSynced = false

  /** Does no IO. @throws ConfigError RM_CONFIG_INVALID if the kubeconfig names no cluster */
  constructor(options: KubeOptions, modules: KubeModules) {
    const { clock, log, random } = modules
    const { namespace, identity, leaseName } = options
    this.options = options
    this.modules = modules
    this.connection = createConnection(modules.config, clock)
    this.client = createClient(this.connection, { random })
    const { client } = this
    this.proxies = new ProxyCache(client)
    this.addresses = new Addresses({ client, clock, log, random })
    const mayReadNodes = options.watchNamespace === undefined
    this.fates = new Fates({ client, clock, log, random, mayReadNodes })
    this.pods = new SidecarPods({ client, clock, log, mayReadNodes })
    this.operations = new Operations({
      client,
      clock,
      log,
      isLeader: () => this.hasSynced && this.elector.isLeader(),
      hasProxy: (key) => this.proxies.get(key) !== undefined,
    })
    this.events = new EventRecorder({ instance: identity }, { client, clock, log })
    this.elector = new Elector(
      { namespace, name: leaseName, identity },
      { client, clock, log, random },
    )
    this.bootstrap = new BootstrapWriter({
      client,
      log,
      isLeader: () => this.elector.isLeader(),
      findProxy: (key) => this.proxies.get(key),
    })
    this.authenticate = createTokenAuthentication({
      client,
      clock,
      findPod: (key) => this.pods.get(key),
    })
  }

  get isSynced(): boolean {
    return this.hasSynced
  }

  /** Starts the watches; resolves when the first lists are in. The elector is started and stopped apart. */
  async start(): Promise<void> {
    const { parts, bootstrap, proxies } = this
    parts.add('connection', { stop: async () => this.connection.close() })
    parts.add('events', this.events)
    const reflectors = this.startReflectors()
    for (const reflector of reflectors) parts.add('reflector', reflector)
    parts.add('bootstrap', bootstrap)
    // Someone may have removed one.
    const refreshing = setInterval(() => bootstrap.refresh(), bootstrapRefreshMs)
    parts.add('refresh', { stop: async () => clearInterval(refreshing) })
    parts.add('addresses', this.addresses)
    parts.add('fates', this.fates)
    parts.add('sidecar pods', this.pods)
    parts.add('operations', this.operations)
    // Not waited for: an operator is of use where operations are not installed.
    parts.add('operations reflector', this.watchOperations())
    proxies.onChange((key) => {
      this.addresses.follow(key, proxies.get(key))
      bootstrap.touch(key)
    })
    this.elector.onChange((isLeading) => {
      if (isLeading) bootstrap.refresh()
    })
    await Promise.all(reflectors.map((reflector) => reflector.synced))
    this.hasSynced = true
  }

  stop(): Promise<void> {
    return this.parts.stop()
  }

  /** Everything that the core needs. */
  provider(publisher: ConfigPublisher): Provider {
    return {
      store: withNews(this.proxies, [this.fates, this.pods]),
      status: this.proxies,
      secrets: createSecretReader(this.client),
      events: this.events,
      publisher: withBootstrap(publisher, this.bootstrap),
      placement: {
        secretFile: (_proxy, secretName, dataKey) => secretFile(secretName, dataKey),
        socketPath: socketFile,
      },
      qualifyHost: (proxy, host) => qualifyHost(proxy.metadata.namespace, host),
      locate: (proxy, host) => this.addresses.locate(proxy, host),
      expectedSidecars: (key) => (this.hasSynced ? this.pods.expected(key) : undefined),
      fate: (proxy, server) => this.fates.fate(proxy, server),
      operations: this.operations,
      isLeader: () => this.elector.isLeader(),
    }
  }

  private watchOperations(): Reflector {
    const { client, operations } = this
    const { log, random } = this.modules
    const path = operationsPath(this.options.watchNamespace)
    return startReflector<RedisProxyOperation>(
      { path, sink: operations.objects },
      { client, log, random },
    )
  }

  private startReflectors(): readonly Reflector[] {
    const { client, pods, proxies, watchRestarts } = this
    const { log, random } = this.modules
    const { watchNamespace } = this.options
    const onRestart = (reason: RestartReason) => {
      watchRestarts.set(reason, (watchRestarts.get(reason) ?? 0) + 1)
    }
    return [
      startReflector<RedisProxy>(
        { path: redisProxiesPath(watchNamespace), sink: proxies.objects, onRestart },
        { client, log, random },
      ),
      startReflector(
        {
          path: podsPath(watchNamespace),
          labelSelector: sidecarPodSelector,
          sink: pods,
          onRestart,
        },
        { client, log, random },
      ),
    ]
  }
}

/** The resources; who listens hears as well when something became of the pod of a primary, or of a deleted sidecar. */
function withNews(
  proxies: ProxyCache,
  others: readonly Pick<ProxyStore, 'onChange'>[],
): ProxyStore {
  return {
    get: (key) => proxies.get(key),
    keys: () => proxies.keys(),
    onChange(listener) {
      const stops = [proxies, ...others].map((each) => each.onChange(listener))
      return () => {
        for (const stop of stops) stop()
      }
    },
  }
}

/** What is published goes to the ConfigMap as well. */
function withBootstrap(publisher: ConfigPublisher, bootstrap: BootstrapWriter): ConfigPublisher {
  return {
    publish(key, config) {
      publisher.publish(key, config)
      bootstrap.setConfig(key, config)
    },
    suspect: (key, epoch, forMs) => publisher.suspect(key, epoch, forMs),
    withdraw: (key) => publisher.withdraw(key),
    sidecars: (key) => publisher.sidecars(key),
    onChange: (listener) => publisher.onChange(listener),
  }
}
