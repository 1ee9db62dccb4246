/**
 * The plan in worlds where everything goes wrong: histories drawn by seeds, every interleaving of a small world, and each
 * guard switched off once, which has to be noticed. `npm run sim -- failover` runs more, and replays one.
 */
import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { exhaust } from './explore/exhaustive.ts'
import { play } from './explore/history.ts'
import {
  exhaustMutation,
  exhaustedMutations,
  findMutation,
  mutationNames,
} from './explore/mutate.ts'
import { exploreInThreads } from './explore/pool.ts'
import { scopeNamed, scopes } from './explore/scopes.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const histories = isFull ? 100_000 : 10_000
const statesMax = 1_000_000

test(`no invariant is broken in ${histories} histories`, async () => {
  const threads = availableParallelism()
  const { counts, failures } = await exploreInThreads({ from: 1, count: histories }, { threads })
  assert.deepEqual(failures, [], 'replay one: npm run sim -- failover --seed SEED --trace')
  // Worlds in which nothing happens prove nothing.
  assert.ok(counts.failovers > histories / 10 && counts.switchovers > histories / 50)
  const proofs = [
    'ProcessDead',
    'ServerDemoted',
    'ProxiesAcked',
    'GrantExpired',
    'ServerSelfFenced',
  ]
  for (const proof of proofs) assert.ok((counts.proofs[proof] ?? 0) > 0, `never proved: ${proof}`)
})

test('a seed names one history', () => {
  const [first, second] = [7, 7].map((seed) => play(seed, { isTraced: true }).trace)
  assert.ok((first?.length ?? 0) > 10)
  assert.deepEqual(first, second)
})

for (const scope of scopes.filter(({ isSmall }) => isFull || isSmall)) {
  test(`in every interleaving of a small world the invariants hold: ${scope.name}`, () => {
    const { violation, path, states, isComplete, settled, compared } = exhaust(scope, { statesMax })
    assert.equal(violation, undefined, path.join('\n'))
    assert.ok(isComplete, `not all of it within ${states} states`)
    assert.ok(settled > 10 && compared > 5, `${settled} settled, ${compared} compared`)
  })
}

for (const field of ['linkRunId', 'down', 'sinceMs', 'connection']) {
  test(`it is noticed when states are told apart without their ${field}`, () => {
    const options = { statesMax, sampleEvery: 11, overlooked: [field] }
    const { violation = 'none' } = exhaust(scopeNamed('primary alone'), options)
    assert.match(violation, /^digest: /)
  })
}

// Those that are seen after few states.
const soon = [
  'no proof needed',
  'refused counts as proof',
  'acks ignored',
  'intent not recorded first',
  'target changed after promotion',
  'drain not waited for',
  'switched before it caught up',
  'replication users not asked for',
  'run-id not checked',
  'parking skipped',
]
for (const name of exhaustedMutations.filter((each) => isFull || soon.includes(each))) {
  test(`it is noticed in a small world when a guard is off: ${name}`, () => {
    const { violation, scope, states } = exhaustMutation(name)
    assert.ok(violation !== undefined, `not in ${scope}, within ${states} states`)
  })
}

// Three are rare: they are looked for at full size.
const rare = ['epoch not compared', 'granted by a deposed leader', 'grant expiry too early']
for (const name of mutationNames.filter((each) => isFull || !rare.includes(each))) {
  test(`it is noticed when a guard is off: ${name}`, () => {
    const { failure, histories: tried } = findMutation(name)
    assert.ok(failure !== undefined, `not within ${tried} histories`)
  })
}
