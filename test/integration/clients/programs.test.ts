/** Clients of other languages through a sidecar process: redis-py and go-redis, each a program of its own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Tour,
  goRedisTour,
  login,
  redisPyTour,
  runTour,
  startDirect,
  startProxied,
  tourSteps,
} from './support.ts'

const programs: Readonly<Record<string, () => Promise<Tour>>> = {
  'redis-py': redisPyTour,
  'go-redis': goRedisTour,
}

for (const [name, prepare] of Object.entries(programs)) {
  test(`${name} works in RESP2 and RESP3, with and without a login`, async (t) => {
    const tour = await prepare()
    if ('skip' in tour) return t.skip(tour.skip)
    for (const protocol of [2, 3]) {
      await t.test(`RESP${protocol}, without a sidecar for comparison`, async (t) => {
        const direct = await startDirect(t)
        const command = [...tour, String(direct.port), String(protocol), direct.topology] as const
        assert.deepEqual(await runTour(t, command as unknown as [string], direct), tourSteps)
      })
      for (const hasLogin of [false, true]) {
        await t.test(`RESP${protocol}${hasLogin ? ' with a login' : ''}`, async (t) => {
          const proxied = await startProxied(t, { hasLogin })
          const words = hasLogin ? [login.username, login.password] : []
          const command = [
            ...tour,
            String(proxied.port),
            String(protocol),
            proxied.topology,
            ...words,
          ] as const
          assert.deepEqual(await runTour(t, command as unknown as [string], proxied), tourSteps)
        })
      }
    }
  })
}
