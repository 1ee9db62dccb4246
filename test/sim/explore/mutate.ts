/** Looks for a history in which a guard that is switched off is missed. */
import { type Result, exhaust } from './exhaustive.ts'
import { mutationNames } from './mutations.ts'
import { type Failure, explore } from './pool.ts'
import { scopeNamed } from './scopes.ts'

interface Where {
  readonly profile: string
  /** A seed shortly before one that found it once; others follow. */
  readonly from?: number
}

/** Kinds of worlds in which each is most likely missed; in others it may do no harm. */
const where: Readonly<Record<string, Where>> = {
  'grant expiry too early': { profile: 'grants' },
  'grants of others forgotten': { profile: 'grants, two operators' },
  'grant counted from its receipt': { profile: 'grants' },
  'granted by a deposed leader': { profile: 'grants, two operators' },
  'self-fence without all parked': { profile: 'self-fence' },
  'self-fence at once': { profile: 'self-fence' },
  'W quorum skipped': { profile: 'confirmed writes' },
  'replicas not waited for': { profile: 'confirmed writes, suspended' },
  'drain not waited for': { profile: 'planned' },
  'switched before it caught up': { profile: 'planned, and crashes' },
  'replication users not asked for': { profile: 'wiped' },
  'empty promoted': { profile: 'losses' },
  'lineage not checked': { profile: 'losses' },
  'CAS ignored': { profile: 'two operators' },
  'epoch not compared': { profile: 'overlapping leaders' },
  'intent not recorded first': { profile: 'everything' },
}

/** Does no harm but that nothing goes on. */
const stops: readonly string[] = ['parking skipped']

const seedsMax = 3000

export function findMutation(name: string): {
  readonly histories: number
  readonly failure: Failure | undefined
} {
  const { profile, from = 1 } = where[name] ?? {}
  let histories = 0
  while (histories < seedsMax) {
    const range = { from: from + histories, count: seedsMax - histories, mutations: [name] }
    const found = explore({ ...range, isBrief: true, ...(profile !== undefined && { profile }) })
    histories += found.histories
    const [failure] = found.failures
    if (failure === undefined) break
    // That it gets stuck is no harm but of the one that only does this.
    if (failure.invariant !== 'converges' || stops.includes(name)) return { histories, failure }
  }
  return { histories, failure: undefined }
}

/** Small worlds in which each is missed; those that are not here need two operators, or more servers that lose data. */
const smallest: Readonly<Record<string, string>> = {
  'no proof needed': 'primary alone',
  'refused counts as proof': 'primary alone',
  'acks ignored': 'primary alone',
  'only connected sidecars counted': 'primary with its sidecar',
  'parked before it is': 'crash and an operator crash',
  'candidate not the furthest': 'three servers and a write',
  'grant expiry too early': 'grants',
  'grants of others forgotten': 'grants',
  'grant counted from its receipt': 'grants',
  'self-fence without all parked': 'self-fence and a replica on either side',
  'self-fence at once': 'self-fence',
  'run-id not checked': 'return as a primary, with its data or empty',
  'acknowledged before it stops': 'primary alone and writes',
  'drain not waited for': 'prompt switchover',
  'replicas not waited for': 'confirmed writes',
  'parking skipped': 'crash',
  'switched before it caught up': 'prompt switchover',
  'replication users not asked for': 'return empty, with replication users',
  'intent not recorded first': 'crash',
  'target changed after promotion': 'crash',
}

export const exhaustedMutations: readonly string[] = Object.keys(smallest)

/** All of the small world in which a guard that is switched off is missed soonest, up to that. */
export function exhaustMutation(name: string): Result & { readonly scope: string } {
  const scope = smallest[name]
  if (scope === undefined) throw new Error(`no small world is known in which "${name}" does harm`)
  const options = { statesMax: 400_000, mutations: [name], sampleEvery: 0 }
  return { ...exhaust(scopeNamed(scope), options), scope }
}

export { mutationNames }
