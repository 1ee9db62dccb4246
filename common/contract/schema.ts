/**
 * The one source of the contract between control plane and sidecar: the JSON Schema of `ProxyConfig`.
 *
 * `npm run generate` turns it into a standalone validator (`generated/`), so that neither a sidecar nor
 * its bundle carries a schema library; types are derived from it in `proxy-config.ts`.
 */
import { Type } from 'typebox'

const upstreamPort = (description: string) =>
  Type.Integer({ minimum: 0, maximum: 65535, description })
const hostOrPath = (description: string) =>
  Type.String({ minLength: 1, maxLength: 253, pattern: '^(/.*|[A-Za-z0-9._:-]+)$', description })
const host = (description: string) =>
  Type.String({ minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9._:-]+$', description })
const millis = (description: string, minimum = 0, maximum = 3_600_000) =>
  Type.Integer({ minimum, maximum, description })
const text = (description: string, maxLength = 256) =>
  Type.String({ minLength: 1, maxLength, description })
const path = (description: string) => Type.String({ minLength: 1, maxLength: 4096, description })
const count = (description: string, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description })

const closed = { additionalProperties: false }

/** A secret is never a value in the contract: it is where the sidecar reads it, again on every use. */
const secretRef = Type.Object(
  {
    file: Type.Optional(path('file whose content, less one trailing newline, is the secret')),
    env: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$',
        description: 'environment variable that holds the secret',
      }),
    ),
  },
  { ...closed, minProperties: 1, maxProperties: 1, description: 'where a secret is read from' },
)

const credentials = Type.Object(
  { username: Type.Optional(secretRef), password: secretRef },
  { ...closed, description: 'an ACL user, or the default user where no username is given' },
)

const listenerTls = Type.Object(
  {
    certFile: path('PEM certificate chain that clients are shown; read again when it changes'),
    keyFile: path('PEM key of the certificate; read again when it changes'),
    clientCertificate: Type.Optional(
      Type.Unsafe<'none' | 'optional' | 'required'>({
        type: 'string',
        enum: ['none', 'optional', 'required'],
        description:
          'whether clients must show a certificate of `clientCaFile`; optional: one that is shown must be good. Default none',
      }),
    ),
    clientCaFile: Type.Optional(path('PEM bundle of the authorities of client certificates')),
  },
  { ...closed, description: 'TLS to the clients of a listener; absent: plain' },
)

const listener = Type.Object(
  {
    host: Type.Optional(host('address to bind; with `port`')),
    port: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65535, description: 'port to bind; 0 takes a free one' }),
    ),
    unixPath: Type.Optional(path('unix socket to bind, instead of host and port')),
    tls: Type.Optional(listenerTls),
    raw: Type.Optional(
      Type.Boolean({
        description:
          'bytes pass both ways between a client and the primary, unread: no command is held, routed or refused. Default false',
      }),
    ),
  },
  { ...closed, description: 'where clients connect' },
)

const member = Type.Object(
  {
    host: hostOrPath('name or address the sidecar connects to, or the path of its unix socket'),
    port: upstreamPort('port of the server; 0 with a unix socket'),
    role: Type.Unsafe<'primary' | 'replica' | 'unknown'>({
      type: 'string',
      enum: ['primary', 'replica', 'unknown'],
      description: 'what the control plane last saw it as',
    }),
    runId: Type.Optional(text('run_id of the server process, as INFO server reports it', 64)),
    zone: Type.Optional(text('where it runs; compared with `reads.zone`', 63)),
    name: Type.Optional(
      text('what the ring hashes in place of the address, so that a server may move', 253),
    ),
    weight: Type.Optional(
      count('share of the ring’s keys, relative to others. Default 1', 1, 1000),
    ),
  },
  { ...closed, description: 'a server of the backend' },
)

const primary = Type.Object(
  {
    host: hostOrPath('name, address or unix socket of the one server that may take writes'),
    port: upstreamPort('its port; 0 with a unix socket'),
    runId: Type.Optional(
      text(
        'run_id it must report at connect; absent: any process there that says it is a master',
        64,
      ),
    ),
  },
  { ...closed, description: 'absent while no server may take writes' },
)

const tls = Type.Object(
  {
    verify: Type.Boolean({ description: 'check the chain and the name of the server' }),
    caFile: Type.Optional(path('PEM bundle to trust instead of the public roots')),
    serverName: Type.Optional(host('name to expect in place of the host')),
    certFile: Type.Optional(path('PEM client certificate')),
    keyFile: Type.Optional(path('PEM key of the client certificate')),
  },
  { ...closed, description: 'TLS to the servers; absent: plain TCP' },
)

const sentinel = Type.Object(
  {
    name: text('name under which the Sentinels watch the primary', 128),
    members: Type.Array(
      Type.Object(
        { host: host('name or address of a Sentinel'), port: upstreamPort('its port') },
        closed,
      ),
      { minItems: 1, maxItems: 16 },
    ),
    credentials: Type.Optional(credentials),
    tls: Type.Optional(tls),
  },
  { ...closed, description: 'who says which server is the primary, with `discovery: sentinel`' },
)

