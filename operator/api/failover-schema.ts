/** `spec.failover`: when and how the operator replaces a primary. Rules over several fields are in `rules.ts`. */
import { Type } from 'typebox'
import { closed, duration, oneOf } from './fields.ts'
import { quantityPattern } from './quantity.ts'

const commandName = (standard: string) =>
  Type.Optional(
    Type.String({
      pattern: '^[!-~]{1,64}$',
      description: `what ${standard} was renamed to on the servers`,
    }),
  )

const guards = Type.Object(
  {
    replicationUsers: oneOf(
      ['Auto', 'Disabled'],
      'Auto: replicas log in at the primary as a user that lives as long as its process, so that a primary that comes back empty cannot overwrite them; Disabled: credentials of the servers are not touched',
      'Auto',
    ),
    minReplicas: oneOf(
      ['Disabled', 'Adaptive'],
      'Adaptive: min-replicas-to-write is 1 as long as a replica is attached, so that a primary that is cut off stops taking writes by itself; the last replica that goes away unannounced stops writes until the operator sees it. Disabled: the setting of the servers is not touched',
      'Disabled',
    ),
  },
  {
    ...closed,
    description: 'what is set up on the servers while they are well',
    default: { replicationUsers: 'Auto', minReplicas: 'Disabled' },
  },
)

const commands = Type.Object(
  {
    replicaof: commandName('REPLICAOF or SLAVEOF'),
    config: commandName('CONFIG'),
    acl: commandName('ACL'),
    client: commandName('CLIENT'),
  },
  { ...closed, description: 'commands that were renamed on the servers; absent: none' },
)

const maxLoss = Type.Object(
  {
    bytes: Type.String({
      pattern: quantityPattern,
      maxLength: 32,
      description:
        'a replica that is further behind what the lost primary was last seen to have is not promoted; e.g. 0, 64Ki',
    }),
  },
  {
    ...closed,
    description: 'how much may be lost in a failover; absent: what the best replica lacks',
  },
)

const defaults = {
  policy: 'Automatic',
  downAfter: '3s',
  confirmations: 1,
  unfencedPromotion: 'Never',
  fenceTimeout: '30s',
  prefer: 'Offset',
  minDatasetPercent: 50,
  parallelSyncs: 1,
  divergedPrimary: 'Rejoin',
  operatorAway: 'Continue',
  grantTtl: '3s',
  switchoverTimeout: '5s',
  guards: { replicationUsers: 'Auto', minReplicas: 'Disabled' },
} as const

export const failoverSchema = Type.Object(
  {
    policy: oneOf(
      ['Automatic', 'Observe'],
      'Automatic promotes when the primary is down; Observe only reports. With a Sentinel and in the modes Cluster and Ring the operator never promotes',
      defaults.policy,
    ),
    downAfter: duration(
      'how long a primary is unreachable before it is taken for down',
      defaults.downAfter,
    ),
    confirmations: Type.Integer({
      minimum: 0,
      maximum: 64,
      default: defaults.confirmations,
      description:
        'how many others (replicas, sidecars, Kubernetes) must have lost the primary too, as far as there are so many that can tell',
    }),
    unfencedPromotion: oneOf(
      ['Never', 'AfterFenceTimeout'],
      'AfterFenceTimeout: promotes without proof that nobody can write to the old primary any more; writes to it are lost then',
      defaults.unfencedPromotion,
    ),
    fenceTimeout: duration(
      'how long a proof is waited for before unfencedPromotion applies',
      defaults.fenceTimeout,
    ),
    prefer: oneOf(
      ['Offset', 'Priority'],
      'Offset: the replica that has most is promoted; Priority: the one with the lowest replica-priority, and what it lacks is lost',
      defaults.prefer,
    ),
    maxLoss: Type.Optional(maxLoss),
    minDatasetPercent: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: defaults.minDatasetPercent,
      description:
        'a replica with fewer of the keys that the lost primary was last seen to have is not promoted',
    }),
    parallelSyncs: Type.Integer({
      minimum: 1,
      maximum: 64,
      default: defaults.parallelSyncs,
      description: 'replicas that are pointed at a new primary at the same time',
    }),
    divergedPrimary: oneOf(
      ['Rejoin', 'Quarantine'],
      'what becomes of an old primary that has writes the new one lacks. Rejoin: they are counted and it becomes a replica; Quarantine: it is kept as it is, taking no writes',
      defaults.divergedPrimary,
    ),
    operatorAway: oneOf(
      ['Continue', 'StopWrites'],
      'what a sidecar does that does not hear from the operator. Continue: it goes on; StopWrites: it stops after grantTtl, and a failover need not wait for sidecars that cannot be reached',
      defaults.operatorAway,
    ),
    grantTtl: duration(
      'how long a sidecar may go on without the operator, with operatorAway: StopWrites',
      defaults.grantTtl,
    ),
    switchoverTimeout: duration(
      'how long clients may be held for a planned change of the primary before it is called off',
      defaults.switchoverTimeout,
    ),
    guards,
    commands: Type.Optional(commands),
  },
  { ...closed, default: defaults },
)
