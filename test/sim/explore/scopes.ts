/** Small worlds that are explored whole: each has few things that may go wrong, whenever they may. */
import { makeWorld, settleDown } from './history.ts'
import { type Cut, type Faults, type Left, budgets } from './move.ts'
import { nodeCount, nodeOf } from './nodes.ts'
import { profileOf } from './profiles.ts'
import { Random } from '../random.ts'
import type { Profile, World } from './types.ts'
import { longAgoMs } from './digest.ts'

export interface Scope {
  readonly name: string
  /** 2, and one sidecar, where nothing is said. */
  readonly servers?: number
  readonly sidecars?: number
  /** Under `failover:` of the resource. */
  readonly failover?: string
  readonly change?: Partial<Profile>
  readonly left: Partial<Left>
  readonly faults?: Partial<Faults>
  /** Small enough for every run of the tests. */
  readonly isSmall?: boolean
}

const noFaults: Faults = {
  struck: [0],
  keeps: ['kept'],
  restartsAs: ['parked'],
  cuts: [],
  suspends: [],
  shortMs: 600,
  looksApart: false,
  isPrompt: false,
}

const both = (a: number, b: number) =>
  [
    [a, b],
    [b, a],
  ] as const

/** Sidecars reach both sides. */
const primaryAlone: Cut = {
  name: 'the primary from the operator and the replicas',
  pairs: (world) => [
    ...both(0, nodeOf.operator(world, 0)),
    ...world.servers.slice(1).flatMap(({ index }) => both(0, index)),
  ],
}

/** As a firewall does that refuses connections. */
const primaryRefused: Cut = {
  ...primaryAlone,
  name: `${primaryAlone.name}, refused`,
  how: 'refusing',
}

const primaryWithSidecar: Cut = {
  name: 'the primary and a sidecar from the rest',
  pairs: (world) => around(world, [0, nodeOf.sidecar(world, 0)]),
}

const primaryWithReplica: Cut = {
  name: 'the primary, a replica and a sidecar from the rest',
  pairs: (world) => around(world, [0, 2, nodeOf.sidecar(world, 0)]),
}

function around(world: World, inside: readonly number[]): readonly (readonly [number, number])[] {
  const all = Array.from({ length: nodeCount(world) }, (_, node) => node)
  const outside = all.filter((node) => !inside.includes(node))
  return inside.flatMap((a) => outside.flatMap((b) => both(a, b)))
}

const deaf: Cut = {
  name: 'what the primary says to the operator',
  pairs: (world) => [[0, nodeOf.operator(world, 0)]],
}

const unguarded = 'guards: {replicationUsers: Disabled}'
const selfFencing = 'guards: {replicationUsers: Disabled, minReplicas: Adaptive}'

export const scopes: readonly Scope[] = [
  { name: 'crash', left: { crashes: 1 }, isSmall: true },
  { name: 'crash and a write', left: { crashes: 1, writes: 1 } },
  { name: 'crash and an operator crash', left: { crashes: 1, operatorCrashes: 1 } },
  {
    name: 'return as a primary, with its data or empty',
    left: { crashes: 1, writes: 1 },
    faults: { restartsAs: ['primary'], keeps: ['kept', 'empty'] },
  },
  {
    name: 'return empty, with replication users',
    failover: 'guards: {replicationUsers: Auto}',
    change: { name: 'wiped' },
    left: { crashes: 1 },
    faults: { restartsAs: ['primary'], keeps: ['empty'] },
  },
  {
    name: 'primary alone',
    left: { cuts: 1 },
    faults: { cuts: [primaryAlone, primaryRefused] },
    isSmall: true,
  },
  {
    name: 'primary alone and writes',
    left: { cuts: 1, writes: 2 },
    faults: { cuts: [primaryAlone] },
  },
  {
    name: 'primary alone and an operator crash',
    left: { cuts: 1, operatorCrashes: 1 },
    faults: { cuts: [primaryAlone] },
  },
  {
    name: 'primary with its sidecar',
    left: { cuts: 1, writes: 1 },
    faults: { cuts: [primaryWithSidecar] },
  },
  {
    name: 'one way',
    left: { cuts: 1, operatorCrashes: 1 },
    faults: { cuts: [deaf] },
  },
  {
    name: 'hung primary',
    left: { suspensions: 1, writes: 1 },
    faults: { suspends: ['server'] },
  },
  { name: 'switchover', left: { switchovers: 1, writes: 1 }, isSmall: true },
  {
    name: 'prompt switchover',
    // No client sees an error in it.
    change: { isCalm: true },
    left: { switchovers: 1, writes: 2 },
    faults: { isPrompt: true },
    isSmall: true,
  },
  {
    name: 'switchover and an operator crash',
    left: { switchovers: 1, operatorCrashes: 1, writes: 1 },
  },
  {
    name: 'switchover and a crash',
    left: { switchovers: 1, crashes: 1 },
    faults: { struck: [0, 1] },
  },
  {
    name: 'grants',
    failover: `${unguarded}, operatorAway: StopWrites, grantTtl: 2s`,
    left: { cuts: 1, shortPauses: 1 },
    faults: { cuts: [primaryWithSidecar], shortMs: 1500 },
  },
  {
    name: 'self-fence',
    failover: selfFencing,
    left: { cuts: 1, shortPauses: 1 },
    faults: { cuts: [primaryWithSidecar], shortMs: 1500 },
  },
  {
    name: 'self-fence and a replica on either side',
    servers: 3,
    failover: selfFencing,
    left: { cuts: 1 },
    faults: { cuts: [primaryWithReplica] },
  },
  { name: 'three servers', servers: 3, left: { crashes: 1 } },
  { name: 'three servers and a write', servers: 3, left: { crashes: 1, writes: 1 } },
  {
    name: 'confirmed writes',
    servers: 3,
    change: { waitReplicas: 1 },
    left: { crashes: 1, writes: 1 },
  },
  { name: 'two sidecars', sidecars: 2, left: { crashes: 1 } },
]

export function scopeNamed(name: string): Scope {
  const scope = scopes.find((each) => each.name === name)
  if (scope === undefined) {
    throw new Error(`no scope "${name}"; there are: ${scopes.map((each) => each.name).join(', ')}`)
  }
  return scope
}

export function faultsOf(scope: Scope): Faults {
  return { ...noFaults, ...scope.faults }
}

export function leftOf({ left }: Scope): Left {
  return Object.fromEntries(budgets.map((name) => [name, left[name] ?? 0])) as Left
}

/** A world in order, in which nothing has gone wrong yet. */
export function begin(scope: Scope, mutations: readonly string[]): World {
  const { servers = 2, sidecars = 1, failover = unguarded, change } = scope
  const random = new Random(1)
  const profile: Profile = {
    ...profileOf(random, 'crashes'),
    servers,
    listed: servers,
    sidecars,
    failover: `downAfter: 500ms, ${failover}`,
    hasDrift: false,
    keepsHistory: false,
    backlogEntries: 1000,
    lossesMax: 0,
    isCalm: false,
    tellsFate: false,
    ...change,
  }
  const world = makeWorld(profile, random, mutations)
  settleDown(world, 60, true)
  world.faultsLeft = 0
  world.lossesLeft = 9
  // What was heard on the way here is old news.
  world.nowMs += longAgoMs
  return world
}