const reads = Type.Object(
  {
    policy: Type.Unsafe<'allToPrimary' | 'readsToReplicas'>({
      type: 'string',
      enum: ['allToPrimary', 'readsToReplicas'],
      description: 'where commands go that only read',
    }),
    choose: Type.Optional(
      Type.Unsafe<'roundRobin' | 'zone' | 'latency'>({
        type: 'string',
        enum: ['roundRobin', 'zone', 'latency'],
        description:
          'roundRobin: all replicas that are fit, in turn; zone: those of `zone` as long as there are any; latency: those that answer about as fast as the fastest. Default roundRobin',
      }),
    ),
    zone: Type.Optional(text('where this sidecar runs', 63)),
    lagSecondsMax: Type.Optional(
      count('a replica that is further behind gets no reads. Default 10', 1, 86_400),
    ),
    lagBytesMax: Type.Optional(
      count(
        'the same in bytes of the replication stream. Default 16 MiB',
        1,
        Number.MAX_SAFE_INTEGER,
      ),
    ),
    readYourWrites: Type.Optional(
      Type.Boolean({
        description:
          'a client that has written reads from the primary until a replica has what it wrote. Default true',
      }),
    ),
  },
  { ...closed, description: 'read/write split; absent: everything goes to primaries' },
)

const retries = Type.Object(
  {
    maxRetries: count('times a command that a server did not run is sent again', 0, 100),
    retryDelayMs: millis('longest first delay; it doubles with each, with jitter', 1, 10_000),
  },
  {
    ...closed,
    description: 'redirects and refusals of servers that ran nothing. Default 16 and 10 ms',
  },
)

const cluster = Type.Object(
  {
    present: Type.Optional(
      Type.Unsafe<'server' | 'sidecar' | 'nodes'>({
        type: 'string',
        enum: ['server', 'sidecar', 'nodes'],
        description:
          'server: to clients it looks like one server without a cluster; sidecar: like a cluster of one node, itself; nodes: CLUSTER SLOTS and its kin show the nodes. Default server',
      }),
    ),
  },
  { ...closed, description: 'only with mode cluster' },
)

const ring = Type.Object(
  {
    hash: Type.Optional(
      Type.Unsafe<'fnv1a_64' | 'md5'>({
        type: 'string',
        enum: ['fnv1a_64', 'md5'],
        description:
          'how keys are hashed, by twemproxy’s names; its distribution is ketama in any case. Default fnv1a_64',
      }),
    ),
    hashTag: Type.Optional(
      Type.String({
        pattern: '^([!-~]{2})?$',
        description:
          'two characters: what stands between them is hashed; empty: always the whole key. Default {}',
      }),
    ),
    ejectAfter: Type.Optional(
      count(
        'failures in a row after which a server is taken out of the ring; absent: never',
        1,
        1000,
      ),
    ),
    ejectMs: Type.Optional(millis('how long it is out before it is tried. Default 30000', 100)),
  },
  { ...closed, description: 'only with mode ring' },
)

const upstream = Type.Object(
  {
    mode: Type.Unsafe<'standalone' | 'replication' | 'cluster' | 'ring'>({
      type: 'string',
      enum: ['standalone', 'replication', 'cluster', 'ring'],
      description:
        'standalone: one server; replication: one primary and its replicas; cluster: a Redis or Valkey Cluster, `members` are where it is asked; ring: independent servers that share the keys',
    }),
    discovery: Type.Unsafe<'operator' | 'self' | 'sentinel'>({
      type: 'string',
      enum: ['operator', 'self', 'sentinel'],
      description:
        'operator: `primary` is obeyed; self: the sidecar asks the members for their ROLE, or their slots, and follows (it never promotes); sentinel: it asks the Sentinels',
    }),
    members: Type.Array(member, { minItems: 1, maxItems: 64 }),
    sentinel: Type.Optional(sentinel),
    reads: Type.Optional(reads),
    retries: Type.Optional(retries),
    cluster: Type.Optional(cluster),
    ring: Type.Optional(ring),
    primary: Type.Optional(primary),
    credentials: Type.Optional(credentials),
    tls: Type.Optional(tls),
    connectionsMax: count('shared connections to the primary per process', 1, 64),
    isolation: Type.Optional(
      Type.Unsafe<'shared' | 'perClient'>({
        type: 'string',
        enum: ['shared', 'perClient'],
        description:
          'shared: clients share connections where nothing can tell; perClient: each has one of its own. Default shared',
      }),
    ),
  },
  { ...closed, description: 'the backend' },
)

