/** From samples to medians and ratios. Pure. */
import { type Load, pipelines, type Ratio, type Sample, type Summary } from './model.ts'
import { geometricMean, type Spread, spreadOf } from './statistics.ts'

const subjects = /^respmesh/
/** What is compared with what. */
const opponents = (target: string) =>
  target.endsWith('-unix')
    ? ['direct', 'direct-unix']
    : ['twemproxy', 'haproxy', 'predixy', 'envoy', 'direct']

export type Figure = (sample: Sample) => number | undefined

/** One entry for each load and target that has samples, in the order of `loads` and `targets`. */
export function summarize(
  samples: readonly Sample[],
  targets: readonly string[],
  loads: readonly Load[],
): Summary[] {
  return loads.flatMap((load) =>
    targets.flatMap((target) => {
      const own = samples.filter((sample) => sample.target === target && sample.load === load.name)
      return own.length === 0 ? [] : [summaryOf(target, load.name, own)]
    }),
  )
}

function summaryOf(target: string, load: string, samples: readonly Sample[]): Summary {
  const figure = (pick: (sample: Sample) => number) => spreadOf(samples.map(pick))
  const proxyCpu = samples.flatMap((sample) => sample.proxyCpuUs ?? [])
  return {
    target,
    load,
    requestsPerSecond: figure((sample) => sample.requestsPerSecond),
    p50Ms: figure((sample) => sample.p50Ms),
    p99Ms: figure((sample) => sample.p99Ms),
    ...(proxyCpu.length > 0 && { proxyCpuUs: spreadOf(proxyCpu) }),
    serverCpuUs: figure((sample) => sample.serverCpuUs),
  }
}

/** Every respmesh target against every peer of interest that ran, per load and per pipeline depth. */
export function ratiosOf(
  samples: readonly Sample[],
  targets: readonly string[],
  loads: readonly Load[],
): Ratio[] {
  const scopes = pipelines.flatMap((pipeline) => {
    const same = loads.filter((load) => load.pipeline === pipeline)
    const each = same.map((load) => ({ name: load.name, loads: [load] }))
    return same.length > 1 ? [...each, { name: `P=${pipeline}`, loads: same }] : each
  })
  const pairs = targets
    .filter((target) => subjects.test(target))
    .flatMap((target) =>
      opponents(target)
        .filter((against) => targets.includes(against))
        .map((against) => ({ target, against })),
    )
  return pairs.flatMap(({ target, against }) =>
    scopes.flatMap(({ name, loads }) => {
      const ratio = (pick: Figure) => ratioOf(samples, { target, against, loads, pick })
      const requestsPerSecond = ratio((sample) => sample.requestsPerSecond)
      const p99Ms = ratio((sample) => sample.p99Ms)
      if (requestsPerSecond === undefined || p99Ms === undefined) return []
      const proxyCpuUs = ratio((sample) => sample.proxyCpuUs)
      return {
        target,
        against,
        load: name,
        requestsPerSecond,
        p99Ms,
        ...(proxyCpuUs && { proxyCpuUs }),
      }
    }),
  )
}

/** Per round first, so that what slowed a whole round down cancels out; undefined without a common round. */
export function ratioOf(
  samples: readonly Sample[],
  scope: { target: string; against: string; loads: readonly Load[]; pick: Figure },
): Spread | undefined {
  const rounds = [...new Set(samples.map((sample) => sample.round))]
  const valueOf = (round: number, target: string, load: Load) => {
    const sample = samples.find(
      (one) => one.round === round && one.target === target && one.load === load.name,
    )
    const value = sample && scope.pick(sample)
    return value !== undefined && value > 0 ? value : undefined
  }
  const values = rounds.flatMap((round) => {
    const parts = scope.loads.flatMap((load) => {
      const over = valueOf(round, scope.target, load)
      const under = valueOf(round, scope.against, load)
      return over === undefined || under === undefined ? [] : [over / under]
    })
    return parts.length === scope.loads.length ? [geometricMean(parts)] : []
  })
  return values.length === 0 ? undefined : spreadOf(values)
}
