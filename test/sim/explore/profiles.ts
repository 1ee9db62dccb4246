/** Which worlds are explored, drawn by the seed. */
import type { Random } from '../random.ts'
import type { FaultName, Profile } from './types.ts'

type Faults = Readonly<Partial<Record<FaultName, number>>>

const crashes: Faults = { crash: 3, bounce: 2, crashOperator: 2, crashSidecar: 1, dropStream: 1 }
const losses: Faults = { crashEmpty: 2, crashOlder: 2, bounceEmpty: 2 }
const partitions: Faults = {
  cutPair: 3,
  cutOneWay: 3,
  isolate: 4,
  isolateOperator: 1,
  cutApi: 1,
  mend: 2,
  dropStream: 1,
}
const suspensions: Faults = { suspendServer: 3, suspendSidecar: 2, suspendOperator: 2 }
const people: Faults = { switchover: 4 }

interface Draft {
  readonly name: string
  readonly faults: Faults
  readonly failover?: string
  readonly change?: Partial<Profile>
}

const drafts: readonly Draft[] = [
  { name: 'crashes', faults: crashes },
  { name: 'losses', faults: { ...crashes, ...losses }, change: { lossesMax: 1 } },
  { name: 'partitions', faults: { ...crashes, ...partitions } },
  { name: 'suspensions', faults: { ...crashes, ...suspensions } },
  { name: 'everything', faults: { ...crashes, ...partitions, ...suspensions, wallJump: 1 } },
  {
    name: 'two operators',
    faults: { ...crashes, ...partitions, suspendOperator: 2, wallJump: 1 },
    change: { operators: 2, steps: 160 },
  },
  {
    name: 'grants',
    faults: { ...partitions, ...suspensions, crash: 1, crashOperator: 1, crashSidecar: 1 },
    failover: 'operatorAway: StopWrites, grantTtl: 2s',
    change: { hasDrift: true, steps: 140 },
  },
  {
    name: 'grants, two operators',
    faults: { ...partitions, cutApi: 4, crashOperator: 1, suspendSidecar: 1, suspendOperator: 1 },
    failover: 'operatorAway: StopWrites, grantTtl: 6s',
    change: { hasDrift: true, operators: 2, steps: 180 },
  },
  {
    name: 'self-fence',
    // A suspended process does not look at its replicas.
    faults: { ...partitions, crash: 1, crashOperator: 1, isolate: 4 },
    failover: 'guards: {minReplicas: Adaptive}',
    change: { steps: 160 },
  },
  {
    name: 'confirmed writes',
    faults: { ...crashes, ...partitions, crashEmpty: 1, crashOlder: 1 },
    change: { waitReplicas: 1, lossesMax: 1 },
  },
  {
    name: 'confirmed writes, suspended',
    faults: { ...crashes, ...partitions, ...suspensions, ...people },
    change: { waitReplicas: 1 },
  },
  {
    name: 'planned',
    faults: people,
    failover: 'switchoverTimeout: 2m',
    change: { faultsMax: 2, isCalm: true },
  },
  { name: 'planned, and crashes', faults: { ...people, ...crashes } },
  {
    name: 'planned, and everything',
    faults: { ...people, ...crashes, ...partitions, ...suspensions },
    change: { steps: 140 },
  },
  {
    name: 'members',
    faults: {
      addServer: 2,
      removeServer: 2,
      movePrimary: 3,
      crash: 1,
      crashOperator: 1,
      switchover: 1,
    },
    change: { servers: 4, listed: 2, steps: 140 },
  },
  {
    name: 'wiped',
    faults: { bounceEmpty: 3, bounce: 2, crash: 1, crashOperator: 1 },
    change: { lossesMax: 1, restartsAs: ['primary'] },
  },
  {
    name: 'stale lists',
    faults: { ...crashes, ...partitions, crashOperator: 4, dropStream: 3 },
    change: { hasStaleLists: true },
  },
  {
    name: 'cold',
    faults: { ...crashes, ...partitions },
    change: { isCold: true },
  },
]

/** Worlds that break what is assumed: played only when asked for. */
const beyond: readonly Draft[] = [
  {
    name: 'overlapping leaders',
    faults: { ...partitions, cutApi: 3, crashOperator: 1, dropStream: 3, suspendOperator: 1 },
    change: { operators: 2, steps: 200, hasNoLease: true },
  },
  {
    name: 'late commands',
    faults: { ...crashes, ...partitions, ...suspensions },
    change: { hasLateCommands: true },
  },
]

export const profileNames: readonly string[] = [...drafts, ...beyond].map(({ name }) => name)

const downAfters = ['200ms', '500ms', '1s']

export function profileOf(random: Random, name?: string): Profile {
  const asked = [...drafts, ...beyond].find((each) => each.name === name)
  const draft = asked ?? random.pick(drafts)
  const servers = random.chance(0.35) ? 2 : 3
  const failover = [`downAfter: ${random.pick(downAfters)}`]
  if (draft.failover !== undefined) failover.push(draft.failover)
  return {
    name: draft.name,
    servers,
    listed: servers,
    sidecars: 1 + random.below(2),
    operators: 1,
    failover: failover.join(', '),
    waitReplicas: 0,
    steps: 110,
    isCold: false,
    hasDrift: random.chance(0.3),
    keepsHistory: random.chance(0.5),
    backlogEntries: random.chance(0.2) ? 2 : 1000,
    restartsAs: random.chance(0.4) ? ['parked'] : ['primary', 'parked', 'replica'],
    faults: draft.faults,
    faultsMax: 1 + random.below(6),
    lossesMax: 0,
    hasLateCommands: false,
    hasStaleLists: false,
    hasNoLease: false,
    tellsFate: random.chance(0.5),
    replicationWeight: random.chance(0.25) ? 0.5 : 4,
    streamWeight: random.chance(0.2) ? 0.5 : 5,
    isCalm: false,
    ...draft.change,
  }
}
