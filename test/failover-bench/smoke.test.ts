/** The figures of failovers can be taken here: one trial of each fault, with generous bounds; `npm run bench:failover` takes them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namespaceObstacle } from '../faults/lab/index.ts'
import { Random } from '../sim/random.ts'
import { Respmesh } from './respmesh.ts'
import { quantile } from './row.ts'
import { rowsOf, runSeries, summarize } from './times.ts'
import { faults } from './trial.ts'

const obstacle = namespaceObstacle()
const skip = obstacle === undefined ? false : `no failovers can be measured here: ${obstacle}`
const stallMaxMs = 15_000

test('writers go on after every fault, with at most one error each and nothing lost', {
  skip,
}, async (t) => {
  const rig = await Respmesh.start({ downAfter: '1s', paceMs: 2 })
  t.after(() => rig.stop())
  const { trials, stuck } = await runSeries([rig], {
    faults,
    trials: 1,
    random: new Random(1),
  })
  assert.deepEqual(stuck, [])
  assert.equal(trials.length, faults.length)
  for (const trial of trials) {
    t.diagnostic(JSON.stringify(trial))
    const { fault, acked, doubled, unknownPerWriterMax, stallMs } = trial
    assert.ok(acked > 0 && doubled === 0, fault)
    assert.ok(unknownPerWriterMax <= 1, fault)
    assert.ok(stallMs < stallMaxMs, `${fault}: ${stallMs} ms`)
  }
  const kept = trials.filter(({ fault }) => fault === 'kill' || fault === 'switchover')
  assert.ok(kept.every(({ lost }) => lost === 0))
  assert.deepEqual(trials.find(({ fault }) => fault === 'switchover')?.errors, {})
})

test('figures are summed up by fault, and compared with what was aimed at', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2)
  assert.equal(quantile([3, 1, 2], 0.99), 3)
  const trial = {
    fault: 'switchover',
    contender: 'respmesh',
    noiseMs: 1,
    namedAfterMs: 1,
    acked: 10,
    lost: 0,
    lostAtMs: [],
    doubled: 0,
    errors: {},
    unknownPerWriterMax: 0,
    refused: 0,
  } as const
  const met = (stalls: readonly number[], lost = 0) =>
    rowsOf(summarize(stalls.map((stallMs) => ({ ...trial, stallMs, lost }))), 1000).map(
      ({ isMet }) => isMet,
    )
  assert.deepEqual(met([2, 4, 9]), [true, true, true])
  assert.deepEqual(met([2, 6, 9]), [false, true, true])
  assert.deepEqual(met([2], 1), [true, true, false])
})
