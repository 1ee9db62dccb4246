/**
 * The configurations of the peers: one worker, one server, no health checks, Nagle off (haproxy, twemproxy,
 * predixy and Envoy all set TCP_NODELAY for Redis by themselves), timeouts that a benchmark never meets, and
 * for the rest what the project ships, unless another setting serves the peer better here. Pure.
 */
import { standaloneConfig } from '../../common/contract/proxy-config.ts'

/** What its authors’ own benchmark uses. With the default of 16384 it needs up to twice the CPU at P=16. */
export const twemproxyMbufBytes = 512

interface Ports {
  readonly serverPort: number
  readonly listenPort: number
}

export function haproxy({ serverPort, listenPort }: Ports): string {
  return `global
  nbthread 1
  maxconn 4000
  hard-stop-after 1s

defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h

listen redis
  bind 127.0.0.1:${listenPort}
  server redis 127.0.0.1:${serverPort}
`
}

export function twemproxy({ serverPort, listenPort }: Ports): string {
  return `redis:
  listen: 127.0.0.1:${listenPort}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  auto_eject_hosts: false
  server_connections: 1
  servers:
   - 127.0.0.1:${serverPort}:1
`
}

export function predixy({ serverPort, listenPort }: Ports): string {
  return `Name bench
Bind 127.0.0.1:${listenPort}
WorkerThreads 1
ClientTimeout 0
LogVerbSample 0
LogDebugSample 0
LogInfoSample 10000
LogNoticeSample 1
LogWarnSample 1
LogErrorSample 1

Authority {
  Auth {
    Mode admin
  }
}

StandaloneServerPool {
  Databases 16
  Hash crc16
  HashTag "{}"
  Distribution modula
  MasterReadPriority 60
  StaticSlaveReadPriority 50
  DynamicSlaveReadPriority 50
  RefreshMethod fixed
  ServerTimeout 0
  ServerFailureLimit 10
  ServerRetryTimeout 1
  KeepAlive 120
  Group redis {
    + 127.0.0.1:${serverPort}
  }
}
`
}

interface Many extends Ports {
  readonly serverPorts: readonly number[]
}

/** What a sidecar without an operator is given where flags do not tell enough. */
export function sidecar(site: Many, upstream: Readonly<Record<string, unknown>>): string {
  const config = standaloneConfig({
    members: site.serverPorts.map((port) => ({ host: '127.0.0.1', port })),
    listeners: [{ host: '127.0.0.1', port: site.listenPort }],
  })
  const own = { ...config, upstream: { ...config.upstream, ...upstream } }
  return `${JSON.stringify(own, undefined, 2)}\n`
}

const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })

/** JSON, which Envoy reads as it reads YAML. Its batching of requests stays off: on, it was slower here. */
export function envoy(site: Ports): string {
  return envoyOf(site, [site.serverPort], { type: 'STATIC', lb_policy: 'MAGLEV' })
}

/** The same in front of a cluster, which it finds from any node; it follows redirects. */
export function envoyCluster(site: Many): string {
  const typed = {
    '@type': 'type.googleapis.com/google.protobuf.Struct',
    value: {
      cluster_refresh_rate: '5s',
      cluster_refresh_timeout: '1s',
      redirect_refresh_interval: '1s',
      redirect_refresh_threshold: 5,
    },
  }
  return envoyOf(site, site.serverPorts, {
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: { name: 'envoy.clusters.redis', typed_config: typed },
  })
}

function envoyOf(
  { listenPort }: Ports,
  serverPorts: readonly number[],
  kind: Readonly<Record<string, unknown>>,
): string {
  const redisProxy = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy',
    stat_prefix: 'redis',
    settings: { op_timeout: '5s', enable_redirection: serverPorts.length > 1 },
    prefix_routes: { catch_all_route: { cluster: 'redis' } },
  }
  const listener = {
    name: 'redis',
    address: at(listenPort),
    filter_chains: [
      { filters: [{ name: 'envoy.filters.network.redis_proxy', typed_config: redisProxy }] },
    ],
  }
  const endpoints = serverPorts.map((port) => ({ endpoint: { address: at(port) } }))
  const cluster = {
    name: 'redis',
    ...kind,
    connect_timeout: '1s',
    load_assignment: { cluster_name: 'redis', endpoints: [{ lb_endpoints: endpoints }] },
  }
  const bootstrap = { static_resources: { listeners: [listener], clusters: [cluster] } }
  return `${JSON.stringify(bootstrap, undefined, 2)}\n`
}
