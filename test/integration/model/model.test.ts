/**
 * The servers that `test/sim` explores failovers with do what real ones do: under the same steps both look the same to an
 * operator, in roles, links, histories, offsets against each other, data, and what was sent as a whole.
 */
import { type TestContext, describe, test } from 'node:test'
import { Random } from '../../sim/random.ts'
import { isFull, programs } from '../backend/rig.ts'
import { Pair } from './pair.ts'
import type { RealOptions } from './real.ts'
import { scripts } from './scripts.ts'
import { drawStep } from './steps.ts'

const seeds = isFull ? 40 : 3
const stepsDrawn = isFull ? 25 : 10

describe('real servers and the model', { concurrency: 12 }, async () => {
  for (const program of await programs()) {
    const title = `${program.name} ${program.version}`
    const start = async (context: TestContext, options: Omit<RealOptions, 'program'>) => {
      const pair = await Pair.start({ program, ...options })
      context.after(() => pair.stop())
      return pair
    }

    for (const [name, steps] of Object.entries(scripts)) {
      test(`${title}: ${name}`, async (context) => {
        const pair = await start(context, { hasSnapshots: true })
        for (const step of steps) await pair.run(step)
      })
    }

    for (let seed = 1; seed <= seeds; seed += 1) {
      const random = new Random(seed)
      const hasSnapshots = seed % 3 !== 0
      const how = hasSnapshots ? 'with snapshots' : 'with a log'
      test(`${title}: history ${seed}, ${how}`, async (context) => {
        const pair = await start(context, { hasSnapshots })
        for (let step = 0; step < stepsDrawn; step += 1) {
          await pair.run(drawStep(random, pair.modelled.isUp, hasSnapshots))
        }
        await pair.stays()
      })
    }
  }
})
