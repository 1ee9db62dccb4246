/** The few figures that the project has aims for. Pure. */
import {
  clusterLoads,
  type Load,
  manyClientsLoad,
  manyKeysLoad,
  policyLoads,
  type Sample,
  splitLoads,
  throughputLoads,
  unloadedLoad,
} from './model.ts'
import { geometricMean, median, type Spread, spreadOf } from './statistics.ts'
import { type Figure, ratioOf } from './summary.ts'

export interface KeyRatio {
  readonly name: string
  readonly about: string
  readonly spread: Spread
  /** What is wanted of the median; not a condition of success of a run. */
  readonly aim?: { readonly sign: '≥' | '≤'; readonly value: number }
}

const peers = ['haproxy', 'twemproxy', 'predixy', 'envoy']
const rate: Figure = (sample) => sample.requestsPerSecond
const cpu: Figure = (sample) => sample.proxyCpuUs
const p99: Figure = (sample) => sample.p99Ms
const atLeast = (value: number) => ({ sign: '≥', value }) as const
const atMost = (value: number) => ({ sign: '≤', value }) as const

interface Comparison {
  readonly name: string
  readonly target?: string
  readonly against: string | undefined
  readonly loads: readonly Load[]
  readonly pick: Figure
  readonly aim?: KeyRatio['aim']
}

/** One entry for each figure of which both sides were measured. */
export function keyRatiosOf(samples: readonly Sample[]): KeyRatio[] {
  const ratios = comparisons(samples).flatMap((one) => {
    const { name, target = 'respmesh', against, loads, pick, aim } = one
    if (against === undefined) return []
    const spread = ratioOf(samples, { target, against, loads, pick })
    const about = `${target} / ${against}`
    return spread === undefined ? [] : [{ name, about, spread, ...(aim && { aim }) }]
  })
  return [...ratios, ...added(samples), ...policyCost(samples)]
}

function comparisons(samples: readonly Sample[]): readonly Comparison[] {
  const [one, deep] = [1, 16].map((depth) =>
    throughputLoads.filter((load) => load.pipeline === depth),
  )
  const plain = { loads: one ?? [], pick: rate }
  const piped = { loads: deep ?? [], pick: rate }
  const many = { loads: [manyClientsLoad], pick: p99 }
  const [clusterOne, clusterDeep] = [1, 16].map((depth) =>
    clusterLoads.filter((load) => load.pipeline === depth),
  )
  const near = { target: 'respmesh-cluster1', against: 'respmesh', pick: rate }
  const wide = { target: 'respmesh-cluster3', pick: rate }
  const split = { target: 'respmesh-split', against: 'respmesh-primary', pick: rate }
  const unix = { target: 'respmesh-unix', against: 'direct' }
  return [
    { name: 'p1VsDirect', against: 'direct', ...plain, aim: atLeast(0.85) },
    { name: 'p1VsBestPeer', against: fastest(samples, plain.loads), ...plain, aim: atLeast(1) },
    { name: 'p1VsTwemproxy', against: 'twemproxy', ...plain },
    { name: 'p1VsEnvoy', against: 'envoy', ...plain },
    { name: 'p16VsDirect', against: 'direct', ...piped },
    { name: 'p16VsBestPeer', against: fastest(samples, piped.loads), ...piped, aim: atLeast(1) },
    { name: 'p16VsTwemproxy', against: 'twemproxy', ...piped, aim: atLeast(1.5) },
    { name: 'p16VsEnvoy', against: 'envoy', ...piped, aim: atLeast(1.5) },
    { name: 'unixP1VsDirect', ...unix, ...plain, aim: atLeast(1) },
    { name: 'unixP16VsDirect', ...unix, ...piped, aim: atLeast(0.8) },
    {
      name: 'cpuP1VsTwemproxy',
      against: 'twemproxy',
      loads: plain.loads,
      pick: cpu,
      aim: atMost(1.1),
    },
    {
      name: 'cpuP16VsTwemproxy',
      against: 'twemproxy',
      loads: piped.loads,
      pick: cpu,
      aim: atMost(0.6),
    },
    { name: 'c1000P99VsEnvoy', against: 'envoy', ...many, aim: atMost(1) },
    { name: 'c1000P99VsTwemproxy', against: 'twemproxy', ...many },
    // One node has as many busy cores behind it as a server without a cluster: what is left is routing.
    { name: 'cluster1P1VsOwn', ...near, loads: clusterOne ?? [], aim: atLeast(0.9) },
    { name: 'cluster1P16VsOwn', ...near, loads: clusterDeep ?? [], aim: atLeast(0.9) },
    { name: 'cluster3P1VsOwn', ...wide, against: 'respmesh', loads: clusterOne ?? [] },
    { name: 'cluster3P16VsOwn', ...wide, against: 'respmesh', loads: clusterDeep ?? [] },
    { name: 'cluster3P1VsEnvoy', ...wide, against: 'envoy-cluster3', loads: clusterOne ?? [] },
    { name: 'cluster3P16VsEnvoy', ...wide, against: 'envoy-cluster3', loads: clusterDeep ?? [] },
    { name: 'mgetVsEnvoy', ...wide, against: 'envoy-cluster3', loads: [manyKeysLoad] },
    { name: 'splitP1', ...split, loads: splitLoads.slice(0, 1) },
    { name: 'splitP16', ...split, loads: splitLoads.slice(1) },
  ]
}

/** The peer with the highest median over `loads`. */
function fastest(samples: readonly Sample[], loads: readonly Load[]): string | undefined {
  const rates = peers.flatMap((peer) => {
    const medians = loads.flatMap((load) => {
      const own = samples.filter((one) => one.target === peer && one.load === load.name)
      return own.length === 0 ? [] : [median(own.map((one) => one.requestsPerSecond))]
    })
    const isWhole = medians.length === loads.length && medians.every((value) => value > 0)
    return isWhole ? [{ peer, rate: geometricMean(medians) }] : []
  })
  return rates.toSorted((a, b) => b.rate - a.rate)[0]?.peer
}

/** Milliseconds that the sidecar adds for a client that is alone, round by round. */
function added(samples: readonly Sample[]): KeyRatio[] {
  const at = (target: string) =>
    samples.filter((one) => one.target === target && one.load === unloadedLoad.name)
  const pairs = at('respmesh').flatMap((ours) => {
    const direct = at('direct').find((one) => one.round === ours.round)
    return direct === undefined ? [] : [{ ours, direct }]
  })
  if (pairs.length === 0) return []
  const about = 'respmesh – direct, ms'
  const more = (pick: (sample: Sample) => number) =>
    spreadOf(pairs.map(({ ours, direct }) => pick(ours) - pick(direct)))
  return [
    { name: 'addedP50Ms', about, spread: more((one) => one.p50Ms), aim: atMost(0.15) },
    { name: 'addedP99Ms', about, spread: more((one) => one.p99Ms), aim: atMost(5) },
  ]
}

/** Share of CPU time that policies cost which no command meets. */
function policyCost(samples: readonly Sample[]): KeyRatio[] {
  const scope = { target: 'respmesh-policy', against: 'respmesh', loads: policyLoads, pick: cpu }
  const ratio = ratioOf(samples, scope)
  if (ratio === undefined) return []
  const { median: middle, min, max } = ratio
  const spread = { median: middle - 1, min: min - 1, max: max - 1 }
  return [{ name: 'policyCost', about: 'share of CPU per request', spread, aim: atMost(0.03) }]
}
