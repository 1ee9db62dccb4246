/**
 * The one source of the `RedisProxyOperation` resource: something that is to be done once, by whom and how it went. The
 * CRD and the validator are generated from it; rules over several fields are in `operation-rules.ts`.
 */
import { Type } from 'typebox'
import { closed, oneOf, time } from './fields.ts'
import { group, version } from './schema.ts'

export const operationKind = 'RedisProxyOperation'
export const operationPlural = 'redisproxyoperations'

/** As the names of RedisProxies are. */
export const proxyNamePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
const proxyNameLengthMax = 40

export const operationSpecSchema = Type.Object(
  {
    kind: oneOf(
      ['Switchover', 'Promote'],
      'Switchover: a planned change of the primary, that loses nothing or does not happen. Promote: in a failover that waits, the server `to` becomes the primary although what `accept` names is missing',
    ),
    proxy: Type.String({
      minLength: 1,
      maxLength: proxyNameLengthMax,
      pattern: proxyNamePattern,
      description: 'name of the RedisProxy in the same namespace',
    }),
    to: Type.Optional(
      Type.String({
        minLength: 3,
        maxLength: 300,
        pattern: '^[A-Za-z0-9._:-]+:[0-9]{1,5}$',
        description:
          'host:port of the next primary, as spec.backend.endpoints has it; absent: the replica that fits best',
      }),
    ),
    accept: Type.Array(
      oneOf(
        ['NoProof', 'DataLoss'],
        'NoProof: it is not known whether the old primary still takes writes, and what it takes is lost; DataLoss: whatever data the server has',
      ),
      {
        default: [],
        maxItems: 2,
        uniqueItems: true,
        description: 'what may be missing; of Promote only',
        'x-kubernetes-list-type': 'set',
      },
    ),
  },
  { ...closed, description: 'what is to be done; cannot be changed' },
)

export const operationStatusSchema = Type.Object(
  {
    phase: Type.Optional(oneOf(['Pending', 'Running', 'Succeeded', 'Failed'], 'how far it came')),
    message: Type.Optional(
      Type.String({ maxLength: 1024, description: 'what it waits for, does, did, or why not' }),
    ),
    startedAt: Type.Optional(time('when it was begun')),
    endedAt: Type.Optional(time('when it ended')),
    observedGeneration: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { ...closed, description: 'how it goes; written by the operator only' },
)

/** A manifest as users write it, before defaults. */
export const operationManifestSchema = Type.Object(
  {
    apiVersion: Type.Literal(`${group}/${version}`),
    kind: Type.Literal(operationKind),
    metadata: Type.Object({
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
      generateName: Type.Optional(Type.String({ minLength: 1, maxLength: 195 })),
      namespace: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    }),
    spec: operationSpecSchema,
  },
  { $id: 'https://respmesh.io/schemas/redis-proxy-operation.json', title: operationKind },
)
