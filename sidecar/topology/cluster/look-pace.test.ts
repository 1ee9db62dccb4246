import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  clusterLookMs,
  clusterMovedLookMs,
  clusterTroubleMaxMs,
  clusterTroubleMinMs,
} from '../../../common/limits.ts'
import { LookPace } from './look-pace.ts'

/** A pace whose time is the test’s, without chance; `looks` are the times of looks. */
function paceOf(t: TestContext, isWell: () => boolean) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const looks: number[] = []
  const clock = { monotonicMs: () => nowMs, wallMs: () => nowMs }
  const look = async () => {
    looks.push(nowMs)
    return isWell()
  }
  const pace = new LookPace({ clock, random: () => 1, look })
  const pass = async (ms: number, step = 10) => {
    for (let passed = 0; passed < ms; passed += step) {
      nowMs += step
      t.mock.timers.tick(step)
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
    }
  }
  return { pace, looks, pass }
}

test('when all is well it looks now and then', async (t) => {
  const { pace, looks, pass } = paceOf(t, () => true)
  pace.start()
  await pass(3 * clusterLookMs + 100)
  assert.equal(looks.length, 4)
})

test('while something is amiss looks become seldom, to a bound', async (t) => {
  const { pace, looks, pass } = paceOf(t, () => false)
  pace.start()
  await pass(20 * clusterTroubleMaxMs)
  const gaps = looks.slice(1).map((atMs, index) => atMs - (looks[index] as number))
  assert((gaps[0] as number) <= 3 * clusterTroubleMinMs)
  assert((gaps.at(-1) as number) >= clusterTroubleMaxMs)
  assert(looks.length <= 24, `${looks.length} looks`)
})

test('however often it is called, looks keep their distance', async (t) => {
  const { pace, looks, pass } = paceOf(t, () => true)
  pace.start()
  for (let round = 0; round < 300; round += 1) {
    for (let call = 0; call < 100; call += 1) pace.soon()
    await pass(10)
  }
  assert(looks.length <= 3000 / clusterTroubleMinMs + 1, `${looks.length} looks`)
})

test('a redirect that was followed makes it look a little later, and trouble sooner', async (t) => {
  const { pace, looks, pass } = paceOf(t, () => true)
  pace.start()
  await pass(10)
  pace.later()
  await pass(clusterMovedLookMs - 50)
  assert.equal(looks.length, 1)
  await pass(100)
  assert.equal(looks.length, 2)
  pace.later()
  pace.soon()
  await pass(clusterTroubleMinMs + 10)
  assert.equal(looks.length, 3)
})

test('after its end it looks no more', async (t) => {
  const { pace, looks, pass } = paceOf(t, () => true)
  pace.start()
  await pass(10)
  pace.stop()
  pace.soon()
  await pass(2 * clusterLookMs)
  assert.equal(looks.length, 1)
})
