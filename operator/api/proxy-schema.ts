/** `spec.proxy`: what the sidecars of a RedisProxy are like. Rules over several fields are in `rules.ts`. */
import { Type } from 'typebox'
import { closed, duration, oneOf, port, secretName } from './fields.ts'
import { quantityPattern } from './quantity.ts'
import { clusterSchema, readsSchema, retriesSchema, writesSchema } from './routing-schema.ts'

/** The socket’s name in its directory; with the longest directory it fits what kernels take as an address. */
export const socketName = 'redis.sock'
const socketDirectoryLengthMax = 90
const commandsMax = 256
/** A name, a bar and a sub-command. */
const commandLengthMax = 129

const resourceMap = (description: string) =>
  Type.Record(
    Type.String(),
    Type.String({ maxLength: 32, pattern: quantityPattern, description: 'e.g. 25m, 64Mi' }),
    { description, maxProperties: 8 },
  )

const tls = Type.Object(
  {
    secretRef: secretName('Secret with keys tls.crt and tls.key: what clients are shown'),
    port: port('port of the TLS listener; the plain one stays unless its port is 0', {
      default: 16389,
    }),
    clientCertificate: oneOf(
      ['None', 'Optional', 'Required'],
      'whether clients must show a certificate; Optional: one that is shown must be good',
      'None',
    ),
    clientCaSecretRef: Type.Optional(
      secretName('Secret with key ca.crt: the authorities of client certificates'),
    ),
  },
  { ...closed, description: 'a TLS listener; absent: none' },
)

const unixSocket = Type.Object(
  {
    directory: Type.String({
      default: '/run/respmesh',
      minLength: 2,
      maxLength: socketDirectoryLengthMax,
      pattern: '^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$',
      description: `where every container of the pod finds the socket ${socketName}`,
    }),
  },
  {
    ...closed,
    description: 'a unix socket in a volume that the pod’s containers share; absent: none',
  },
)

const commandList = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: commandLengthMax }), {
    default: [],
    maxItems: commandsMax,
    uniqueItems: true,
    description,
    'x-kubernetes-list-type': 'set',
  })

const commands = Type.Object(
  {
    allow: commandList(
      'commands that are refused by default and let through here: debug, config|set; * is every one',
    ),
    deny: commandList(
      'commands that are refused here; the more exact name wins over the other list',
    ),
  },
  { ...closed, description: 'which commands clients may send; absent: all but the harmful ones' },
)

const admin = Type.Object(
  {
    auth: Type.Optional(
      Type.Object(
        {
          secretRef: secretName(
            'Secret with keys password and, optionally, username: who may change something through the admin port, by HTTP basic authentication',
          ),
        },
        { ...closed, description: 'absent: processes of the same pod, without a password' },
      ),
    ),
    tls: Type.Optional(
      Type.Object(
        { secretRef: secretName('Secret with keys tls.crt and tls.key') },
        { ...closed, description: 'HTTPS on the admin port; absent: HTTP' },
      ),
    ),
  },
  { ...closed, description: 'the admin port: who may use it, and how' },
)

/** The values that are in force where the spec says nothing. */
const defaults = {
  address: '127.0.0.1',
  port: 16379,
  adminPort: 16380,
  isolation: 'Shared',
  holdTimeout: '5s',
  queueTimeout: '5s',
  clientIdleTimeout: '0s',
  readTimeLimit: '0s',
  connectionsMax: 1,
  clientsMax: 10_000,
  workers: 1,
  logLevel: 'info',
} as const

export const proxySchema = Type.Object(
  {
    image: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'image of the sidecar; default: the operator’s own',
      }),
    ),
    address: Type.String({
      default: defaults.address,
      minLength: 1,
      maxLength: 45,
      description: 'address the sidecar listens on, in the pod',
    }),
    port: Type.Integer({
      minimum: 0,
      maximum: 65535,
      default: defaults.port,
      description: 'port the app connects to; 0: none, where tls or unixSocket is there instead',
    }),
    adminPort: port('port of health, metrics and pause', { default: defaults.adminPort }),
    admin: Type.Optional(admin),
    rawPort: Type.Optional(
      port(
        'port at which bytes pass to the primary and back unread: nothing is held, routed or refused; absent: none',
      ),
    ),
    tls: Type.Optional(tls),
    unixSocket: Type.Optional(unixSocket),
    auth: Type.Optional(
      Type.Object(
        {
          secretRef: secretName(
            'Secret with keys password and, optionally, username that clients must give',
          ),
        },
        { ...closed, description: 'absent: whoever reaches the port is served' },
      ),
    ),
    commands: Type.Optional(commands),
    reads: Type.Optional(readsSchema),
    writes: Type.Optional(writesSchema),
    retries: Type.Optional(retriesSchema),
    cluster: Type.Optional(clusterSchema),
    isolation: oneOf(
      ['Shared', 'PerClient'],
      'Shared: clients share connections to the primary where nothing can tell; PerClient: each has one of its own',
      defaults.isolation,
    ),
    holdTimeout: duration('how long commands wait while there is no primary', defaults.holdTimeout),
    queueTimeout: duration(
      'how long a command waits, unsent, for a primary that takes no more',
      defaults.queueTimeout,
    ),
    clientIdleTimeout: duration(
      'a client that is silent so long is closed; 0s: never',
      defaults.clientIdleTimeout,
    ),
    readTimeLimit: duration(
      'longest time from a command to its reply, blocking ones too; the client of a longer one is closed; 0s: none',
      defaults.readTimeLimit,
    ),
    connectionsMax: Type.Integer({
      minimum: 1,
      maximum: 64,
      default: defaults.connectionsMax,
      description: 'shared connections to the primary per worker',
    }),
    clientsMax: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: defaults.clientsMax,
      description: 'clients at once per sidecar',
    }),
    workers: Type.Integer({
      minimum: 1,
      maximum: 64,
      default: defaults.workers,
      description: 'processes of a sidecar that share the listeners; read when it starts',
    }),
    logLevel: oneOf(
      ['error', 'warn', 'info', 'debug'],
      'how much the sidecar logs',
      defaults.logLevel,
    ),
    resources: Type.Optional(
      Type.Object(
        {
          requests: Type.Optional(resourceMap('as in a container')),
          limits: Type.Optional(
            resourceMap('as in a container; a sidecar sheds clients before it reaches the memory'),
          ),
        },
        {
          ...closed,
          description:
            'default: requests 25m cpu and 64Mi, limit 192Mi memory; with several workers 64Mi and 128Mi for each and one more',
        },
      ),
    ),
  },
  { ...closed, default: { ...defaults } },
)
