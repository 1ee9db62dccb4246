import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyRatiosOf } from './key-ratios.ts'
import type { Sample } from './model.ts'
import { keyRatioTable } from './report.ts'

function sample(round: number, target: string, load: string, figures: Partial<Sample>): Sample {
  const common = { requests: 1, requestsPerSecond: 1, p50Ms: 1, p99Ms: 1 }
  const costs = { serverCpuUs: 1, clientCpuUs: 1, foreignCpuShare: 0 }
  return { round, target, load, ...common, ...costs, ...figures }
}

function both(round: number, target: string, requestsPerSecond: number): Sample[] {
  return ['GET P=1', 'SET P=1'].map((load) => sample(round, target, load, { requestsPerSecond }))
}

test('the best peer is the one with the highest median, in every round', () => {
  const samples = [1, 2, 3].flatMap((round) => [
    ...both(round, 'direct', 200),
    ...both(round, 'haproxy', round === 1 ? 1000 : 50),
    ...both(round, 'twemproxy', 100),
    ...both(round, 'respmesh', 90 + round),
  ])
  const ratios = keyRatiosOf(samples)
  const best = ratios.find((ratio) => ratio.name === 'p1VsBestPeer')
  assert.equal(best?.about, 'respmesh / twemproxy')
  assert.ok(Math.abs(best.spread.median - 0.92) < 1e-9)
  assert.match(keyRatioTable([best]), /p1VsBestPeer.* 0\.92 .*≥ 1 +MISSED/)
  assert.ok(!ratios.some((ratio) => ratio.name === 'p16VsDirect'))
})

test('added latency is a difference, the cost of policies a share', () => {
  const ratios = keyRatiosOf([
    sample(1, 'direct', 'GET c=1', { p50Ms: 0.03, p99Ms: 0.1 }),
    sample(1, 'respmesh', 'GET c=1', { p50Ms: 0.08, p99Ms: 0.3 }),
    ...['GET P=1, policies', 'GET P=16, policies'].flatMap((load) => [
      sample(1, 'respmesh', load, { proxyCpuUs: 10 }),
      sample(1, 'respmesh-policy', load, { proxyCpuUs: 10.2 }),
    ]),
  ])
  const rounded = ratios.map(({ name, spread }) => [name, Number(spread.median.toFixed(4))])
  assert.deepEqual(rounded, [
    ['addedP50Ms', 0.05],
    ['addedP99Ms', 0.2],
    ['policyCost', 0.02],
  ])
})
