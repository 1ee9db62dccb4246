/** The part of the contract that says what stands behind a sidecar. */
import { Type } from 'typebox'
import {
  closed,
  count,
  credentials,
  host,
  hostOrPath,
  millis,
  path,
  text,
  upstreamPort,
} from './schema-types.ts'

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

const writes = Type.Object(
  {
    waitReplicas: count('replicas that must have a write before its client hears of it', 1, 64),
    waitTimeoutMs: millis(
      'longest wait for them; then the client is told that its write is not confirmed',
      1,
      60_000,
    ),
  },
  {
    ...closed,
    description:
      'replies to writes wait for replicas; absent: they come when the primary has run them',
  },
)

const handover = Type.Object(
  {
    drainMs: millis(
      'how long what was sent may still be answered before connections are closed; the configuration is acknowledged after that',
      0,
      60_000,
    ),
    next: Type.Optional(
      Type.Object(
        {
          host: host('server that is to be the primary'),
          port: Type.Integer({ minimum: 1, maximum: 65535 }),
          runId: text('its process', 64),
        },
        { ...closed, description: 'connected to ahead, and sent nothing until it is the primary' },
      ),
    ),
  },
  { ...closed, description: 'only without `primary`: a planned change of it is under way' },
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

export const upstream = Type.Object(
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
    handover: Type.Optional(handover),
    grantTtlMs: Type.Optional(
      millis(
        'writes and reads go to the primary only for so long after the control plane last said that they may; absent: until it says otherwise',
        100,
        600_000,
      ),
    ),
    writes: Type.Optional(writes),
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
