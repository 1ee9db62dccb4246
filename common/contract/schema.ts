/**
 * The one source of the contract between control plane and sidecar: the JSON Schema of `ProxyConfig`.
 *
 * `npm run generate` turns it into a standalone validator (`generated/`), so that neither a sidecar nor
 * its bundle carries a schema library; types are derived from it in `proxy-config.ts`.
 */
import { Type } from 'typebox'
import { closed, count, credentials, host, millis, path, text } from './schema-types.ts'
import { upstream } from './upstream-schema.ts'

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
                'who may use the port, by HTTP basic authentication; health and metrics are open to all. Absent: anyone may read, and processes of the same machine or pod may change something',
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
