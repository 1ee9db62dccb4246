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

const upstream = Type.Object(
  {
    mode: Type.Unsafe<'standalone' | 'replication'>({
      type: 'string',
      enum: ['standalone', 'replication'],
      description: 'standalone: one server; replication: one primary and its replicas',
    }),
    discovery: Type.Unsafe<'operator' | 'self'>({
      type: 'string',
      enum: ['operator', 'self'],
      description:
        'operator: `primary` is obeyed; self: the sidecar asks the members for their ROLE and follows (it never promotes)',
    }),
    members: Type.Array(member, { minItems: 1, maxItems: 64 }),
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
      count('threads that share the listeners; read at start only. Default 1', 1, 64),
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
