/** `spec.backend`: the servers that a RedisProxy is in front of. Rules over several fields are in `rules.ts`. */
import { Type } from 'typebox'
import { closed, dnsName, duration, oneOf, port, secretName } from './fields.ts'

const endpoint = Type.Object(
  {
    host: Type.String({
      minLength: 1,
      maxLength: 253,
      description: 'name or address of the server',
    }),
    port: port('port of the server', { default: 6379 }),
    promotable: Type.Boolean({
      default: true,
      description: 'whether this server may become the primary, where the operator chooses it',
    }),
    zone: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description:
          'where it runs; default: what Kubernetes knows of the zone of its pod, if it is behind a headless Service of this namespace',
      }),
    ),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 253,
        description:
          'what the ring hashes in place of host:port, so that the server may move. Only in mode Ring',
      }),
    ),
    weight: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description:
          'share of the keys, relative to the other servers; default: 1. Only in mode Ring',
      }),
    ),
  },
  closed,
)

const tls = (description: string) =>
  Type.Object(
    {
      mode: oneOf(
        ['VerifyFull', 'SkipVerify'],
        'VerifyFull checks the chain and the name; SkipVerify encrypts only',
        'VerifyFull',
      ),
      caSecretRef: Type.Optional(secretName('Secret with key ca.crt to trust')),
      clientCertSecretRef: Type.Optional(secretName('Secret with keys tls.crt and tls.key')),
      serverName: Type.Optional(dnsName('name to expect in place of the host')),
    },
    { ...closed, description },
  )

const sentinel = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'name under which the Sentinels watch the primary',
    }),
    endpoints: Type.Array(
      Type.Object(
        {
          host: dnsName('name or address of a Sentinel'),
          port: port('its port', { default: 26_379 }),
        },
        closed,
      ),
      {
        minItems: 1,
        maxItems: 16,
        description: 'the Sentinels',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['host', 'port'],
      },
    ),
    auth: Type.Optional(
      Type.Object(
        {
          secretRef: secretName(
            'Secret with keys password and, optionally, username: for the Sentinels',
          ),
        },
        closed,
      ),
    ),
    tls: Type.Optional(tls('TLS to the Sentinels; absent: plain TCP')),
  },
  {
    ...closed,
    description:
      'Sentinels choose the primary and the operator never does. Only in mode Replication; absent: the operator chooses',
  },
)

const ring = Type.Object(
  {
    hash: oneOf(
      ['Fnv1a64', 'Md5'],
      'how keys are hashed, as twemproxy does with fnv1a_64 or md5 and distribution ketama',
      'Fnv1a64',
    ),
    hashTag: Type.String({
      pattern: '^([!-~]{2})?$',
      default: '{}',
      description:
        'two characters: of a key that has them, what stands between them is hashed; empty: always the whole key',
    }),
    ejectAfter: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description:
          'failures in a row after which a server is left out and the others share its keys; absent: never',
      }),
    ),
    ejectFor: duration('how long it is left out before it is tried again', '30s'),
  },
  { ...closed, description: 'how keys are shared among the servers. Only in mode Ring' },
)

export const backendSchema = Type.Object(
  {
    mode: oneOf(
      ['Standalone', 'Replication', 'Cluster', 'Ring'],
      'Standalone: one server; Replication: a primary and its replicas; Cluster: a Redis or Valkey Cluster, of which some nodes are listed; Ring: independent servers that share the keys',
      'Replication',
    ),
    endpoints: Type.Array(endpoint, {
      minItems: 1,
      maxItems: 64,
      description: 'the servers, primary and replicas alike; an existing arrangement is honoured',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['host', 'port'],
    }),
    sentinel: Type.Optional(sentinel),
    ring: Type.Optional(ring),
    auth: Type.Optional(
      Type.Object(
        {
          secretRef: Type.Optional(
            secretName(
              'Secret with keys password and, optionally, username: the applications’ traffic',
            ),
          ),
          adminSecretRef: Type.Optional(
            secretName('the same for the operator; it never reaches a sidecar. Default: secretRef'),
          ),
        },
        closed,
      ),
    ),
    tls: Type.Optional(tls('TLS to the servers; absent: plain TCP')),
  },
  { ...closed, description: 'an existing backend; respmesh never creates or deletes servers' },
)
