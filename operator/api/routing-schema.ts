/** The part of `spec.proxy` that says where commands go and how a backend of several servers is shown. */
import { Type } from 'typebox'
import { closed, duration, oneOf } from './fields.ts'
import { quantityPattern } from './quantity.ts'

export const readsSchema = Type.Object(
  {
    policy: oneOf(
      ['AllToPrimary', 'ReadsToReplicas'],
      'where commands go that only read',
      'ReadsToReplicas',
    ),
    choose: oneOf(
      ['RoundRobin', 'Zone', 'Latency'],
      'RoundRobin: all fit replicas in turn; Zone: those of the sidecar’s zone as long as there are any; Latency: those that answer about as fast as the fastest',
      'RoundRobin',
    ),
    zone: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'where the sidecars run; default: the zone of each one’s node',
      }),
    ),
    lagMax: duration('a replica that is further behind gets no reads', '10s'),
    lagBytesMax: Type.String({
      default: '16Mi',
      maxLength: 32,
      pattern: quantityPattern,
      description: 'the same in bytes of the replication stream, e.g. 1Mi',
    }),
    readYourWrites: Type.Boolean({
      default: true,
      description:
        'a client that has written reads from the primary until a replica has what it wrote',
    }),
  },
  {
    ...closed,
    description: 'reads from replicas, in the modes Replication and Cluster; absent: none',
  },
)

export const writesSchema = Type.Object(
  {
    waitReplicas: Type.Integer({
      minimum: 1,
      maximum: 64,
      default: 1,
      description:
        'replicas that must have a write before its client hears of it; a failover then needs so many answers that none of these writes is lost',
    }),
    waitTimeout: duration(
      'how long they are waited for; then the client is told that its write is not confirmed',
      '1s',
    ),
  },
  {
    ...closed,
    description:
      'guarantee for acknowledged writes, in mode Replication; absent: they are acknowledged when the primary has run them',
  },
)

export const retriesSchema = Type.Object(
  {
    max: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 16,
      description: 'times a command that a server did not run is sent again',
    }),
    delay: duration('longest first delay; it doubles with each, with jitter', '10ms'),
  },
  {
    ...closed,
    description: 'redirects and refusals of servers that ran nothing; absent: the defaults',
  },
)

export const clusterSchema = Type.Object(
  {
    present: oneOf(
      ['Server', 'Sidecar', 'Nodes'],
      'Server: clients see one server without a cluster; Sidecar: a cluster of one node, the sidecar; Nodes: CLUSTER SLOTS and its kin show the nodes',
      'Server',
    ),
  },
  { ...closed, description: 'what clients see of a backend of mode Cluster' },
)
