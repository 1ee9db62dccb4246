/**
 * Kubernetes as the controller core sees it. `createKube` makes the parts that watch and answer; with the
 * stream's publisher, which needs some of them, they become the `Provider`.
 */
import type { KubeConfig } from '@kubernetes/client-node'
import type { Clock } from '../../common/clock.ts'
import { bootstrapRefreshMs } from '../../common/limits.ts'
import { StopStack, type Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey, RedisProxy } from '../api/redis-proxy.ts'
import type { ConfigPublisher, Provider } from '../controller/provider.ts'
import { secretFile } from '../inject/layout.ts'
import type { Authentication } from '../stream/index.ts'
import { BootstrapWriter } from './bootstrap.ts'
import { type KubeClient, createClient } from './client.ts'
import { type Connection, createConnection } from './connection.ts'
import { EventRecorder } from './events.ts'
import { Elector } from './lease.ts'
import { podsPath, qualifyHost, redisProxiesPath } from './names.ts'
import { createPodStore, sidecarPodSelector, sidecarsOf } from './pods.ts'
import { ProxyCache } from './proxies.ts'
import { type Reflector, type RestartReason, startReflector } from './reflector.ts'
import { createSecretReader } from './secrets.ts'
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

export interface Kube extends Stoppable {
  readonly client: KubeClient
  readonly proxies: ProxyCache
  readonly events: EventRecorder
  readonly elector: Elector
  readonly bootstrap: BootstrapWriter
  readonly watchRestarts: ReadonlyMap<RestartReason, number>
  /** Starts the watches; resolves when the first lists are in. */
  start(): Promise<void>
  isSynced(): boolean
  /** For `createStreamServer`. */
  authenticate(token: string, key: ProxyKey): Promise<Authentication>
  /** Everything that the core needs. */
  provider(publisher: ConfigPublisher): Provider
}

export function createKube(options: KubeOptions, modules: KubeModules): Kube {
  const { clock, log, random } = modules
  const connection: Connection = createConnection(modules.config, clock)
  const client = createClient(connection, { random })
  const proxies = new ProxyCache(client)
  const pods = createPodStore()
  const events = new EventRecorder({ instance: options.identity }, { client, clock, log })
  const elector = new Elector(
    { namespace: options.namespace, name: options.leaseName, identity: options.identity },
    { client, clock, log, random },
  )
  const isLeader = () => elector.isLeader()
  const bootstrap = new BootstrapWriter({
    client,
    log,
    isLeader,
    findProxy: (key) => proxies.get(key),
  })
  const reflectors: Reflector[] = []
  const stack = new StopStack()
  const watchRestarts = new Map<RestartReason, number>()
  const onRestart = (reason: RestartReason) => {
    watchRestarts.set(reason, (watchRestarts.get(reason) ?? 0) + 1)
  }
  let isSynced = false
  return {
    client,
    proxies,
    events,
    elector,
    bootstrap,
    watchRestarts,
    isSynced: () => isSynced,
    authenticate: createTokenAuthentication({ client, clock, findPod: (key) => pods.get(key) }),
    async start() {
      stack.add('connection', { stop: async () => connection.close() })
      stack.add('events', events)
      const watch = { client, log, random }
      reflectors.push(
        startReflector<RedisProxy>(
          { path: redisProxiesPath(options.watchNamespace), sink: proxies.objects, onRestart },
          watch,
        ),
        startReflector(
          {
            path: podsPath(options.watchNamespace),
            labelSelector: sidecarPodSelector,
            sink: pods,
            onRestart,
          },
          watch,
        ),
      )
      for (const reflector of reflectors) stack.add('reflector', reflector)
      stack.add('bootstrap', bootstrap)
      // Someone may have removed one.
      const refreshing = setInterval(() => bootstrap.refresh(), bootstrapRefreshMs)
      stack.add('refresh', { stop: async () => clearInterval(refreshing) })
      stack.add('lease', elector)
      proxies.onChange((key) => bootstrap.touch(key))
      elector.onChange((isLeading) => {
        if (isLeading) bootstrap.refresh()
      })
      await Promise.all(reflectors.map((reflector) => reflector.synced))
      isSynced = true
    },
    stop: () => stack.stop(),
    provider: (publisher) => ({
      store: proxies,
      status: proxies,
      secrets: createSecretReader(client),
      events,
      publisher: withBootstrap(publisher, bootstrap),
      placement: { secretFile: (_proxy, secretName, dataKey) => secretFile(secretName, dataKey) },
      qualifyHost: (proxy, host) => qualifyHost(proxy.metadata.namespace, host),
      expectedSidecars: (key) => (isSynced ? sidecarsOf(key, pods.values()) : undefined),
      isLeader,
    }),
  }
}

/** What is published goes to the ConfigMap as well. */
function withBootstrap(publisher: ConfigPublisher, bootstrap: BootstrapWriter): ConfigPublisher {
  return {
    publish(key, config) {
      publisher.publish(key, config)
      bootstrap.setConfig(key, config)
    },
    withdraw: (key) => publisher.withdraw(key),
    sidecars: (key) => publisher.sidecars(key),
    onChange: (listener) => publisher.onChange(listener),
  }
}
