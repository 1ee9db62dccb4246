/** The settings about what the backend is; bounds are those of the contract, which a test compares. */

export const backendSettings = {
  mode: {
    env: 'RESPMESH_MODE',
    flag: 'mode',
    value: 'standalone|replication|cluster|ring',
    help: 'what the servers are: one, a primary and its replicas, nodes of a cluster, or independent ones that share the keys (standalone for one, replication for several)',
  },
  sentinels: {
    env: 'RESPMESH_SENTINELS',
    value: 'HOST:PORT[,…]',
    help: 'Sentinels that say which server is the primary',
  },
  sentinelName: {
    env: 'RESPMESH_SENTINEL_NAME',
    value: 'NAME',
    help: 'name under which the Sentinels watch it',
  },
  sentinelUsername: {
    env: 'RESPMESH_SENTINEL_USERNAME',
    value: 'NAME',
    help: 'ACL user at the Sentinels; absent: the default user',
  },
  sentinelUsernameFile: {
    env: 'RESPMESH_SENTINEL_USERNAME_FILE',
    value: 'FILE',
    help: 'the same, read from a file at every connection',
  },
  sentinelPassword: {
    env: 'RESPMESH_SENTINEL_PASSWORD',
    value: 'PASSWORD',
    help: 'password at the Sentinels',
  },
  sentinelPasswordFile: {
    env: 'RESPMESH_SENTINEL_PASSWORD_FILE',
    value: 'FILE',
    help: 'the same, read from a file at every connection',
  },
  reads: {
    env: 'RESPMESH_READS',
    value: 'allToPrimary|readsToReplicas',
    help: 'where commands go that only read (allToPrimary)',
  },
  readsChoose: {
    env: 'RESPMESH_READS_CHOOSE',
    value: 'roundRobin|zone|latency',
    help: 'which replica: in turn, of the same zone, or the fastest (roundRobin)',
  },
  readsLagSecondsMax: {
    env: 'RESPMESH_READS_LAG_SECONDS_MAX',
    value: 'SECONDS',
    minimum: 1,
    maximum: 86_400,
    help: 'a replica that is further behind gets no reads (10)',
  },
  readsLagBytesMax: {
    env: 'RESPMESH_READS_LAG_BYTES_MAX',
    value: 'BYTES',
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    help: 'the same in bytes of the replication stream (16777216)',
  },
  readYourWrites: {
    env: 'RESPMESH_READ_YOUR_WRITES',
    value: 'true|false',
    help: 'whether a client that has written reads from the primary until a replica has it (true)',
  },
  maxRetries: {
    env: 'RESPMESH_MAX_RETRIES',
    value: 'NUMBER',
    minimum: 0,
    maximum: 100,
    help: 'times a command that a server did not run is sent again (16)',
  },
  retryDelayMs: {
    env: 'RESPMESH_RETRY_DELAY_MS',
    value: 'MILLISECONDS',
    minimum: 1,
    maximum: 10_000,
    help: 'longest first delay before that; it doubles with each (10)',
  },
  clusterPresent: {
    env: 'RESPMESH_CLUSTER_PRESENT',
    value: 'server|sidecar|nodes',
    help: 'what a cluster looks like to clients: one server, a cluster of one node, or its nodes (server)',
  },
  ringHashTag: {
    env: 'RESPMESH_RING_HASH_TAG',
    value: 'AB',
    help: 'two characters: what stands between them in a key is hashed ({})',
  },
  ringEjectAfter: {
    env: 'RESPMESH_RING_EJECT_AFTER',
    value: 'NUMBER',
    minimum: 1,
    maximum: 1000,
    help: 'failures in a row after which a server is taken out of the ring (never)',
  },
  ringEjectMs: {
    env: 'RESPMESH_RING_EJECT_MS',
    value: 'MILLISECONDS',
    minimum: 100,
    maximum: 3_600_000,
    help: 'how long it is out before it is tried (30000)',
  },
  listenRaw: {
    env: 'RESPMESH_LISTEN_RAW',
    value: 'HOST:PORT[,…]',
    help: 'where clients connect whose bytes pass to the primary unread; they log in there themselves',
  },
  adminTlsCertFile: {
    env: 'RESPMESH_ADMIN_TLS_CERT_FILE',
    value: 'FILE',
    help: 'PEM certificate chain of the admin port: with it, it is HTTPS',
  },
  adminTlsKeyFile: {
    env: 'RESPMESH_ADMIN_TLS_KEY_FILE',
    value: 'FILE',
    help: 'PEM key of that certificate',
  },
  adminTlsClientCaFile: {
    env: 'RESPMESH_ADMIN_TLS_CLIENT_CA_FILE',
    value: 'FILE',
    help: 'PEM bundle of the authorities whose clients may use the admin port; health and metrics stay open',
  },
  adminUsername: {
    env: 'RESPMESH_ADMIN_USERNAME',
    value: 'NAME',
    help: 'user of the admin port, by HTTP basic authentication; absent: default',
  },
  adminUsernameFile: {
    env: 'RESPMESH_ADMIN_USERNAME_FILE',
    value: 'FILE',
    help: 'the same, read from a file',
  },
  adminPassword: {
    env: 'RESPMESH_ADMIN_PASSWORD',
    value: 'PASSWORD',
    help: 'password of the admin port; health and metrics stay open',
  },
  adminPasswordFile: {
    env: 'RESPMESH_ADMIN_PASSWORD_FILE',
    value: 'FILE',
    help: 'the same, read from a file',
  },
} as const

export type BackendName = keyof typeof backendSettings
