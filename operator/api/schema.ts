/**
 * The one source of the `RedisProxy` resource: `npm run generate` makes the CRD (`crds/`, the chart) and the
 * validator for local files from it. Fields that need more than one field to judge have a rule in `rules.ts`.
 */
import { Type } from 'typebox'
import { backendSchema } from './backend-schema.ts'
import { closed, duration, oneOf } from './fields.ts'
import { proxySchema } from './proxy-schema.ts'

export const group = 'respmesh.io'
export const version = 'v1alpha1'
export const kind = 'RedisProxy'
export const plural = 'redisproxies'

const failover = Type.Object(
  {
    policy: oneOf(
      ['Automatic', 'Observe'],
      'Automatic promotes when the primary is down; Observe only reports. With a Sentinel and in the modes Cluster and Ring the operator never promotes',
      'Automatic',
    ),
    downAfter: duration('how long a primary is unreachable before it is taken for down', '3s'),
  },
  { ...closed, default: { policy: 'Automatic', downAfter: '3s' } },
)

export const specSchema = Type.Object(
  {
    suspend: Type.Boolean({
      default: false,
      description: 'stop acting on servers, keep serving and reporting',
    }),
    backend: backendSchema,
    failover,
    proxy: proxySchema,
  },
  { ...closed, description: 'what is wanted' },
)

const time = (description: string) => Type.String({ description, maxLength: 40 })

const condition = Type.Object(
  {
    type: Type.String({ maxLength: 316 }),
    status: oneOf(['True', 'False', 'Unknown'], 'state'),
    reason: Type.String({ minLength: 1, maxLength: 1024 }),
    message: Type.String({ maxLength: 32768 }),
    lastTransitionTime: time('when the status last changed'),
    observedGeneration: Type.Integer({ minimum: 0 }),
  },
  closed,
)

const serverStatus = Type.Object(
  {
    address: Type.String({ maxLength: 300, description: 'host:port as in the spec' }),
    runId: Type.String({ maxLength: 64 }),
    replId: Type.String({ maxLength: 64 }),
    since: time('since when it is the primary'),
  },
  {
    ...closed,
    description: 'the one server that may take proxied writes; absent while there is none',
  },
)

const member = Type.Object(
  {
    address: Type.String({ maxLength: 300 }),
    role: oneOf(['primary', 'replica', 'unknown'], 'what it says it is'),
    state: oneOf(
      ['Online', 'Loading', 'Syncing', 'Unreachable', 'Stray'],
      'Stray: a master that is not the primary',
    ),
    runId: Type.Optional(Type.String({ maxLength: 64 })),
    offset: Type.Optional(Type.Integer({ minimum: 0, format: 'int64' })),
    lagBytes: Type.Optional(Type.Integer({ minimum: 0, format: 'int64' })),
    joined: Type.Optional(
      Type.Boolean({
        description:
          'it has been the primary or an attached replica of this set, so its data may be replaced by the primary’s',
      }),
    ),
    message: Type.Optional(Type.String({ maxLength: 1024 })),
  },
  closed,
)

const topology = Type.Object(
  {
    servers: Type.String({
      maxLength: 32,
      description: 'listed servers that answer/listed servers',
    }),
    shards: Type.Optional(
      Type.Integer({ minimum: 0, description: 'parts of the keys, each with a primary' }),
    ),
    slots: Type.Optional(
      Type.String({ maxLength: 32, description: 'hash slots that are served/all; of a cluster' }),
    ),
    primary: Type.Optional(
      Type.String({
        maxLength: 300,
        description:
          'address of the recorded primary; with Sentinels, of the listed server that says it is one',
      }),
    ),
  },
  {
    ...closed,
    description: 'the backend in short, as the operator sees it',
  },
)

const intent = Type.Object(
  {
    kind: oneOf(['Failover', 'Bootstrap', 'Rebless'], 'what is being done'),
    from: Type.Optional(
      Type.String({ maxLength: 300, description: 'address of the primary that is replaced' }),
    ),
    fromRunId: Type.Optional(Type.String({ maxLength: 64 })),
    fromReplId: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'replication history that a candidate must share',
      }),
    ),
    target: Type.Optional(
      Type.String({ maxLength: 300, description: 'recorded before the target is touched' }),
    ),
    targetRunId: Type.Optional(
      Type.String({ maxLength: 64, description: 'the process that was chosen, and no other' }),
    ),
    reason: Type.String({ maxLength: 256 }),
    startedAt: time('when it was recorded'),
  },
  {
    ...closed,
    description: 'recorded before anything irreversible, so that another leader can finish it',
  },
)

const lastFailover = Type.Object(
  {
    reason: Type.String({ maxLength: 256 }),
    from: Type.Optional(Type.String({ maxLength: 300 })),
    to: Type.String({ maxLength: 300 }),
    epoch: Type.Integer({ minimum: 0 }),
    detectedAt: time('when the primary was taken for down'),
    completedAt: time('when the new primary was published'),
    durationMs: Type.Integer({ minimum: 0 }),
    lostBytes: Type.Optional(
      Type.Integer({
        minimum: 0,
        format: 'int64',
        description:
          'bytes of the old primary’s history that the new one did not have; known once it returned',
      }),
    ),
  },
  closed,
)

export const statusSchema = Type.Object(
  {
    observedGeneration: Type.Optional(Type.Integer({ minimum: 0 })),
    epoch: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'rises with every change of the primary; never goes back',
      }),
    ),
    phase: Type.Optional(
      oneOf(
        ['Waiting', 'Steady', 'Fencing', 'Promoting', 'Stalled'],
        'state of the failover machine',
      ),
    ),
    intent: Type.Optional(intent),
    primary: Type.Optional(serverStatus),
    members: Type.Optional(
      Type.Array(member, {
        maxItems: 64,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['address'],
      }),
    ),
    topology: Type.Optional(topology),
    sidecars: Type.Optional(
      Type.Object(
        {
          connected: Type.Integer({ minimum: 0 }),
          current: Type.Integer({ minimum: 0 }),
          summary: Type.String({ maxLength: 32, description: 'current/connected' }),
        },
        closed,
      ),
    ),
    lastFailover: Type.Optional(lastFailover),
    conditions: Type.Optional(
      Type.Array(condition, {
        maxItems: 16,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
    ),
  },
  { ...closed, description: 'what was observed and decided; written by the operator only' },
)

/** A manifest as users write it, before defaults. */
export const manifestSchema = Type.Object(
  {
    apiVersion: Type.Literal(`${group}/${version}`),
    kind: Type.Literal(kind),
    metadata: Type.Object({
      name: Type.String({
        minLength: 1,
        maxLength: 40,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      }),
      namespace: Type.Optional(
        Type.String({ minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' }),
      ),
    }),
    spec: specSchema,
  },
  { $id: 'https://respmesh.io/schemas/redis-proxy.json', title: 'RedisProxy' },
)