const timing = Type.Object(
  {
    connectTimeoutMs: millis('longest wait for an upstream connection to be usable', 10, 60_000),
    holdTimeoutMs: millis(
      'longest time a command is held while no primary may take it',
      0,
      600_000,
    ),
    replyTimeoutMs: millis(
      'longest silence of an upstream that owes replies to non-blocking commands; 0: none',
    ),
    drainTimeoutMs: millis('longest wait for commands in flight at pause and at shutdown'),
    queueTimeoutMs: Type.Optional(
      millis(
        'longest time a command may wait, unsent, for a connected server that takes no more; then it gets an error. Default 5000',
      ),
    ),
    readTimeLimitMs: Type.Optional(
      millis(
        'longest time from a command to its reply, blocking ones too; the client of a longer one is closed. 0, the default: none',
      ),
    ),
    clientIdleTimeoutMs: Type.Optional(
      millis('a client that sends nothing for so long is closed; 0, the default: never'),
    ),
  },
  { ...closed, description: 'every timeout of the data path' },
)

const limits = Type.Object(
  {
    clientsMax: count('clients at once; the next gets an error and is closed', 1, 1_000_000),
    argumentBytesMax: count(
      'longest single argument; the server’s own bound is 512 MiB',
      1024,
      536_870_912,
    ),
    clientInFlightBytesMax: count(
      'bytes a client may have unanswered before it is read no further',
      4096,
      1 << 30,
    ),
    upstreamQueueBytesMax: count(
      'bytes that wait for an upstream before all clients are read no further',
      4096,
      1 << 30,
    ),
    clientOutputBytesMax: count(
      'reply bytes that a client may leave unread before it is paused',
      4096,
      1 << 30,
    ),
    upstreamQueueCommandsMax: Type.Optional(
      count('commands that wait for an upstream before new ones are refused', 1, 10_000_000),
    ),
    memoryBytesMax: Type.Optional(
      count(
        'resident memory of the process; near it the largest clients are closed, then new ones are refused',
        64 * 1024 * 1024,
        Number.MAX_SAFE_INTEGER,
      ),
    ),
  },
  { ...closed, description: 'hard bounds of the data path' },
)

const commandName = Type.String({
  pattern: '^(\\*|[a-z0-9._-]{1,64}(\\|[a-z0-9._-]{1,64})?)$',
  description: 'a command in lower case, `config|set` for a sub-command, `*` for every one',
})

const commandPolicy = Type.Object(
  {
    allow: Type.Optional(
      Type.Array(commandName, {
        maxItems: 512,
        description: 'let through although they are refused by default',
      }),
    ),
    deny: Type.Optional(
      Type.Array(commandName, {
        maxItems: 512,
        description: 'refused whatever else is said; the more exact name wins over the other list',
      }),
    ),
  },
  { ...closed, description: 'which commands clients may send; absent: the defaults' },
)

export const proxyConfigSchema = Type.Object(
  {
    apiVersion: Type.Literal('config.respmesh.io/v1'),
    proxy: Type.Object(
      {
        namespace: text('namespace of the RedisProxy', 63),
        name: text('name of the RedisProxy', 63),
        uid: text('uid of the RedisProxy: a recreated one starts its epochs anew', 64),
      },
      closed,
    ),
    version: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'rises with every configuration published for this uid',
    }),
    epoch: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'rises whenever the primary changes or is withdrawn; a lower one is refused',
    }),
    listeners: Type.Array(listener, { minItems: 1, maxItems: 8 }),
    admin: Type.Optional(
      Type.Object(
        {
          host: host('address of the admin HTTP port'),
          port: Type.Integer({ minimum: 0, maximum: 65535, description: '0 takes a free one' }),
          tls: Type.Optional(
            Type.Object(
              {
                certFile: path('PEM certificate chain; read again when it changes'),
                keyFile: path('PEM key of the certificate; read again when it changes'),
                clientCaFile: Type.Optional(
                  path('PEM bundle of the authorities whose clients may use the port'),
                ),
              },
              { ...closed, description: 'HTTPS; absent: HTTP' },
            ),
          ),
          users: Type.Optional(
            Type.Array(credentials, {
              minItems: 1,
              maxItems: 32,
              description:
                'who may change something, by HTTP basic authentication; absent: processes of the same machine or pod',
            }),
          ),
        },
        { ...closed, description: 'health, readiness, metrics, pause; absent: no admin port' },
      ),
    ),
    clientAuth: Type.Optional(
      Type.Object(
        { users: Type.Array(credentials, { minItems: 1, maxItems: 32 }) },
        { ...closed, description: 'who may connect; absent: anyone who can reach the listener' },
      ),
    ),
    commands: Type.Optional(commandPolicy),
    workers: Type.Optional(
      count('processes that share the clients; read at start only. Default 1', 1, 64),
    ),
    upstream,
    timing,
    limits,
    logLevel: Type.Unsafe<'error' | 'warn' | 'info' | 'debug'>({
      type: 'string',
      enum: ['error', 'warn', 'info', 'debug'],
    }),
  },
  {
    ...closed,
    $id: 'https://respmesh.io/schemas/proxy-config.json',
    title: 'ProxyConfig',
    description: 'the compiled configuration a sidecar obeys: an immutable, versioned snapshot',
  },
)
