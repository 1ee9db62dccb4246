/**
 * The configurations of the peers: one worker, one server, no health checks, Nagle off (haproxy, twemproxy,
 * predixy and Envoy all set TCP_NODELAY for Redis by themselves), timeouts that a benchmark never meets, and
 * for the rest what the project ships, unless another setting serves the peer better here. Pure.
 */

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

/** JSON, which Envoy reads as it reads YAML. Its batching of requests stays off: on, it was slower here. */
export function envoy({ serverPort, listenPort }: Ports): string {
  const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })
  const redisProxy = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy',
    stat_prefix: 'redis',
    settings: { op_timeout: '5s' },
    prefix_routes: { catch_all_route: { cluster: 'redis' } },
  }
  const listener = {
    name: 'redis',
    address: at(listenPort),
    filter_chains: [
      { filters: [{ name: 'envoy.filters.network.redis_proxy', typed_config: redisProxy }] },
    ],
  }
  const cluster = {
    name: 'redis',
    type: 'STATIC',
    connect_timeout: '1s',
    lb_policy: 'MAGLEV',
    load_assignment: {
      cluster_name: 'redis',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: at(serverPort) } }] }],
    },
  }
  const bootstrap = { static_resources: { listeners: [listener], clusters: [cluster] } }
  return `${JSON.stringify(bootstrap, undefined, 2)}\n`
}
