/**
 * The one source of the `RedisProxy` resource: `npm run generate` makes the CRD (`crds/`, the chart) and the
 * validator for local files from it. Fields that need more than one field to judge have a rule in `rules.ts`.
 */
import { Type } from 'typebox'
import { failoversKeptMax } from '../../common/limits.ts'
import { backendSchema } from './backend-schema.ts'
import { failoverSchema } from './failover-schema.ts'
import { closed, oneOf, time } from './fields.ts'
import { guards, intent, lastFailover, operation, phases } from './failover-status.ts'
import { proxySchema } from './proxy-schema.ts'

export const group = 'respmesh.io'
export const version = 'v1alpha1'
export const kind = 'RedisProxy'
export const plural = 'redisproxies'

export const specSchema = Type.Object(
  {
    suspend: Type.Boolean({
      default: false,
      description: 'stop acting on servers, keep serving and reporting',
    }),
    backend: backendSchema,
    failover: failoverSchema,
    proxy: proxySchema,
  },
  { ...closed, description: 'what is wanted' },
)

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
    host: Type.Optional(
      Type.String({ maxLength: 253, description: 'where the process was met, if not by its name' }),
    ),
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
      ['Online', 'Loading', 'Syncing', 'Unreachable', 'Stray', 'Quarantined'],
      'Stray: a master that is not the primary; Quarantined: a former primary whose data went another way, kept as it is',
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

export const statusSchema = Type.Object(
  {
    observedGeneration: Type.Optional(Type.Integer({ minimum: 0 })),
    epoch: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'rises with every change of the primary; never goes back',
      }),
    ),
    phase: Type.Optional(oneOf(phases, 'state of the failover machine')),
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
    guards: Type.Optional(guards),
    lastFailover: Type.Optional(lastFailover),
    failovers: Type.Optional(
      Type.Array(lastFailover, {
        maxItems: failoversKeptMax,
        description: 'those before the last, newest first',
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    operation: Type.Optional(operation),
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
