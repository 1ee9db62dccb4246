/** What the status records of failovers and planned changes: enough for another leader to go on from. */
import { Type } from 'typebox'
import { closed, oneOf, time } from './fields.ts'

/** In the order in which a failover goes through them, after those in which there is none. */
export const phases = [
  'Waiting',
  'Steady',
  'Stalled',
  'Suspect',
  'Fencing',
  'Selecting',
  'Promoting',
  'Switching',
  'Publishing',
  'Rejoining',
] as const

const proof = oneOf(
  [
    'ServerDemoted',
    'ProcessDead',
    'ServerSelfFenced',
    'ProxiesAcked',
    'GrantExpired',
    'HandedOver',
    'Unfenced',
  ],
  'why nobody could write to the old primary any more; Unfenced: it was not known',
)

const bytes = (description: string) => Type.Integer({ minimum: 0, format: 'int64', description })

export const intent = Type.Object(
  {
    kind: oneOf(['Failover', 'Bootstrap', 'Rebless', 'Switchover'], 'what is being done'),
    from: Type.Optional(
      Type.String({ maxLength: 300, description: 'address of the primary that is replaced' }),
    ),
    fromRunId: Type.Optional(Type.String({ maxLength: 64 })),
    fromHost: Type.Optional(
      Type.String({ maxLength: 253, description: 'where that process was met' }),
    ),
    fromSince: Type.Optional(time('since when it had been the primary')),
    fromReplId: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'replication history that a candidate must share',
      }),
    ),
    fromOffset: Type.Optional(bytes('how far the lost primary was last seen to be')),
    fromKeys: Type.Optional(bytes('keys it was last seen to have')),
    waitReplicas: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        description: 'replicas that had every acknowledged write of the epoch',
      }),
    ),
    grantTtlMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'how long sidecars of the epoch may go on by themselves',
      }),
    ),
    minReplicas: Type.Optional(
      Type.Boolean({ description: 'the lost process stops taking writes when its replicas go' }),
    ),
    target: Type.Optional(
      Type.String({ maxLength: 300, description: 'recorded before the target is touched' }),
    ),
    targetRunId: Type.Optional(
      Type.String({ maxLength: 64, description: 'the process that was chosen, and no other' }),
    ),
    proof: Type.Optional(proof),
    operation: Type.Optional(
      Type.String({ maxLength: 253, description: 'the RedisProxyOperation that asked for it' }),
    ),
    reason: Type.String({ maxLength: 256 }),
    startedAt: time('when it was recorded'),
  },
  {
    ...closed,
    description: 'recorded before anything irreversible, so that another leader can finish it',
  },
)

export const lastFailover = Type.Object(
  {
    kind: Type.Optional(oneOf(['Failover', 'Rebless', 'Switchover'], 'what was done')),
    reason: Type.String({ maxLength: 256 }),
    from: Type.Optional(Type.String({ maxLength: 300 })),
    fromRunId: Type.Optional(Type.String({ maxLength: 64 })),
    fromReplId: Type.Optional(Type.String({ maxLength: 64 })),
    to: Type.String({ maxLength: 300 }),
    epoch: Type.Integer({ minimum: 0 }),
    proof: Type.Optional(proof),
    detectedAt: time('when the primary was taken for down, or the change began'),
    completedAt: time('when the new primary was published'),
    durationMs: Type.Integer({ minimum: 0 }),
    branchOffset: Type.Optional(
      bytes('where the new primary’s history branched off from that of the old one'),
    ),
    lostBytes: Type.Optional(
      bytes(
        'bytes of the old primary’s history that the new one did not have; known once it returned',
      ),
    ),
    lostUnknown: Type.Optional(
      Type.String({ maxLength: 256, description: 'why lostBytes will never be known' }),
    ),
  },
  closed,
)

/** Of the recorded primary, each recorded when it was seen to be in force and taken out before it is undone. */
export const guards = Type.Object(
  {
    replicationUser: Type.Optional(
      Type.String({ maxLength: 64, description: 'as whom its replicas log in' }),
    ),
    minReplicasRunId: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'process that takes writes only as long as a replica is attached',
      }),
    ),
    waitReplicas: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 64,
        description: 'fewest replicas that had an acknowledged write since the epoch began',
      }),
    ),
    grantTtlMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'every sidecar stops this long after it last heard that it may go on',
      }),
    ),
  },
  { ...closed, description: 'what protects the data at present' },
)

export const operation = Type.Object(
  {
    name: Type.String({ maxLength: 253, description: 'of the RedisProxyOperation' }),
    phase: oneOf(['Running', 'Succeeded', 'Failed'], 'how far it came'),
    message: Type.String({ maxLength: 1024 }),
    startedAt: time('when it was begun'),
    endedAt: Type.Optional(time('when it ended')),
  },
  { ...closed, description: 'the last operation that someone asked for' },
)
