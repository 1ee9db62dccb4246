import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Load, Sample } from './model.ts'
import { ratiosOf, summarize } from './summary.ts'

const get: Load = { name: 'GET P=1', command: 'GET', pipeline: 1, clients: 50 }
const set: Load = { name: 'SET P=1', command: 'SET', pipeline: 1, clients: 50 }
const deep: Load = { name: 'GET P=16', command: 'GET', pipeline: 16, clients: 50 }

function sample(round: number, target: string, load: Load, requestsPerSecond: number): Sample {
  return {
    round,
    target,
    load: load.name,
    requests: 1000,
    requestsPerSecond,
    p50Ms: 1,
    p99Ms: 2,
    ...(target !== 'direct' && { proxyCpuUs: 10 }),
    serverCpuUs: 5,
    clientCpuUs: 3,
    foreignCpuShare: 0,
  }
}

test('each target has one summary per load, and none where it did not run', () => {
  const samples = [
    sample(1, 'direct', get, 100),
    sample(2, 'direct', get, 300),
    sample(3, 'direct', get, 200),
    sample(1, 'haproxy', set, 50),
  ]
  const summaries = summarize(samples, ['direct', 'haproxy'], [get, set])
  assert.deepEqual(
    summaries.map(({ target, load, requestsPerSecond }) => [
      target,
      load,
      requestsPerSecond.median,
      requestsPerSecond.max,
    ]),
    [
      ['direct', 'GET P=1', 200, 300],
      ['haproxy', 'SET P=1', 50, 50],
    ],
  )
  assert.equal(summaries[0]?.proxyCpuUs, undefined)
  assert.equal(summaries[1]?.proxyCpuUs?.median, 10)
})

test('ratios are taken within a round, so that a slow round cancels out', () => {
  const samples = [
    sample(1, 'respmesh', get, 80),
    sample(1, 'twemproxy', get, 100),
    sample(2, 'respmesh', get, 8),
    sample(2, 'twemproxy', get, 10),
    sample(3, 'respmesh', get, 90),
    sample(3, 'twemproxy', get, 100),
  ]
  const [ratio, ...more] = ratiosOf(samples, ['twemproxy', 'respmesh'], [get])
  assert.deepEqual(more, [])
  assert.equal(ratio?.against, 'twemproxy')
  assert.deepEqual(ratio?.requestsPerSecond, { median: 0.8, min: 0.8, max: 0.9 })
})

test('a depth with several loads also has their geometric mean', () => {
  const samples = [
    sample(1, 'respmesh', get, 400),
    sample(1, 'direct', get, 100),
    sample(1, 'respmesh', set, 100),
    sample(1, 'direct', set, 100),
    sample(1, 'respmesh', deep, 300),
    sample(1, 'direct', deep, 100),
  ]
  const ratios = ratiosOf(samples, ['direct', 'respmesh'], [get, set, deep])
  assert.deepEqual(
    ratios.map((ratio) => [ratio.load, Math.round(ratio.requestsPerSecond.median)]),
    [
      ['GET P=1', 4],
      ['SET P=1', 1],
      ['P=1', 2],
      ['GET P=16', 3],
    ],
  )
  assert.ok(ratios.every((ratio) => ratio.proxyCpuUs === undefined))
})

test('a round in which one of the two is missing does not count', () => {
  const samples = [
    sample(1, 'respmesh', get, 50),
    sample(1, 'direct', get, 100),
    sample(2, 'direct', get, 100),
    sample(3, 'respmesh', get, 100),
  ]
  const [ratio] = ratiosOf(samples, ['direct', 'respmesh'], [get])
  assert.deepEqual(ratio?.requestsPerSecond, { median: 0.5, min: 0.5, max: 0.5 })
})

test('a sidecar on a unix socket is compared with the server on either socket', () => {
  const targets = ['direct', 'direct-unix', 'respmesh-unix']
  const samples = targets.map((target) => sample(1, target, get, 100))
  assert.deepEqual(
    ratiosOf(samples, targets, [get]).map((ratio) => ratio.against),
    ['direct', 'direct-unix'],
  )
})
